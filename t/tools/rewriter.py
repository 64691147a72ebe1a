#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run a program in a control group whose connect(2) leads elsewhere, as a
load balancer of sockets does it (BPF_CGROUP_INET4_CONNECT or INET6, Linux 4.17).

usage: rewriter.py CGROUP FROM TO PROGRAM [ARGUMENT...]

CGROUP is a name below the unified hierarchy; it is made, and is the caller's to
remove. Exits 77 where the kernel takes no such program.
"""
import ctypes
import os
import socket
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROG_LOAD, PROG_ATTACH = 5, 8
TYPE_SOCK_ADDR, INET4_CONNECT, INET6_CONNECT = 18, 10, 11
USER_IP4, USER_IP6 = 4, 8  # in struct bpf_sock_addr
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    attr = ctypes.create_string_buffer(attributes, 128)
    fd = libc.syscall(SYS_BPF, command, attr, len(attr))
    if fd < 0:
        print("bpf:", os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(77)
    return fd


def instruction(code, target=0, source=0, offset=0, value=b"\0" * 4):
    return struct.pack("BBh", code, target | source << 4, offset) + value


def program(old, new):
    """Write new over old, word by word; anything else stays."""
    at = USER_IP4 if len(old) == 4 else USER_IP6
    words = range(0, len(old), 4)
    checks, writes = [], []
    for i in words:
        checks.append(instruction(0x61, 2, 1, at + i))  # r2 = ctx's word
        checks.append(None)                             # other: to the end
        writes.append(instruction(0xb4, 3, 0, 0, new[i:i + 4]))
        writes.append(instruction(0x63, 1, 3, at + i))
    for i in words:
        here = i // 2 + 1
        checks[here] = instruction(
            0x56, 2, 0, len(checks) + len(writes) - here - 1, old[i:i + 4])
    return b"".join(checks + writes + [
        instruction(0xb7, 0, 0, 0, struct.pack("i", 1)), instruction(0x95)])


def load(code, kind):
    instructions = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack(
        "IIQQIIQII16sII", TYPE_SOCK_ADDR, len(code) // 8,
        ctypes.addressof(instructions), ctypes.addressof(license_), 0, 0, 0,
        0, 0, b"rewriter", 0, kind))


def hierarchy():
    with open("/proc/mounts") as f:
        for line in f:
            _, place, kind = line.split()[:3]
            if kind == "cgroup2":
                return place
    # "ip netns exec" hides it, and gives us mounts of our own.
    libc.unshare(CLONE_NEWNS)
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    if libc.mount(b"none", b"/sys", b"cgroup2", 0, None) < 0:
        print("cgroup2:", os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(77)
    return "/sys"


group, old, new = sys.argv[1:4]
folder = os.path.join(hierarchy(), group)
os.makedirs(folder, exist_ok=True)
fd = os.open(folder, os.O_RDONLY)
family = socket.AF_INET6 if ":" in old else socket.AF_INET
kind = INET6_CONNECT if ":" in old else INET4_CONNECT
code = program(socket.inet_pton(family, old), socket.inet_pton(family, new))
bpf(PROG_ATTACH, struct.pack("IIII", fd, load(code, kind), kind, 0))
os.close(fd)
with open(os.path.join(folder, "cgroup.procs"), "w") as procs:
    procs.write(str(os.getpid()))
os.execvp(sys.argv[4], sys.argv[4:])
