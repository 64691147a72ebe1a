/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sandbox's namespace is connected to: devices, the prefixes of its
 * neighbours, and the addresses that it has there.
 */
#ifndef EGRESS_FILTER_LINKS_H
#define EGRESS_FILTER_LINKS_H

#include "policy/address.h"

#include <net/if.h>

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

struct channel;

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

#endif
