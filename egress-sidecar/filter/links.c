/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	REQUEST_BYTES = 256,
	ROOM_FIRST = 8, /* devices, prefixes */
	READ_TRIES = 4
};

struct wanted {
	uint16_t type;
	const struct nlattr *attr;
};

static int match_attr(const struct nlattr *attr, void *arg)
{
	struct wanted *wanted = arg;

	if (mnl_attr_get_type(attr) != wanted->type)
		return MNL_CB_OK;
	wanted->attr = attr;
	return MNL_CB_STOP;
}

static const struct nlattr *find_attr(const struct nlmsghdr *nlh,
				      unsigned header, uint16_t type)
{
	struct wanted wanted = {type, NULL};

	(void)mnl_attr_parse(nlh, header, match_attr, &wanted);
	return wanted.attr;
}

/* An array with room for one more; NULL when out of memory. */
static void *widen(void *array, size_t n, size_t *size, size_t each)
{
	size_t wider = *size ? *size * 2 : ROOM_FIRST;

	if (n < *size)
		return array;
	array = reallocarray(array, wider, each);
	if (array)
		*size = wider;
	return array;
}

static int read_link(void *arg, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct links *links = arg;
	const struct nlattr *name;
	struct link *at, *link;

	if (nlh->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi) ||
	    ifi->ifi_flags & IFF_LOOPBACK)
		return 0;
	name = find_attr(nlh, sizeof(*ifi), IFLA_IFNAME);
	if (!name || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0 ||
	    strlen(mnl_attr_get_str(name)) >= IF_NAMESIZE)
		return -EBADMSG;
	at = widen(links->at, links->n_devices, &links->devices_size,
		   sizeof(*at));
	if (!at)
		return -ENOMEM;
	links->at = at;
	link = &at[links->n_devices++];
	memset(link, 0, sizeof(*link));
	strncpy(link->name, mnl_attr_get_str(name), IF_NAMESIZE - 1);
	link->index = (unsigned)ifi->ifi_index;
	return 0;
}

/* The addresses that share the first bits of a. */
static void prefix_range(struct address_range *r, const struct address *a,
			 unsigned bits)
{
	r->first = r->last = *a;
	for (unsigned i = bits; i < address_size(a) * 8; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		r->first.bytes[i / 8] &= (uint8_t)~bit;
		r->last.bytes[i / 8] |= bit;
	}
}

static void add_own(struct links *links, const struct ifaddrmsg *ifa,
		    const struct nlattr *attr)
{
	struct address *own = &links->own6[links->n_own6];

	if (ifa->ifa_family == AF_INET6 && links->n_own6 < LINKS_OWN_MAX &&
	    mnl_attr_get_payload_len(attr) == 16 &&
	    address_from_bytes(own, mnl_attr_get_payload(attr), 16) == 0 &&
	    own->family == AF_INET6)
		links->n_own6++;
}

static int read_address(void *arg, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct links *links = arg;
	const struct nlattr *attr, *own;
	struct address_range *onlink;
	struct address a;

	if (nlh->nlmsg_type != RTM_NEWADDR ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa))
		return 0;
	/* IFA_ADDRESS is the peer's prefix on a point-to-point device. */
	attr = find_attr(nlh, sizeof(*ifa), IFA_ADDRESS);
	own = find_attr(nlh, sizeof(*ifa), IFA_LOCAL);
	if (attr)
		add_own(links, ifa, own ? own : attr);
	if (!attr ||
	    address_from_bytes(&a, mnl_attr_get_payload(attr),
			       mnl_attr_get_payload_len(attr)) ||
	    ifa->ifa_prefixlen > address_size(&a) * 8)
		return 0;
	if (address_kind(&a) == ADDRESS_LOOPBACK ||
	    address_kind(&a) == ADDRESS_LINK_LOCAL)
		return 0;
	onlink = widen(links->onlink, links->n_onlink, &links->onlink_size,
		       sizeof(*onlink));
	if (!onlink)
		return -ENOMEM;
	links->onlink = onlink;
	prefix_range(&onlink[links->n_onlink++], &a, ifa->ifa_prefixlen);
	return 0;
}

static int ask(struct channel *route, uint16_t type,
	       int (*each)(void *arg, const struct nlmsghdr *nlh),
	       struct links *links)
{
	char buf[REQUEST_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* As large as ifaddrmsg and more; zero asks for everything. */
	memset(mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg)), 0,
	       sizeof(struct ifinfomsg));
	return channel_ask(route, nlh, each, links);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct link *)a)->name,
		      ((const struct link *)b)->name);
}

static int read_once(struct links *links, struct channel *route)
{
	int ret;

	links->n_devices = links->n_onlink = links->n_own6 = 0;
	ret = ask(route, RTM_GETLINK, read_link, links);
	if (ret == 0)
		ret = ask(route, RTM_GETADDR, read_address, links);
	return ret;
}

/* In an order that does not depend on how the kernel tells of them. */
static int tidy(struct links *links)
{
	links->devices = calloc(links->n_devices + 1, sizeof(*links->devices));
	if (!links->devices)
		return -ENOMEM;
	if (links->n_devices)
		qsort(links->at, links->n_devices, sizeof(links->at[0]),
		      compare_names);
	for (size_t i = 0; i < links->n_devices; i++)
		links->devices[i] = links->at[i].name;
	links->n_onlink = ranges_merge(links->onlink, links->n_onlink);
	return 0;
}

int links_read(struct links *links, struct channel *route)
{
	int ret = 0;

	memset(links, 0, sizeof(*links));
	/* What changes while we look may or may not be in what we see. */
	for (int i = 0; i < READ_TRIES; i++) {
		route->heard = false;
		ret = read_once(links, route);
		if (ret < 0 || !route->heard)
			break;
	}
	if (ret == 0)
		ret = tidy(links);
	if (ret < 0)
		links_free(links);
	return ret;
}

void links_free(struct links *links)
{
	free(links->at);
	free(links->devices);
	free(links->onlink);
	memset(links, 0, sizeof(*links));
}

int links_follow(struct channel *route)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR, RTNLGRP_TC,
				     RTNLGRP_IPV4_NETCONF};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (setsockopt(route->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			       &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	}
	return 0;
}

bool links_changed(struct channel *route)
{
	struct channel_room room;
	bool changed = false;
	ssize_t len;

	/* Too many to be kept (ENOBUFS) are a change too. */
	while ((len = channel_receive(route, &room)) > 0 || len == -ENOBUFS)
		changed = true;
	return changed;
}

bool links_same(const struct links *a, const struct links *b)
{
	if (!links_same_devices(a, b) || a->n_onlink != b->n_onlink)
		return false;
	for (size_t i = 0; i < a->n_onlink; i++)
		if (address_compare(&a->onlink[i].first, &b->onlink[i].first) !=
			    0 ||
		    address_compare(&a->onlink[i].last, &b->onlink[i].last))
			return false;
	return a->n_own6 == b->n_own6 &&
	       memcmp(a->own6, b->own6, a->n_own6 * sizeof(a->own6[0])) == 0;
}

bool links_same_devices(const struct links *a, const struct links *b)
{
	if (a->n_devices != b->n_devices)
		return false;
	for (size_t i = 0; i < a->n_devices; i++)
		if (a->at[i].index != b->at[i].index ||
		    strcmp(a->at[i].name, b->at[i].name) != 0)
			return false;
	return true;
}
