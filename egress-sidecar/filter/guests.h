/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines behind a routed tap and containers inside the sandbox: their DNS is
 * sent to our listeners, which are on loopback. The kernel takes packets there
 * from a device that is allowed to (route_localnet, ip-sysctl.rst); chain
 * prerouting sees to it that it takes no others.
 */
#ifndef EGRESS_FILTER_GUESTS_H
#define EGRESS_FILTER_GUESTS_H

struct links;

/*
 * Allow it to each of these devices but those with a default route, where the
 * namespace (-1: ours) forwards packets. 0; -errno, as where /proc/sys is
 * read-only or the namespace cannot be entered.
 */
int guests_allow(int netns, const struct links *links);

#endif
