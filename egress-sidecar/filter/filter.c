/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	XDP_SPARES = 8 /* queues of devices that come later */
};

static uint32_t hash(uint32_t h, const void *data, size_t len)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ byte[i]) * 16777619U;
	return h;
}

/* Made from the settings that let connections in, so that a new process with
 * the same settings knows them again. */
static uint32_t inbound_mark_of(const struct filter_settings *s)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < s->n_inbound; i++) {
		h = hash(h, s->inbound[i].first.bytes, 16);
		h = hash(h, s->inbound[i].last.bytes, 16);
	}
	h = hash(h, &s->inbound_only, sizeof(s->inbound_only));
	return mark_inbound(hash(h, &s->api_port, sizeof(s->api_port)));
}

/* A gate without a port, or without a way on for it alone, is none. */
static int check_gate(const struct filter_settings *s, const char **why)
{
	if (!s->n_gated ||
	    (s->n_gated <= FILTER_GATED_MAX && s->gate_port && s->mark))
		return 0;
	*why = "the gate's port, mark or list of ports";
	return -EINVAL;
}

static int copy_settings(struct filter *filter,
			 const struct filter_settings *settings)
{
	filter->settings = *settings;
	if (settings->dns_only)
		filter->settings.n_gated = 0;
	if (filter->settings.n_gated)
		filter->settings.uid =
			netns_user(settings->netns, settings->uid);
	if (settings->n_doh == 0)
		return 0;
	filter->doh = calloc(settings->n_doh, sizeof(*filter->doh));
	if (!filter->doh)
		return -ENOMEM;
	memcpy(filter->doh, settings->doh,
	       settings->n_doh * sizeof(*filter->doh));
	filter->settings.doh = filter->doh;
	return 0;
}

static int open_poll(struct filter *filter)
{
	const int fds[] = {filter->route.fd, filter->log.fd,
			   filter->monitor.events.fd, filter->conntrack.fd};

	filter->poll = epoll_create1(EPOLL_CLOEXEC);
	if (filter->poll < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct epoll_event event = {.events = EPOLLIN};

		if (fds[i] >= 0 &&
		    epoll_ctl(filter->poll, EPOLL_CTL_ADD, fds[i], &event) < 0)
			return -errno;
	}
	return links_follow(&filter->route);
}

int filter_hold_xdp(struct xdp_holds **out, int netns)
{
	struct channel route;
	struct links links;
	int ret = xdp_new(out, netns, XDP_SPARES);

	if (ret < 0)
		return ret;
	ret = channel_open(&route, netns, NETLINK_ROUTE);
	if (ret == 0)
		ret = links_read(&links, &route);
	if (ret == 0) {
		(void)xdp_hold(*out, netns, links.at, links.n_devices);
		links_free(&links);
	}
	channel_close(&route);
	return 0;
}

static int draw_numbers(struct filter *filter)
{
	uint64_t key;

	/* getrandom(2) of so few bytes is never cut short. */
	if (getrandom(&filter->generation, sizeof(filter->generation), 0) < 0 ||
	    getrandom(&key, sizeof(key), 0) < 0)
		return -errno;
	filter->generation = mark_generation(filter->generation);
	for (size_t i = 0; i < LEASE_SETS; i++)
		filter->held[i].key = filter->held_grace[i].key = key;
	return 0;
}

static int open_channels(struct filter *filter)
{
	const struct filter_settings *s = &filter->settings;
	int ret = channel_open(&filter->channel, s->netns, NETLINK_NETFILTER);

	if (ret == 0)
		ret = channel_open(&filter->route, s->netns, NETLINK_ROUTE);
	if (ret < 0)
		return ret;
	/* Without it revoked sockets end with their next packet. */
	(void)channel_open(&filter->diag, s->netns, NETLINK_SOCK_DIAG);
	if (!s->dns_only && !s->audit)
		(void)channel_open(&filter->conntrack, s->netns,
				   NETLINK_NETFILTER);
	return 0;
}

