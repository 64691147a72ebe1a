/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>

/* A container may have been given less. */
static int drop_capabilities(const unsigned *capabilities, size_t n)
{
	uint64_t held = 0;
	bool bounding;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (size_t i = 0; i < n; i++)
		if (capng_have_capability(CAPNG_PERMITTED, capabilities[i]))
			held |= UINT64_C(1) << capabilities[i];
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < n; i++)
		if (held >> capabilities[i] & 1)
			capng_update(CAPNG_ADD,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED,
				     capabilities[i]);
	return capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS)
		       ? -EPERM
		       : 0;
}

static const int forbidden[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
#ifndef __SANITIZE_ADDRESS__ /* whose leak checker stops threads with it */
	SCMP_SYS(ptrace),
#endif
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(fsopen),
	SCMP_SYS(fspick),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(unshare),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(add_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(request_key),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(personality),
};

int confine_forbid(void *filter, const int *calls, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i],
				       0);
	return err;
}

static int forbid_calls(int (*more)(void *filter))
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? 0 : -ENOMEM;

	if (!err)
		err = confine_forbid(filter, forbidden,
				     sizeof(forbidden) / sizeof(*forbidden));
	if (!err && more)
		err = more(filter);
	if (!err)
		err = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return err;
}

int confine(const unsigned *capabilities, size_t n, int (*more)(void *filter))
{
	int err = drop_capabilities(capabilities, n);

	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	return err ? err : forbid_calls(more);
}
