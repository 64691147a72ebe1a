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
 * the process has them. Drop every other from all sets, and from the bounding
 * set where CAP_SETPCAP allows that; set no_new_privs; and have calls fail with
 * EPERM that nothing here makes (seccomp(2)): running programs, tracing, making
 * namespaces, mounting, loading code into the kernel, keys, clocks, swap. 0 or
 * -errno.
 */
int privileges_drop(const struct settings *settings);

#endif
