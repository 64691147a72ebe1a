/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's connections, as conntrack tells of them: when each begins and
 * when conntrack forgets it (groups NEW and DESTROY of nfnetlink(7)). What the
 * socket did not hold is counted by the kernel, and what is open is listed
 * then, on the same socket.
 */
#include "host/host.h"
#include "inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define NETFILTER "/proc/sys/net/netfilter/"

enum {
	RECEIVE_BUFFER = 4 << 20, /* bytes; some 6,000 events */
	CT_NEW = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW,
	CT_DELETE = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
	NS_PER_MS = 1000000
};

/* Loopback's connections, which nobody marks, and those of DNS are many and
 * none that is told of; they need not even wake us. Answers to a list pass. */
static int leave_out(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NLMSG_ERROR), 9, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_flags)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_MULTI), 7, 0),
		BPF_STMT(BPF_LD | BPF_IMM,
			 sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg)),
		BPF_STMT(BPF_LDX | BPF_IMM, CTA_MARK),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, sizeof(struct nlattr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RULESET_MARK_REDIRECTED, 1,
			 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {COUNT(code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			  sizeof(program)) < 0
		       ? -errno
		       : 0;
}

static int set_accounting(void *arg)
{
	(void)arg;
	(void)sysctl_set(NETFILTER "nf_conntrack_timestamp");
	return sysctl_set(NETFILTER "nf_conntrack_acct");
}

static int begin_list(struct flow_events *f)
{
	struct connection_room room;
	int ret = channel_list(
		&f->events,
		connection_message(&room, IPCTNL_MSG_CT_GET, 0, AF_UNSPEC));

	f->listing = ret == 0;
	f->stale = false;
	return ret;
}

static int open_events(struct filter *filter)
{
	struct flow_events *f = &filter->flows;
	const int room = RECEIVE_BUFFER;
	int ret = channel_open(&f->events, filter->settings.netns,
			       NETLINK_NETFILTER);

	if (ret < 0)
		return ret;
	if (setsockopt(f->events.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
		       sizeof(room)) < 0)
		(void)setsockopt(f->events.fd, SOL_SOCKET, SO_RCVBUF, &room,
				 sizeof(room));
	return leave_out(f->events.fd);
}

void flow_events_open(struct filter *filter)
{
	if (open_events(filter) < 0) {
		channel_close(&filter->flows.events);
		probe_miss(filter, "a socket for conntrack's events is "
				   "missing: no flows are told");
	} else if (netns_run(filter->settings.netns, set_accounting, NULL) <
		   0) {
		probe_miss(filter, "conntrack does not count bytes "
				   "(net.netfilter.nf_conntrack_acct is 0 and "
				   "cannot be set): flows have none");
	}
}

int filter_flows_listen(struct filter *filter, bool on)
{
	static const int groups[] = {NFNLGRP_CONNTRACK_NEW,
				     NFNLGRP_CONNTRACK_DESTROY};
	struct flow_events *f = &filter->flows;

	for (size_t i = 0; i < COUNT(groups); i++)
		if (setsockopt(f->events.fd, SOL_NETLINK,
			       on ? NETLINK_ADD_MEMBERSHIP
				  : NETLINK_DROP_MEMBERSHIP,
			       &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	f->lossy = false;
	return on ? begin_list(f) : 0;
}

bool flow_is_onward(const struct filter *filter, const struct connection *c)
{
	const struct filter_settings *s = &filter->settings;

	if (c->mark != RULESET_MARK_OURS || c->protocol != IPPROTO_TCP)
		return false;
	for (size_t i = 0; i < filter->n_peers; i++)
		if (filter->peers[i].port == c->port &&
		    address_compare(&filter->peers[i].a, &c->far) == 0)
			return false;
	for (size_t i = 0; i < s->n_gated; i++)
		if (s->gated[i] == c->port)
			return true;
	return false;
}

static bool is_sandboxs(const struct filter *filter, const struct connection *c)
{
	switch (c->mark) {
	case 0:
	case RULESET_MARK_REDIRECTED:
	case RULESET_MARK_GUESTS:
		return false;
	case RULESET_MARK_OURS:
		return flow_is_onward(filter, c);
	default:
		/* Our API is reached from elsewhere. */
		return !(c->mark & RULESET_MARK_INBOUND) ||
		       c->protocol != IPPROTO_TCP ||
		       !filter->settings.api_port ||
		       c->port != filter->settings.api_port;
	}
}

/* false: it is none that is told of. */
static bool fill(struct filter_flow *flow, const struct filter *filter,
		 const struct connection *c)
{
	size_t len = c->tuple ? mnl_attr_get_payload_len(c->tuple) : 0;

	if (len == 0 || len > sizeof(flow->tuple) || !c->source.family ||
	    !c->far.family || !is_sandboxs(filter, c))
		return false;
	memset(flow, 0, sizeof(*flow));
	flow->id = c->id;
	flow->zone = c->zone;
	flow->zoned = c->zoned;
	flow->tuple_len = (uint8_t)len;
	memcpy(flow->tuple, mnl_attr_get_payload(c->tuple), len);
	flow->source = c->source;
	flow->source_port = c->source_port;
	flow->destination = c->far;
	flow->destination_port = c->port;
	flow->protocol = c->protocol;
	flow->inbound =
		c->mark & RULESET_MARK_INBOUND && c->mark != RULESET_MARK_OURS;
	flow->audited = c->mark == RULESET_MARK_AUDITED;
	flow->closed = c->protocol == IPPROTO_TCP &&
		       (c->tcp_state == TCP_CONNTRACK_TIME_WAIT ||
			c->tcp_state == TCP_CONNTRACK_CLOSE);
	flow->counted = c->counted;
	for (size_t i = 0; i < COUNT(c->packets); i++) {
		flow->packets[i] = c->packets[i];
		flow->bytes[i] = c->bytes[i];
	}
	flow->start_ms = c->start_ns / NS_PER_MS;
	flow->end_ms = c->stop_ns / NS_PER_MS;
	return true;
}

static void see(struct filter *filter, const struct nlmsghdr *nlh,
		void (*each)(void *arg, enum filter_flow_event event,
			     const struct filter_flow *flow),
		void *arg)
{
	struct flow_events *f = &filter->flows;
	bool listed = nlh->nlmsg_flags & NLM_F_MULTI;
	struct filter_flow flow;
	struct connection c;

	if (nlh->nlmsg_type < NLMSG_MIN_TYPE) {
		if (nlh->nlmsg_seq == f->events.seq)
			f->listing = false;
		return;
	}
	if (nlh->nlmsg_type != CT_NEW && nlh->nlmsg_type != CT_DELETE)
		return;
	connection_read(&c, nlh);
	if (!fill(&flow, filter, &c))
		return;
	/* Their beginnings, told or not, have been counted. */
	if (listed && flow.closed && f->lossy)
		return;
	each(arg,
	     nlh->nlmsg_type == CT_DELETE ? FILTER_FLOW_ENDED
	     : listed                     ? FILTER_FLOW_LISTED
					  : FILTER_FLOW_BEGUN,
	     &flow);
}

int filter_flows_fd(const struct filter *filter)
{
	return filter->flows.events.fd;
}

int filter_flows_read(struct filter *filter,
		      void (*each)(void *arg, enum filter_flow_event event,
				   const struct filter_flow *flow),
		      void *arg)
{
	struct flow_events *f = &filter->flows;
	struct channel_room room;
	int n = 0;

	while (n < FILTER_FLOWS_READ) {
		const struct nlmsghdr *nlh = (const void *)room.bytes;
		ssize_t len = channel_receive(&f->events, &room);
		int left = (int)len;

		if (len == -ENOBUFS) {
			f->stale = f->lossy = true;
			continue;
		}
		if (len < 0)
			return (int)len;
		if (len == 0)
			break;
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left), n++)
			see(filter, nlh, each, arg);
	}
	if (f->stale && !f->listing)
		(void)begin_list(f);
	return n;
}

uint64_t filter_flows_lost(struct filter *filter)
{
	struct flow_events *f = &filter->flows;
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);

	if (f->events.fd >= 0 &&
	    getsockopt(f->events.fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0 &&
	    len > SK_MEMINFO_DROPS * sizeof(*info)) {
		/* The kernel's is of 32 bits and wraps. */
		f->lost += info[SK_MEMINFO_DROPS] - (uint32_t)f->lost;
	}
	return f->lost;
}

struct asked {
	const struct filter *filter;
	struct filter_flow *flow;
	bool found;
};

/* The only one there is, though it comes as a list's first. */
static int take_answer(void *arg, const struct nlmsghdr *nlh)
{
	struct asked *asked = arg;
	struct filter_flow now;
	struct connection c;

	connection_read(&c, nlh);
	if (c.id == asked->flow->id && fill(&now, asked->filter, &c)) {
		*asked->flow = now;
		asked->found = true;
	}
	return -EALREADY;
}

int filter_flow_ask(struct filter *filter, struct filter_flow *flow)
{
	struct asked asked = {filter, flow, false};
	struct connection_room room;
	struct nlmsghdr *nlh = connection_message(&room, IPCTNL_MSG_CT_GET, 0,
						  flow->source.family);
	int ret;

	mnl_attr_put(nlh, CTA_TUPLE_ORIG | NLA_F_NESTED, flow->tuple_len,
		     flow->tuple);
	if (flow->zoned)
		mnl_attr_put_u16(nlh, CTA_ZONE, flow->zone);
	ret = channel_ask(&filter->channel, nlh, take_answer, &asked);
	if (asked.found)
		return 0;
	return ret == -EALREADY ? -ENOENT : ret;
}

const struct domain_name *filter_last_name(const struct filter *filter,
					   const struct lease_table *leases,
					   const struct address *a)
{
	const struct domain_name *name = lease_last_name(leases, a);

	return name || !filter->inherited
		       ? name
		       : lease_last_name(filter->inherited, a);
}
