/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include "inner.h"
#include "nflog.h"
#include "ranges.h"

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
	APPLY_TRIES = 3,
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

static int copy_settings(struct filter *filter,
			 const struct filter_settings *settings)
{
	filter->settings = *settings;
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
	filter->poll = -1;
	ret = copy_settings(filter, settings);
	if (ret < 0)
		goto cleanup;
	*why = "random numbers (getrandom)";
	if (getrandom(&filter->generation, sizeof(filter->generation), 0) < 0) {
		ret = -errno;
		goto cleanup;
	}
	filter->generation = mark_generation(filter->generation);
	filter->inbound_mark = inbound_mark_of(settings);
	*why = "a netlink socket in the sandbox's network namespace";
	ret = channel_open(&filter->channel, settings->netns,
			   NETLINK_NETFILTER);
	if (ret == 0)
		ret = channel_open(&filter->route, settings->netns,
				   NETLINK_ROUTE);
	if (ret < 0)
		goto cleanup;
	/* Without it revoked sockets end with their next packet. */
	(void)channel_open(&filter->diag, settings->netns, NETLINK_SOCK_DIAG);
	if (!settings->dns_only && !settings->audit)
		(void)channel_open(&filter->conntrack, settings->netns,
				   NETLINK_NETFILTER);
	ret = probe_kernel(filter, why);
	if (ret < 0)
		goto cleanup;
	*why = "notifications of the packet filter (nfnetlink)";
	ret = monitor_open(&filter->monitor, settings->netns,
			   filter->channel.port);
	if (ret < 0)
		goto cleanup;
	if (filter->settings.log_group &&
	    nflog_open(&filter->log, settings->netns,
		       filter->settings.log_group) < 0)
		filter->settings.log_group = 0;
	*why = "an epoll descriptor";
	ret = open_poll(filter);
	if (ret < 0)
		goto cleanup;
	*why = "the devices of the sandbox's network namespace";
	ret = devices_open(filter);
	if (ret < 0)
		goto cleanup;
	*why = NULL;
	*out = filter;
	return 0;

cleanup:
	filter_close(filter);
	return ret;
}

const char *filter_missing(const struct filter *filter, size_t i)
{
	return i < MISSING_MAX ? filter->missing[i] : NULL;
}

/* The first ruleset of this process replaces whatever tables are there; later
 * ones keep the chains at the hooks, so that no packet is lost. The table of
 * egress hooks changes with the devices alone. */
static int commit(struct filter *filter, const struct ruleset *r,
		  struct links *links)
{
	bool fresh = !filter->applied;
	struct batch *b = &filter->batch;

	channel_begin(&filter->channel, b);
	ruleset_write(b, r, fresh ? NULL : &filter->shape);
	if (filter->has_egress && !r->settings->dns_only &&
	    (fresh || !links_same_devices(links, &filter->links)))
		egress_hook_write(b, links->devices);
	return channel_commit(&filter->channel, b, true);
}

/* Takes what links owns. */
static void keep_links(struct filter *filter, struct links *links)
{
	links_free(&filter->links);
	filter->links = *links;
	memset(links, 0, sizeof(*links));
}

/* The policy is immutable; the cast is for the count of its holders alone. */
static void hold_policy(struct filter *filter, const struct policy *policy)
{
	struct policy *old = filter->policy;

	filter->policy = policy_ref((struct policy *)policy);
	policy_unref(old);
}

/* change: the maps of ranges are changed, not written anew. */
static int try_apply(struct filter *filter, const struct policy *policy,
		     const struct elements *learned,
		     const struct elements *grace,
		     const struct port_lists *lists, bool change)
{
	bool again;
	struct ruleset r = {
		.settings = &filter->settings,
		.policy = policy,
		.generation = mark_next(filter->generation, &again),
		.inbound_mark = filter->inbound_mark,
		.has_fib = filter->has_fib,
		.gap = filter->gap,
		.ranges_of = change ? filter->policy : NULL,
		.learned = learned,
		.grace = grace,
		.lists = lists,
		.peers = filter->peers,
		.n_peers = filter->n_peers,
	};
	struct links links;
	int ret;

	ret = links_read(&links, &filter->route);
	if (ret < 0)
		return ret;
	r.onlink = links.onlink;
	r.n_onlink = links.n_onlink;
	r.own6 = links.own6;
	r.n_own6 = links.n_own6;
	if (again && !filter->settings.dns_only)
		takeover_forget_generations(&filter->channel);
	ret = commit(filter, &r, &links);
	/* A generation that may have been in force is not used again. */
	if (ret == 0 || filter->channel.unsure)
		filter->generation = r.generation;
	if (ret == 0)
		keep_links(filter, &links);
	links_free(&links);
	if (ret < 0)
		return ret;
	filter->shape = ruleset_shape(&r);
	hold_policy(filter, policy);
	filter->applied = filter->begun = true;
	filter->commits++;
	return 0;
}

