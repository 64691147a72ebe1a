/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program may do: check that it is enough, then give up the rest.
 */
#ifndef EGRESS_PRIVILEGES_H
#define EGRESS_PRIVILEGES_H

#include "life/settings.h"

/* The name of the first capability that settings need and the process lacks;
 * NULL: none (capabilities(7)). */
const char *privileges_missing(const struct settings *settings);

/*
 * Keep CAP_NET_ADMIN (netfilter, SO_MARK), in agent mode CAP_SYS_ADMIN
 * (setns(2)), CAP_SYS_PTRACE and CAP_NET_RAW (AF_XDP), for a policy file
 * CAP_DAC_OVERRIDE and CAP_CHOWN, for an agent's folder the former, as far as
 * the process has them; drop every other from all sets and the bounding set,
 * set no_new_privs, and forbid system calls that nothing here makes: running
 * programs, tracing, mounting, loading code into the kernel (seccomp(2)). 0 or
 * -errno.
 */
int privileges_drop(const struct settings *settings);

#endif
