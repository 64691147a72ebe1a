/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of the sandbox's namespace: what it is connected to, and what
 * passes there that no rule of ours judges.
 */
#ifndef EGRESS_FILTER_DEVICES_H
#define EGRESS_FILTER_DEVICES_H

#include "netlink.h"

#include <net/if.h>

/* links.c */

enum {
	LINKS_OWN_MAX = 128
};

/* Another device of the same name has another index. */
struct link {
	char name[IF_NAMESIZE];
	unsigned index;
};

/* As many as there are; what is owned is freed by links_free(). */
struct links {
	struct link *at;      /* owned; sorted, without loopback */
	const char **devices; /* owned; their names, NULL at the end */
	size_t n_devices, devices_size;
	struct address_range *onlink; /* owned; sorted, none touches another */
	size_t n_onlink, onlink_size;
	/* Its own IPv6 addresses; those beyond are left out. */
	struct address own6[LINKS_OWN_MAX];
	size_t n_own6;
};

/* Ask over a NETLINK_ROUTE channel, which stays in its namespace, so that no
 * privilege is needed to look there again (rtnetlink(7)). Whatever links held
 * is forgotten, not freed. 0, or -errno and links is empty. */
int links_read(struct links *links, struct channel *route);
void links_free(struct links *links);
/* Have route tell of changes from now on, and ask it whether it has. */
int links_follow(struct channel *route);
bool links_changed(struct channel *route);
bool links_same(const struct links *a, const struct links *b);
bool links_same_devices(const struct links *a, const struct links *b);

/*
 * bypass.c: paths for packets past the namespace's IP hooks, where no rule of
 * ours sees them as what they are: a queueing discipline that redirects a
 * device's frames to another (tc-mirred(8)), as virtual machines have between
 * their tap and the namespace's device; packet(7) sockets, which a network
 * stack of its own has (gVisor).
 */

/* A device whose frames are redirected, of those in links, which own its name;
 * NULL: none. No privilege is needed (rtnetlink(7)). */
const char *bypass_redirected(struct channel *route, const struct links *links);

/* devices.c */

/* What the devices let pass by us: at the start for filter_missing(), later for
 * filter_fault(). 0 or -errno. */
int devices_open(struct filter *filter);
void devices_follow(struct filter *filter, const struct links *links);

/*
 * guests.c: machines behind a routed tap and containers inside the sandbox:
 * their DNS is sent to our listeners, which are on loopback. The kernel takes
 * packets there from a device that is allowed to (route_localnet,
 * ip-sysctl.rst); chain to_loopback sees to it that it takes no others.
 */

/*
 * Allow it to each of these devices but those with a default route, where the
 * namespace (-1: ours) forwards packets. 0; -errno, as where /proc/sys is
 * read-only or the namespace cannot be entered.
 */
int guests_allow(int netns, const struct links *links);

/* sysctl.c: switches below /proc/sys, of the namespace that the calling thread
 * is in. */

bool sysctl_is_set(const char *path);
/* To 1, unless it is set. 0; -errno, as -EROFS in most containers. */
int sysctl_set(const char *path);

/*
 * xdp.c: frames of AF_XDP sockets (Documentation/networking/af_xdp.rst) pass no
 * hook of the kernel's, and CAP_NET_RAW is enough to make one. But a queue of a
 * device takes only one of them: whoever holds every queue is the only one who
 * could send, and we do not.
 */

/*
 * Holds nothing yet. spares are sockets made now, in the namespace (-1: our
 * own), so that devices which come later are held without the privileges that
 * making one needs; with spares, what one process holds the processes that it
 * forks know of, and hold too; they make no further ones. 0, -ENOMEM; that
 * sockets cannot be made is for xdp_hold() to say.
 */
int xdp_new(struct xdp_holds **out, int netns, size_t spares);

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
