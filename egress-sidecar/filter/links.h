/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sandbox's namespace is connected to: devices and the prefixes of
 * its neighbours.
 */
#ifndef EGRESS_FILTER_LINKS_H
#define EGRESS_FILTER_LINKS_H

#include "../policy/address.h"

#include <net/if.h>

enum {
	LINKS_DEVICES_MAX = 64,
	LINKS_ONLINK_MAX = 64
};

/* Another device of the same name has another index. */
struct link {
	char name[IF_NAMESIZE];
	unsigned index;
};

struct links {
	struct link at[LINKS_DEVICES_MAX];
	const char *devices[LINKS_DEVICES_MAX + 1]; /* sorted, NULL at the end;
						       without loopback */
	size_t n_devices;
	struct address_range onlink[LINKS_ONLINK_MAX];
	size_t n_onlink;
};

struct channel;

/* Ask over a NETLINK_ROUTE channel, which stays in its namespace, so that no
 * privilege is needed to look there again (rtnetlink(7)). 0 or -errno; -E2BIG
 * where there are more than we can hold. */
int links_read(struct links *links, struct channel *route);
/* Have route tell of changes from now on, and ask it whether it has. */
int links_follow(struct channel *route);
bool links_changed(struct channel *route);
bool links_same(const struct links *a, const struct links *b);
bool links_same_devices(const struct links *a, const struct links *b);

#endif