/* What the kernel tells of itself: changes of the tables, refused packets. It
 * tells the latter to one process of a namespace alone. Two that write the
 * rules of one sandbox would take turns for ever, so the second gives up. */
static int open_reports(struct filter *filter, const char **why)
{
	struct filter_settings *s = &filter->settings;
	int ret =
		monitor_open(&filter->monitor, s->netns, filter->channel.port);

	if (ret < 0)
		return ret;
	if (s->log_group)
		ret = nflog_open(&filter->log, s->netns, s->log_group);
	if (ret == -EPERM) {
		*why = "another process guards this sandbox; end it first";
		return -EBUSY;
	}
	if (ret < 0)
		s->log_group = 0;
	if (!s->dns_only)
		flow_events_open(filter);
	return 0;
}

/* The parts of a filter, one after the other; *why as filter_open() has it. */
static int open_parts(struct filter *filter, const char **why)
{
	int ret;

	*why = "random numbers (getrandom)";
	ret = draw_numbers(filter);
	if (ret < 0)
		return ret;
	*why = "a netlink socket in the sandbox's network namespace";
	ret = open_channels(filter);
	if (ret < 0)
		return ret;
	ret = probe_kernel(filter, why);
	if (ret < 0)
		return ret;
	*why = "notifications of the packet filter (nfnetlink)";
	ret = open_reports(filter, why);
	if (ret < 0)
		return ret;
	*why = "an epoll descriptor";
	ret = open_poll(filter);
	if (ret < 0)
		return ret;
	*why = "the devices of the sandbox's network namespace";
	return devices_open(filter);
}

int filter_open(struct filter **out, const struct filter_settings *settings,
		const char **why)
{
	struct filter *filter = calloc(1, sizeof(*filter));
	int ret;

	*why = "memory";
	if (!filter)
		return -ENOMEM;
	filter->channel.fd = -1;
	filter->route.fd = -1;
	filter->diag.fd = -1;
	filter->log.fd = -1;
	filter->monitor.events.fd = -1;
	filter->conntrack.fd = -1;
	filter->flows.events.fd = -1;
	filter->poll = -1;
	filter->inbound_mark = inbound_mark_of(settings);
	ret = check_gate(settings, why);
	if (ret == 0)
		ret = copy_settings(filter, settings);
	if (ret == 0)
		ret = open_parts(filter, why);
	if (ret < 0) {
		filter_close(filter);
		return ret;
	}
	*why = NULL;
	*out = filter;
	return 0;
}

const char *filter_missing(const struct filter *filter, size_t i)
{
	return i < MISSING_MAX ? filter->missing[i] : NULL;
}

unsigned filter_features(const struct filter *filter, unsigned *tried)
{
	const struct filter_kernel *kernel = filter->settings.kernel;
	unsigned found = (filter->has_egress ? FILTER_EGRESS_HOOK : 0u) |
			 (filter->has_fib ? FILTER_ROUTE_LOOKUP : 0u) |
			 (filter->settings.log_group ? FILTER_LOG : 0u);

	*tried = FILTER_EGRESS_HOOK | FILTER_ROUTE_LOOKUP | FILTER_LOG;
	if (!kernel || !kernel->limits_known)
		return found;
	*tried |= FILTER_CONNLIMIT | FILTER_QUOTA;
	if (kernel->has_connlimit)
		found |= FILTER_CONNLIMIT;
	if (kernel->has_quota)
		found |= FILTER_QUOTA;
	return found & ~filter->settings.without;
}

void filter_set_resolvers(struct filter *filter,
			  const struct filter_peer *resolvers, size_t n)
{
	memcpy(filter->settings.resolvers, resolvers, n * sizeof(*resolvers));
	filter->settings.n_resolvers = n;
}

static bool same_peers(const struct filter *filter,
		       const struct filter_peer *peers, size_t n)
{
	if (n != filter->n_peers)
		return false;
	for (size_t i = 0; i < n; i++)
		if (peers[i].port != filter->peers[i].port ||
		    address_compare(&peers[i].a, &filter->peers[i].a) != 0)
			return false;
	return true;
}

