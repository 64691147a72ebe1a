/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways for packets past the namespace's IP hooks, where no rule of ours sees
 * them as what they are: a queueing discipline that redirects a device's
 * frames to another (tc-mirred(8)), as virtual machines have between their tap
 * and the namespace's device; packet(7) sockets, which a network stack of its
 * own has (gVisor).
 */
#ifndef EGRESS_FILTER_BYPASS_H
#define EGRESS_FILTER_BYPASS_H

struct channel;
struct links;

/* A device whose frames are redirected, of those in links, which own its name;
 * NULL: none. No privilege is needed (rtnetlink(7)). */
const char *bypass_redirected(struct channel *route, const struct links *links);

#endif
