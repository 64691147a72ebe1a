/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of AF_XDP sockets (Documentation/networking/af_xdp.rst) pass no hook
 * of the kernel's, and CAP_NET_RAW is enough to make one. But a queue of a
 * device takes only one of them: whoever holds every queue is the only one who
 * could send, and we do not.
 */
#ifndef EGRESS_FILTER_XDP_H
#define EGRESS_FILTER_XDP_H

#include "links.h"

struct xdp_holds;

/*
 * Holds nothing yet. spares are sockets made now, in the namespace (-1: our
 * own), so that devices which come later are held without the privileges that
 * making one needs; with spares, what one process holds the processes that it
 * forks know of, and hold too; they make no further ones. 0, -ENOMEM; that
 * sockets cannot be made is for xdp_hold() to say.
 */
int xdp_new(struct xdp_holds **out, int netns, size_t spares);
/* Let go of them: anybody may bind to those queues afterwards. */
void xdp_free(struct xdp_holds *holds);

/*
 * Hold every queue of the n devices of a namespace (-1: our own), and let go
 * of devices that are gone. Those held already stay so.
 * Devices that are down are left for the next time; they send nothing.
 * Needs CAP_NET_RAW, CAP_SYS_ADMIN to join the namespace, and a page of
 * RLIMIT_MEMLOCK for each queue, where no spare socket is left.
 * 0, also where the kernel has no such sockets; -EBUSY: somebody else has one,
 * the rest is held; or another -errno, the rest is not.
 */
int xdp_hold(struct xdp_holds *holds, int netns, const struct link *devices,
	     size_t n);

#endif
