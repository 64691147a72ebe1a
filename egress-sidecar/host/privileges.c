/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "life/life.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>

const char *privileges_missing(const struct settings *settings)
{
	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return "CAP_NET_ADMIN";
	if (settings->run != RUN_SIDECAR &&
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN))
		return "CAP_SYS_ADMIN";
	return NULL;
}

/* Of what we may need, that which we have: a container may be given less. */
static int capabilities_drop(const struct settings *settings)
{
	bool agent = settings->run == RUN_AGENT;
	bool file = settings->policy_file[0] != '\0';
	struct {
		unsigned capability;
		bool kept;
	} row[] = {
		{CAP_NET_ADMIN, true},
		{CAP_SYS_ADMIN, agent},
		{CAP_SYS_PTRACE, agent},
		{CAP_NET_RAW, agent},
		{CAP_DAC_OVERRIDE, agent || file},
		{CAP_CHOWN, file},
	};
	bool bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);

	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		row[i].kept &= capng_have_capability(CAPNG_PERMITTED,
						     row[i].capability) != 0;
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (row[i].kept)
			capng_update(CAPNG_ADD,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED,
				     row[i].capability);
	return capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS)
		       ? -EPERM
		       : 0;
}

static int calls_forbid(void)
{
	static const int calls[] = {
		SCMP_SYS(execve),
		SCMP_SYS(execveat),
#ifndef __SANITIZE_ADDRESS__ /* whose leak checker stops threads with it */
		SCMP_SYS(ptrace),
#endif
		SCMP_SYS(process_vm_readv),
		SCMP_SYS(process_vm_writev),
		SCMP_SYS(mount),
		SCMP_SYS(umount2),
		SCMP_SYS(pivot_root),
		SCMP_SYS(chroot),
		SCMP_SYS(unshare),
		SCMP_SYS(init_module),
		SCMP_SYS(finit_module),
		SCMP_SYS(delete_module),
		SCMP_SYS(kexec_load),
		SCMP_SYS(kexec_file_load),
		SCMP_SYS(bpf),
		SCMP_SYS(perf_event_open),
		SCMP_SYS(userfaultfd),
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
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int err = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls) && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	if (!err)
		err = seccomp_load(ctx);
	if (ctx)
		seccomp_release(ctx);
	return err;
}

int privileges_drop(const struct settings *settings)
{
	int err = capabilities_drop(settings);

	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	return err ? err : calls_forbid();
}