int filter_let_out(struct filter *filter, const struct filter_peer *peers,
		   size_t n)
{
	const struct ruleset r = {.peers = peers, .n_peers = n};
	int ret = 0;

	if (n > FILTER_PEERS_MAX)
		return -E2BIG;
	if (!filter->settings.mark)
		return -EINVAL;
	if (same_peers(filter, peers, n))
		return 0;
	if (filter->applied) {
		channel_begin(&filter->channel, &filter->batch);
		sets_write_peers(&filter->batch, &r);
		ret = channel_commit(&filter->channel, &filter->batch, true);
	}
	if (ret < 0)
		return ret;
	memcpy(filter->peers, peers, n * sizeof(*peers));
	filter->n_peers = n;
	return 0;
}

int filter_log_fd(const struct filter *filter)
{
	return filter->poll;
}

int filter_log_read(struct filter *filter,
		    void (*each)(void *arg, const struct refused_packet *p),
		    void *arg)
{
	int ret = 0;

	if (filter->log.fd >= 0)
		ret = nflog_read(&filter->log, each, arg);
	if (links_changed(&filter->route)) {
		int err = filter_follow_links(filter);

		ret = ret < 0 ? ret : err;
	}
	return ret;
}

bool filter_spent(struct filter *filter)
{
	bool told = filter->spent;

	filter->spent = is_spent(filter);
	return filter->spent && !told;
}

int filter_counts(struct filter *filter, struct filter_counts *counts)
{
	struct channel *c = &filter->channel;
	bool limited = limits_any(&filter->shape.limits);
	int ret;

	memset(counts, 0, sizeof(*counts));
	counts->leased_elements = filter->leased;
	counts->commits = filter->commits;
	if (!filter->applied)
		return 0;
	ret = counter_read(c, RULESET_REFUSED, &counts->refused_packets);
	for (int i = 0; i < LIMIT_DNS && ret == 0 && limited; i++)
		ret = counter_read(c, policy_limit_name((enum policy_limit)i),
				   &counts->limited[i]);
	if (ret == 0 && hole_is_watched(&filter->settings))
		ret = counter_read(c, RULESET_GUESSED, &counts->guessed);
	if (ret == 0 && filter->quota)
		ret = quota_read(c, &filter->quota, &filter->consumed);
	counts->quota_used = filter->consumed;
	return ret;
}

int filter_remove(struct filter *filter)
{
	static const uint8_t families[] = {NFPROTO_INET, NFPROTO_NETDEV};
	struct batch *b = &filter->batch;
	int ret;

	channel_begin(&filter->channel, b);
	for (size_t i = 0; i < sizeof(families); i++) {
		batch_table(b, families[i], RULESET_TABLE);
		batch_add_table(b);
		batch_delete_table(b);
	}
	ret = channel_commit(&filter->channel, b, true);
	if (ret < 0)
		return ret;
	filter->applied = filter->begun = false;
	lease_table_free(filter->inherited);
	filter->inherited = NULL;
	return 0;
}

void filter_close(struct filter *filter)
{
	if (!filter)
		return;
	channel_close(&filter->channel);
	channel_close(&filter->route);
	channel_close(&filter->diag);
	channel_close(&filter->log);
	monitor_close(&filter->monitor);
	channel_close(&filter->conntrack);
	channel_close(&filter->flows.events);
	if (filter->poll >= 0)
		close(filter->poll);
	batch_free(&filter->batch);
	lease_sets_free(filter->pending);
	for (size_t i = 0; i < LEASE_SETS; i++) {
		held_free(&filter->held[i]);
		held_free(&filter->held_grace[i]);
	}
	port_lists_free(&filter->lists);
	lease_table_free(filter->inherited);
	links_free(&filter->links);
	xdp_free(filter->own_xdp);
	policy_unref(filter->policy);
	free(filter->doh);
	free(filter);
}
