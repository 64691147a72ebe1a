/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address that an open connection of an allowed name uses stays open for
 * new ones: clients keep what they have resolved for as long as it works. The
 * namespace's connections are read from conntrack, in parts, when a lease is
 * about to end, and what they use is leased again.
 */
#include "inner.h"
#include "leases.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* A lease is renewed when no more of it is left: the longest time
	 * between two calls, two lists and what reading them takes. */
	HORIZON_MS = 20 * 1000,
	PAUSE_MS = 10 * 1000, /* between lists, at least */
	PAUSE_TIMES = 9,      /* and so many times as long as one took */
	DATAGRAMS_MAX = 8,    /* of a list, in a call */
	BATCHES_MAX = 8       /* of LEASE_RENEWALS_MAX, in a call */
};

struct reading {
	struct filter *filter;
	struct lease_table *leases;
	uint64_t now_ms;
};

/* Was it let out by a policy, is it answered, and has it not ended? */
static bool is_open(const struct connection *c, const struct filter *filter)
{
	if (!c->mark ||
	    (c->mark & RULESET_MARK_INBOUND && !flow_is_onward(filter, c)) ||
	    !(c->status & IPS_ASSURED) || !c->far.family)
		return false;
	if (c->protocol == IPPROTO_TCP)
		return c->tcp_state == TCP_CONNTRACK_ESTABLISHED ||
		       c->tcp_state == TCP_CONNTRACK_FIN_WAIT ||
		       c->tcp_state == TCP_CONNTRACK_CLOSE_WAIT;
	return c->protocol == IPPROTO_UDP;
}

static int see_connection(void *arg, const struct nlmsghdr *nlh)
{
	const struct reading *r = arg;
	struct connection c;

	connection_read(&c, nlh);
	if (!is_open(&c, r->filter))
		return 0;
	lease_use(r->leases, &c.far, c.protocol, c.port, r->now_ms);
	if (r->filter->inherited)
		lease_use(r->filter->inherited, &c.far, c.protocol, c.port,
			  r->now_ms);
	return 0;
}

static int list_connections(struct channel *c)
{
	struct connection_room room;

	return channel_list(
		c, connection_message(&room, IPCTNL_MSG_CT_GET, 0, AF_UNSPEC));
}

/* Have the kernel take a batch of renewed leases. */
static int give(struct filter *filter, struct lease_table *leases,
		const struct lease_renewal *renewed, size_t n, uint64_t now_ms)
{
	struct lease_element elements[LEASE_RENEWALS_MAX] = {{.ports = NULL}};
	int ret;

	for (size_t i = 0; i < n; i++)
		elements[i] = renewed[i].element;
	ret = filter_admit(filter, elements, n);
	for (size_t i = 0; i < n && ret == 0; i++)
		lease_confirm(leases, &elements[i], now_ms);
	return ret;
}

/* The used leases of one table, from its place on. 0: all; 1: more; -errno. */
static int renew_table(struct filter *filter, struct lease_table *leases,
		       size_t *at, uint64_t now_ms)
{
	struct lease_renewal *renewed =
		calloc(LEASE_RENEWALS_MAX, sizeof(*renewed));
	int ret = renewed ? 1 : -ENOMEM;

	for (int i = 0; i < BATCHES_MAX && ret == 1; i++) {
		size_t n = lease_renew(
			leases, filter->policy, filter->settings.private_ok,
			filter->renewal.since_ms, now_ms + HORIZON_MS, now_ms,
			at, renewed);

		ret = n ? give(filter, leases, renewed, n, now_ms) : -EALREADY;
		ret = ret == 0 ? 1 : ret;
	}
	free(renewed);
	return ret == -EALREADY ? 0 : ret;
}

static bool is_due(const struct filter *filter,
		   const struct lease_table *leases, uint64_t now_ms)
{
	if (now_ms < filter->renewal.next_ms)
		return false;
	return lease_due(leases, now_ms + HORIZON_MS) ||
	       (filter->inherited &&
		lease_due(filter->inherited, now_ms + HORIZON_MS));
}

static int renew_all(struct filter *filter, struct lease_table *leases,
		     uint64_t now_ms)
{
	struct renewal *r = &filter->renewal;
	int ret = filter->applied
			  ? renew_table(filter, leases, &r->at[0], now_ms)
			  : -ENOENT;

	if (ret == 0 && filter->inherited)
		ret = renew_table(filter, filter->inherited, &r->at[1], now_ms);
	if (ret <= 0)
		r->stage = RENEWAL_IDLE;
	return ret;
}

static int pass_over(void *arg, const struct nlmsghdr *nlh)
{
	(void)arg;
	(void)nlh;
	return 0;
}

unsigned renewal_wait(struct filter_kernel *kernel, uint64_t iteration)
{
	if (kernel->listed_in == iteration)
		return ++kernel->waiting;
	kernel->listed_in = iteration;
	kernel->waiting = 0;
	return 0;
}

/* Begin a list where a lease is about to end. 0; milliseconds until it may;
 * -errno. */
static int begin(struct filter *filter, const struct lease_table *leases,
		 uint64_t now_ms, uint64_t iteration)
{
	struct filter_kernel *kernel = filter->settings.kernel;
	struct renewal *r = &filter->renewal;
	unsigned wait_ms;
	int ret;

	/* What is left of a list that failed would be readable for ever. */
	(void)channel_list_more(&filter->conntrack, DATAGRAMS_MAX, pass_over,
				NULL);
	if (!filter->applied || !is_due(filter, leases, now_ms))
		return 0;
	wait_ms = kernel ? renewal_wait(kernel, iteration) : 0;
	if (wait_ms)
		return wait_ms < FILTER_RENEW_MS ? (int)wait_ms
						 : FILTER_RENEW_MS;
	r->since_ms = now_ms;
	r->next_ms = now_ms + PAUSE_MS;
	ret = list_connections(&filter->conntrack);
	if (ret == 0)
		r->stage = RENEWAL_LIST;
	return ret;
}

/* Read a part of the list. */
static int read_list(struct filter *filter, struct lease_table *leases,
		     uint64_t now_ms)
{
	struct reading reading = {filter, leases, now_ms};
	struct renewal *r = &filter->renewal;
	int ret = channel_list_more(&filter->conntrack, DATAGRAMS_MAX,
				    see_connection, &reading);

	if (ret == 0)
		return 0; /* the descriptor is readable */
	r->next_ms = now_ms + PAUSE_MS + PAUSE_TIMES * (now_ms - r->since_ms);
	r->at[0] = r->at[1] = 0;
	r->stage = ret < 0 ? RENEWAL_IDLE : RENEWAL_LEASES;
	return ret < 0 ? ret : 0;
}

int filter_renew(struct filter *filter, struct lease_table *leases,
		 uint64_t now_ms, uint64_t iteration)
{
	const struct renewal *r = &filter->renewal;
	int ret = 0;

	/* So that it is known if somebody takes our rules away. */
	if (filter->quota)
		(void)quota_read(&filter->channel, &filter->quota,
				 &filter->consumed);
	if (filter->conntrack.fd < 0)
		return 0;
	if (r->stage == RENEWAL_IDLE)
		ret = begin(filter, leases, now_ms, iteration);
	if (r->stage == RENEWAL_LIST)
		ret = read_list(filter, leases, now_ms);
	if (r->stage == RENEWAL_LEASES)
		ret = renew_all(filter, leases, now_ms);
	return ret;
}
