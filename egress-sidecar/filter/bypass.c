/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"
#include "host/host.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	REQUEST_BYTES = 256
};

/* Wherever in the filter's attributes the action's kind stands. */
static int look_for_mirred(void *arg, const struct nlmsghdr *nlh)
{
	static const char kind[] = "mirred";
	bool *found = arg;

	if (nlh->nlmsg_type == RTM_NEWTFILTER &&
	    memmem(mnl_nlmsg_get_payload(nlh), mnl_nlmsg_get_payload_len(nlh),
		   kind, sizeof(kind)))
		*found = true;
	return 0;
}

/* A device without such a discipline is an error, and has no filters. */
static bool is_redirected(struct channel *route, unsigned device,
			  uint32_t parent)
{
	char buf[REQUEST_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tcm;
	bool found = false;

	nlh->nlmsg_type = RTM_GETTFILTER;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	tcm = mnl_nlmsg_put_extra_header(nlh, sizeof(*tcm));
	tcm->tcm_ifindex = (int)device;
	tcm->tcm_parent = parent;
	(void)channel_ask(route, nlh, look_for_mirred, &found);
	return found;
}

const char *bypass_redirected(struct channel *route, const struct links *links)
{
	/* "ingress" and "clsact", and the latter's other side. */
	static const uint32_t parents[] = {
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
	};

	for (size_t i = 0; i < links->n_devices; i++)
		for (size_t k = 0; k < sizeof(parents) / sizeof(*parents); k++)
			if (is_redirected(route, links->at[i].index,
					  parents[k]))
				return links->at[i].name;
	return NULL;
}

/* A socket that sees whole frames of IP on one device. */
static int look_for_packet(void *arg)
{
	struct filter_bypass *found = arg;
	FILE *file = fopen("/proc/thread-self/net/packet", "re");
	unsigned protocol, device;
	char line[256];
	int type;

	if (!file)
		return -errno;
	while (!found->packet && fgets(line, sizeof(line), file))
		found->packet =
			sscanf(line, "%*s %*d %d %x %u", &type, &protocol,
			       &device) == 3 &&
			device != 0 &&
			(protocol == ETH_P_ALL || protocol == ETH_P_IP ||
			 protocol == ETH_P_IPV6);
	(void)fclose(file);
	return 0;
}

int filter_bypass(int netns, struct filter_bypass *found)
{
	struct channel route;
	struct links links;
	const char *name;
	int ret;

	memset(found, 0, sizeof(*found));
	ret = channel_open(&route, netns, NETLINK_ROUTE);
	if (ret < 0)
		return ret;
	ret = links_read(&links, &route);
	if (ret == 0) {
		name = bypass_redirected(&route, &links);
		if (name)
			snprintf(found->redirected, sizeof(found->redirected),
				 "%s", name);
		links_free(&links);
	}
	channel_close(&route);
	return ret < 0 ? ret : netns_run(netns, look_for_packet, found);
}
