/* SPDX-License-Identifier: Apache-2.0 */
#include "links.h"

#include "../netns.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>

static int add_device(struct links *links, const char *name)
{
	for (size_t i = 0; i < links->n_devices; i++) {
		if (strcmp(links->name[i], name) == 0)
			return 0;
	}
	if (links->n_devices == LINKS_DEVICES_MAX)
		return -E2BIG;
	if (strlen(name) >= IF_NAMESIZE)
		return -EINVAL;
	strncpy(links->name[links->n_devices++], name, IF_NAMESIZE - 1);
	return 0;
}

static int add_onlink(struct links *links, const struct ifaddrs *ifa)
{
	const struct sockaddr_in6 *a = (const void *)ifa->ifa_addr;
	const struct sockaddr_in6 *mask = (const void *)ifa->ifa_netmask;
	struct address_range *r = &links->onlink[links->n_onlink];

	if (!mask || IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr) ||
	    IN6_IS_ADDR_LOOPBACK(&a->sin6_addr))
		return 0;
	if (links->n_onlink == LINKS_ONLINK_MAX)
		return -E2BIG;
	memset(r, 0, sizeof(*r));
	r->first.family = r->last.family = AF_INET6;
	for (size_t i = 0; i < 16; i++) {
		uint8_t bits = mask->sin6_addr.s6_addr[i];
		uint8_t octet = a->sin6_addr.s6_addr[i];

		r->first.bytes[i] = octet & bits;
		r->last.bytes[i] = (uint8_t)((octet & bits) | (uint8_t)~bits);
	}
	links->n_onlink++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* getifaddrs(3) lists every device, those without addresses too. */
static int read_here(void *arg)
{
	struct links *links = arg;
	struct ifaddrs *list;
	int ret = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (struct ifaddrs *ifa = list; ifa && ret == 0; ifa = ifa->ifa_next) {
		if (ifa->ifa_flags & IFF_LOOPBACK || !ifa->ifa_addr)
			continue;
		if (ifa->ifa_addr->sa_family == AF_PACKET)
			ret = add_device(links, ifa->ifa_name);
		else if (ifa->ifa_addr->sa_family == AF_INET6)
			ret = add_onlink(links, ifa);
	}
	freeifaddrs(list);
	if (ret < 0)
		return ret;
	qsort(links->name, links->n_devices, sizeof(links->name[0]),
	      compare_names);
	for (size_t i = 0; i < links->n_devices; i++)
		links->devices[i] = links->name[i];
	return 0;
}

int links_read(struct links *links, int netns)
{
	memset(links, 0, sizeof(*links));
	return netns_run(netns, read_here, links);
}

bool links_same_devices(const struct links *a, const struct links *b)
{
	return a->n_devices == b->n_devices &&
	       memcmp(a->name, b->name, sizeof(a->name)) == 0;
}
