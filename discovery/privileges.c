/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include "confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>

static int opening_forbid(scmp_filter_ctx ctx)
{
	static const struct {
		unsigned mask;
		unsigned value;
	} writing[] = {
		{O_ACCMODE, O_WRONLY},
		{O_ACCMODE, O_RDWR},
		{O_CREAT, O_CREAT},
		{O_TRUNC, O_TRUNC},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(writing) / sizeof(*writing) && !err;
	     i++) {
		err = seccomp_rule_add(
			ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, writing[i].mask,
				writing[i].value));
		if (!err)
			err = seccomp_rule_add(
				ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(open), 1,
				SCMP_A1(SCMP_CMP_MASKED_EQ, writing[i].mask,
					writing[i].value));
	}
	return err;
}

/* Whatever changes a file system, and joining a namespace. */
static int writing_forbid(void *filter)
{
	static const int calls[] = {
		SCMP_SYS(openat2),  SCMP_SYS(creat),     SCMP_SYS(truncate),
		SCMP_SYS(rename),   SCMP_SYS(renameat),  SCMP_SYS(renameat2),
		SCMP_SYS(unlink),   SCMP_SYS(unlinkat),  SCMP_SYS(link),
		SCMP_SYS(linkat),   SCMP_SYS(symlink),   SCMP_SYS(symlinkat),
		SCMP_SYS(mkdir),    SCMP_SYS(mkdirat),   SCMP_SYS(rmdir),
		SCMP_SYS(mknod),    SCMP_SYS(mknodat),   SCMP_SYS(chmod),
		SCMP_SYS(fchmod),   SCMP_SYS(fchmodat),  SCMP_SYS(chown),
		SCMP_SYS(fchown),   SCMP_SYS(lchown),    SCMP_SYS(fchownat),
		SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr),
		SCMP_SYS(setns),
	};
	int err = confine_forbid(filter, calls, sizeof(calls) / sizeof(*calls));

	return err ? err : opening_forbid(filter);
}

int privileges_drop(bool sockets)
{
	static const unsigned kept[] = {CAP_DAC_OVERRIDE};

	return confine(kept, sockets ? 1 : 0, writing_forbid);
}
