# SPDX-License-Identifier: Apache-2.0
"""Run a program as a systemd unit's [Service] section would have it run.

    unit.py UNIT PROGRAM [ARGUMENT...]

Capabilities, limits, address families and the other directives that a process
notices are applied by the calls that systemd makes (systemd.exec(5)), so that
a test needs no systemd. What only gives the process other mounts, or needs
systemd's lists of calls, is left out: t/package/systemd.t has systemd itself.
A directive that is in neither list ends the test: it must be put into one.
"""
import ctypes
import errno
import os
import resource
import socket
import struct
import sys

LEFT_OUT = {
    "Type", "Environment", "EnvironmentFile", "ExecStart", "Restart",
    "RestartSec", "RestartPreventExitStatus", "KillMode", "RuntimeDirectory", "RuntimeDirectoryMode",
    "RuntimeDirectoryPreserve", "StateDirectory", "StateDirectoryMode",
    "ProtectHome", "ProtectSystem", "PrivateTmp", "ProtectClock",
    "ProtectHostname", "ProtectControlGroups", "ProtectKernelLogs",
    "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc",
    "ReadWritePaths", "PrivateDevices", "SystemCallErrorNumber",
    "SystemCallFilter",
}
CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID "
    "SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW "
    "IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD "
    "LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
FAMILIES = {"AF_XDP": 44}
NAMESPACES = {"cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
              "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
              "mnt": 0x00020000}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO = 0x7FFF0000, 0x00050000
EQ, GT, MASKED_EQ = 4, 6, 7
WRITE, EXEC = 2, 4

libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
seccomp.seccomp_rule_add_array.argtypes = [
    ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
    ctypes.c_void_p]
seccomp.seccomp_load.argtypes = [ctypes.c_void_p]


def directives(path):
    section, found = "", {}
    for line in open(path):
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            name, value = line.split("=", 1)
            found[name] = value
    return found


def limit(which, value, default):
    soft, _, hard = (value or default).partition(":")
    numbers = [resource.RLIM_INFINITY if n == "infinity" else int(n)
               for n in (soft, hard or soft)]
    # The test's machine may let nobody raise a limit.
    most = resource.getrlimit(which)[1]
    if most != resource.RLIM_INFINITY:
        numbers = [most if n == resource.RLIM_INFINITY else min(n, most)
                   for n in numbers]
    resource.setrlimit(which, tuple(numbers))


def drop_capabilities(value):
    kept = {name[4:] for name in value.split()}
    for number, name in enumerate(CAPABILITIES):
        if name not in kept:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)


def deny(context, call, error, *comparisons):
    """comparisons: (argument, operator, value, value)"""
    array = b"".join(struct.pack("=IIQQ", *c) for c in comparisons)
    number = seccomp.seccomp_syscall_resolve_name(call.encode())
    if seccomp.seccomp_rule_add_array(
            context, SCMP_ACT_ERRNO | error, number, len(comparisons),
            array) < 0:
        sys.exit("unit.py: seccomp: " + call)


def filter_calls(unit):
    context = seccomp.seccomp_init(SCMP_ACT_ALLOW)
    if "RestrictAddressFamilies" in unit:
        allowed = {FAMILIES.get(name) or getattr(socket, name)
                   for name in unit["RestrictAddressFamilies"].split()}
        for family in set(range(64)) - allowed:
            deny(context, "socket", errno.EAFNOSUPPORT, (0, EQ, family, 0))
        deny(context, "socket", errno.EAFNOSUPPORT, (0, GT, 63, 0))
    if unit.get("MemoryDenyWriteExecute") == "yes":
        both = WRITE | EXEC
        deny(context, "mmap", errno.EPERM, (2, MASKED_EQ, both, both))
        deny(context, "mprotect", errno.EPERM, (2, MASKED_EQ, EXEC, EXEC))
    if unit.get("LockPersonality") == "yes":
        deny(context, "personality", errno.EPERM)
    if unit.get("RestrictRealtime") == "yes":
        for policy in (1, 2, 6):
            deny(context, "sched_setscheduler", errno.EPERM,
                 (1, EQ, policy, 0))
    if "RestrictNamespaces" in unit:
        kept = unit["RestrictNamespaces"].split()
        for name, flag in NAMESPACES.items():
            if name not in kept:
                deny(context, "unshare", errno.EPERM, (0, MASKED_EQ, flag, flag))
                deny(context, "clone", errno.EPERM, (0, MASKED_EQ, flag, flag))
                deny(context, "setns", errno.EPERM, (1, MASKED_EQ, flag, flag))
        deny(context, "setns", errno.EPERM, (1, EQ, 0, 0))
    if unit.get("RestrictSUIDSGID") == "yes":
        for bit in (0o4000, 0o2000):
            for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2)):
                deny(context, call, errno.EPERM,
                     (argument, MASKED_EQ, bit, bit))
    # Calls of other architectures end the process: SystemCallArchitectures.
    if seccomp.seccomp_load(context) < 0:
        sys.exit("unit.py: seccomp")


def main():
    unit = directives(sys.argv[1])
    applied = {"CapabilityBoundingSet", "LimitNOFILE", "LimitMEMLOCK",
               "NoNewPrivileges", "RestrictAddressFamilies",
               "MemoryDenyWriteExecute", "LockPersonality",
               "RestrictRealtime", "RestrictNamespaces", "RestrictSUIDSGID",
               "SystemCallArchitectures", "UMask"}
    unknown = set(unit) - applied - LEFT_OUT
    if unknown:
        sys.exit("unit.py: not known: " + " ".join(sorted(unknown)))
    # systemd's own limits where the unit names none.
    limit(resource.RLIMIT_NOFILE, unit.get("LimitNOFILE"), "1024:524288")
    limit(resource.RLIMIT_MEMLOCK, unit.get("LimitMEMLOCK"), "8388608")
    if "CapabilityBoundingSet" in unit:
        drop_capabilities(unit["CapabilityBoundingSet"])
    if "UMask" in unit:
        os.umask(int(unit["UMask"], 8))
    if unit.get("NoNewPrivileges") == "yes":
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filter_calls(unit)
    os.execvp(sys.argv[2], sys.argv[2:])


main()