static int follow_links(struct filter *filter)
{
	struct ruleset r = {.settings = &filter->settings};
	struct batch *b = &filter->batch;
	struct links links;
	int ret;

	if (!filter->applied || filter->settings.dns_only)
		return 0;
	ret = links_read(&links, &filter->route);
	if (ret == 0)
		devices_follow(filter, &links);
	if (ret < 0)
		return ret;
	if (links_same(&links, &filter->links)) {
		links_free(&links);
		return 0;
	}
	r.onlink = links.onlink;
	r.n_onlink = links.n_onlink;
	r.own6 = links.own6;
	r.n_own6 = links.n_own6;
	channel_begin(&filter->channel, b);
	ruleset_write_neighbours(b, &r);
	if (filter->has_egress && !links_same_devices(&links, &filter->links))
		egress_hook_write(b, links.devices);
	ret = channel_commit(&filter->channel, b, true);
	if (ret == 0)
		keep_links(filter, &links);
	links_free(&links);
	/* One that has gone by now is told of again. */
	return ret == -ENOENT ? 0 : ret;
}

/* Learn what an earlier process left, once. *existed: it left something;
 * *moved: it sent DNS elsewhere than we do. */
static int take_over(struct filter *filter, uint64_t now_ms, bool *existed,
		     bool *moved)
{
	int ret = takeover_table_exists(&filter->channel);
	uint16_t dns_port;

	*existed = ret > 0;
	if (ret <= 0)
		return ret;
	ret = takeover_dns_port(&filter->channel, &dns_port);
	if (ret < 0)
		return ret;
	*moved = dns_port != filter->settings.dns_port;
	lease_table_free(filter->inherited);
	filter->inherited = NULL;
	ret = lease_table_new(&filter->inherited);
	if (ret < 0)
		return ret;
	return takeover_read(&filter->channel, filter->inherited, now_ms);
}

static void forget_inherited(struct filter *filter, const struct policy *policy,
			     uint64_t now_ms)
{
	if (!filter->inherited)
		return;
	lease_table_sweep(filter->inherited, policy,
			  filter->settings.private_ok, now_ms);
	if (lease_table_count(filter->inherited) > 0)
		return;
	lease_table_free(filter->inherited);
	filter->inherited = NULL;
}

/* For want of memory, or of room in the kernel. */
static bool is_want_of_room(int err)
{
	switch (-err) {
	case ENOMEM:
	case ENOSPC:
	case ENFILE:
	case EMFILE:
	case E2BIG:
	case EMSGSIZE:
	case ENOBUFS:
		return true;
	default:
		return false;
	}
}

/* What is learned, as a policy has it. */
struct judged {
	struct elements learned[LEARNED_SETS], grace[LEARNED_SETS];
	struct port_lists lists;
};

static void judged_free(struct judged *j)
{
	learned_free(j->learned);
	learned_free(j->grace);
	port_lists_free(&j->lists);
}

static int apply_judged(struct filter *filter, const struct policy *policy,
			struct judged *j)
{
	int ret = 0;

	for (int i = 0; i < APPLY_TRIES; i++) {
		bool change = i == 0 && filter->applied &&
			      ranges_near(filter->policy, policy);

		ret = try_apply(filter, policy, j->learned, j->grace, &j->lists,
				change);
		/* A device went away meanwhile, or somebody took our tables
		 * away, or nobody knows whether they are the new ones: look
		 * again, from scratch. */
		if (ret == -ENOENT || filter->channel.unsure)
			filter->applied = false;
		else if (ret == 0 || !change)
			break;
	}
	if (ret < 0)
		return ret;
	port_lists_free(&filter->lists);
	filter->lists = j->lists;
	j->lists = (struct port_lists){0};
	return 0;
}

/* The policy with what was learned, or else without it. */
static int apply_with(struct filter *filter, const struct policy *policy,
		      struct lease_table *leases, uint64_t now_ms)
{
	struct judged j = {0}, none = {0};
	int ret = 0;

	if (!filter->settings.dns_only)
		ret = learned_judge(filter, policy, leases, now_ms, j.learned,
				    j.grace, &j.lists);
	if (ret == 0)
		ret = apply_judged(filter, policy, &j);
	/* It may have been a moment's. */
	if (is_want_of_room(ret) && !filter->channel.unsure)
		ret = apply_judged(filter, policy, &j);
	judged_free(&j);
	if (!is_want_of_room(ret) || filter->settings.dns_only)
		return ret;
	batch_free(&filter->batch);
	ret = apply_judged(filter, policy, &none);
	judged_free(&none);
	if (ret < 0)
		return ret;
	lease_table_end(leases);
	lease_table_free(filter->inherited);
	filter->inherited = NULL;
	return 0;
}

int filter_apply(struct filter *filter, const struct policy *policy,
		 struct lease_table *leases, uint64_t now_ms)
{
	bool existed = true, moved = false, lost;
	uint32_t before = filter->monitor.since;
	int ret = 0;

	/* What was taken away is written anew. */
	lost = filter_lost(filter) != NULL;
	(void)monitor_now(&filter->channel, &before);
	if (!filter->begun)
		ret = take_over(filter, now_ms, &existed, &moved);
	if (ret == 0)
		ret = apply_with(filter, policy, leases, now_ms);
	/* What is learned from now on needs a little of it. */
	batch_free(&filter->batch);
	if (ret < 0)
		return ret;
	if (!existed && !filter->settings.dns_only)
		takeover_forget_connections(&filter->channel);
	else if (lost || !existed)
		takeover_forget_questions(&filter->channel);
	if (moved)
		takeover_forget_redirected(&filter->channel);
	monitor_clear(&filter->monitor, before);
	forget_inherited(filter, policy, now_ms);
	return 0;
}

bool filter_is_applied(const struct filter *filter)
{
	return filter->applied;
}

const char *filter_lost(struct filter *filter)
{
	const char *what = monitor_read(&filter->monitor);

	if (!filter->begun)
		return NULL;
	if (what) {
		filter->applied = false;
		filter->gap = true;
	} else if (!filter->applied) {
		what = "what table inet " RULESET_TABLE " holds is not known";
	}
	return what;
}

/* Re-adding an element leaves its old end; added, deleted and added it gets
 * the new one, whether it was there or not. */
static void write_learned(struct batch *b, enum learned_set set,
			  struct elements *list)
{
	const struct learned_set_form *form = &learned_sets[set];
	size_t gone = 0;

	batch_add_elements(b, form->name, form->key, list->e, list->n,
			   list->text);
	batch_delete_elements(b, form->name, form->key, list->e, list->n);
	for (size_t i = 0; i < list->n; i++) {
		if (list->e[i].timeout_s == 0)
			gone++;
		else
			list->e[i - gone] = list->e[i];
	}
	batch_add_elements(b, form->name, form->key, list->e, list->n - gone,
			   list->text);
}

int filter_learn(struct filter *filter, const struct lease_element *elements,
		 size_t n)
{
	struct batch *b = &filter->batch;
	size_t learned = 0, known = filter->lists.n;
	int ret = 0;

	if (filter->settings.dns_only || n == 0)
		return 0;
	if (!filter->applied)
		return -ENOENT;
	learned_clear(filter->pending);
	for (size_t i = 0; i < n && ret == 0; i++) {
		if (elements[i].ports && !filter->shape.name_ports)
			ret = -EINVAL;
		else
			ret = learned_add(filter->pending, &filter->lists,
					  &elements[i]);
	}
	if (ret < 0)
		goto cleanup;
	learned_unique(filter->pending);
	channel_begin(&filter->channel, b);
	batch_table(b, NFPROTO_INET, RULESET_TABLE);
	for (size_t i = 0; i < LEARNED_SETS; i++) {
		learned += filter->pending[i].n;
		write_learned(b, (enum learned_set)i, &filter->pending[i]);
	}
	ruleset_write_lists(b, &filter->lists, known);
	ret = channel_commit(&filter->channel, b, true);
	/* A list that the kernel may have a rule of keeps its number. */
	if (ret == -ENOENT || filter->channel.unsure)
		filter->applied = false;
	if (ret < 0)
		goto cleanup;
	filter->learned += learned;
	filter->commits++;
	return 0;

cleanup:
	filter->lists.n = known;
	return ret;
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
		ruleset_write_peers(&filter->batch, &r);
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
		int err = follow_links(filter);

		ret = ret < 0 ? ret : err;
	}
	return ret;
}

static int read_counter(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr, *data = NULL;
	uint64_t *packets = arg, wire;

	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		if (mnl_attr_get_type(attr) == NFTA_OBJ_DATA)
			data = attr;
	}
	if (!data)
		return -EBADMSG;
	for (attr = attr_within(data, NULL); attr;
	     attr = attr_within(data, attr)) {
		if (mnl_attr_get_type(attr) == NFTA_COUNTER_PACKETS &&
		    mnl_attr_get_payload_len(attr) == sizeof(wire)) {
			memcpy(&wire, mnl_attr_get_payload(attr), sizeof(wire));
			*packets = be64toh(wire);
		}
	}
	return 0;
}

int filter_counts(struct filter *filter, struct filter_counts *counts)
{
	char buf[256];
	struct nlmsghdr *nlh =
		nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETOBJ, NFPROTO_INET, 0, 0);

	memset(counts, 0, sizeof(*counts));
	counts->learned_elements = filter->learned;
	counts->commits = filter->commits;
	if (!filter->applied)
		return 0;
	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_OBJ_NAME, RULESET_REFUSED);
	mnl_attr_put_u32(nlh, NFTA_OBJ_TYPE, htobe32(NFT_OBJECT_COUNTER));
	return channel_ask(&filter->channel, nlh, read_counter,
			   &counts->refused_packets);
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
	if (filter->poll >= 0)
		close(filter->poll);
	batch_free(&filter->batch);
	learned_free(filter->pending);
	port_lists_free(&filter->lists);
	lease_table_free(filter->inherited);
	links_free(&filter->links);
	xdp_free(filter->own_xdp);
	policy_unref(filter->policy);
	free(filter->doh);
	free(filter);
}
