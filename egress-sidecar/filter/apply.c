/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the kernel comes to hold a policy, in one batch, and whether it is seen
 * to hold it still.
 */
#include "inner.h"
#include "leases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	APPLY_TRIES = 3,
	UNUSED_MAX = 64 /* numbers of lists that are kept for nothing */
};

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

/* The leases, as a policy has them. */
struct judged {
	struct elements leased[LEASE_SETS], grace[LEASE_SETS];
	struct port_lists lists;
	bool renumbered; /* the lists' numbers are not those in force */
};

/* How the sets come to hold it, and what they hold then. */
struct changes {
	struct set_change leased[LEASE_SETS], grace[LEASE_SETS];
	struct held held[LEASE_SETS], held_grace[LEASE_SETS];
};

static void changes_free(struct changes *c)
{
	for (size_t i = 0; i < LEASE_SETS; i++) {
		set_change_free(&c->leased[i]);
		set_change_free(&c->grace[i]);
		held_free(&c->held[i]);
		held_free(&c->held_grace[i]);
	}
}

/* keep: the sets are there, and hold what we know of. */
static int changes_find(struct changes *c, const struct filter *filter,
			const struct policy *policy, const struct judged *j,
			bool keep)
{
	bool keep_ports = keep && filter->shape.name_ports &&
			  policy_has_name_ports(policy) && !j->renumbered;
	uint64_t now_ms = held_now_ms();
	int ret = 0;

	for (size_t i = 0; i < LEASE_SETS && ret == 0; i++) {
		bool numbered = i == LEASES4_PORTS || i == LEASES6_PORTS;
		bool anew = numbered ? !keep_ports : !keep;

		ret = held_change(&filter->held[i], &j->leased[i], anew, now_ms,
				  &c->leased[i], &c->held[i]);
		if (ret == 0)
			ret = held_change(&filter->held_grace[i], &j->grace[i],
					  anew, now_ms, &c->grace[i],
					  &c->held_grace[i]);
	}
	return ret;
}

/* The kernel has taken them. */
static void changes_keep(struct changes *c, struct filter *filter)
{
	for (size_t i = 0; i < LEASE_SETS; i++) {
		held_free(&filter->held[i]);
		held_free(&filter->held_grace[i]);
		filter->held[i] = c->held[i];
		filter->held_grace[i] = c->held_grace[i];
	}
	memset(c->held, 0, sizeof(c->held));
	memset(c->held_grace, 0, sizeof(c->held_grace));
}

/* keep: what the kernel holds is changed where it differs. */
static int try_apply(struct filter *filter, const struct policy *policy,
		     const struct judged *j, bool keep)
{
	bool again;
	struct changes changes = {0};
	struct ruleset r = {
		.settings = &filter->settings,
		.policy = policy,
		.generation = mark_next(filter->generation, &again),
		.inbound_mark = filter->inbound_mark,
		.has_fib = filter->has_fib,
		.ranges_of = keep && ranges_near(filter->policy, policy)
				     ? filter->policy
				     : NULL,
		.leased = changes.leased,
		.grace = changes.grace,
		.quota = filter->quota,
		.consumed = filter->consumed,
		.lists = &j->lists,
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
	ret = changes_find(&changes, filter, policy, j, keep);
	if (ret == 0)
		ret = commit(filter, &r, &links);
	else
		filter->channel.unsure = false;
	/* A generation that may have been in force is not used again. */
	if (ret == 0 || filter->channel.unsure)
		filter->generation = r.generation;
	if (ret == 0) {
		keep_links(filter, &links);
		changes_keep(&changes, filter);
	}
	links_free(&links);
	changes_free(&changes);
	if (ret < 0)
		return ret;
	filter->shape = ruleset_shape(&r);
	filter->quota = filter->shape.quota;
	hold_policy(filter, policy);
	filter->applied = filter->begun = true;
	filter->commits++;
	return 0;
}

int filter_follow_links(struct filter *filter)
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
	sets_write_neighbours(b, &r);
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

static void judged_free(struct judged *j)
{
	lease_sets_free(j->leased);
	lease_sets_free(j->grace);
	port_lists_free(&j->lists);
}

static int apply_judged(struct filter *filter, const struct policy *policy,
			struct judged *j)
{
	int ret = 0;

	for (int i = 0; i < APPLY_TRIES; i++) {
		bool keep = i == 0 && filter->applied;

		ret = try_apply(filter, policy, j, keep);
		/* A device went away meanwhile, or somebody took our tables
		 * away, or nobody knows whether they are the new ones: look
		 * again, from scratch. */
		if (ret == -ENOENT || filter->channel.unsure)
			filter->applied = false;
		else if (ret == 0 || !keep)
			break;
	}
	if (ret < 0)
		return ret;
	port_lists_free(&filter->lists);
	filter->lists = j->lists;
	j->lists = (struct port_lists){0};
	return 0;
}

/* Lists keep the numbers they have, unless there are too many then. */
static int judge(const struct filter *filter, const struct policy *policy,
		 const struct lease_table *leases, uint64_t now_ms,
		 struct judged *j)
{
	int ret = -ENOSPC;

	if (filter->lists.unused <= UNUSED_MAX) {
		ret = port_lists_copy(&j->lists, &filter->lists);
		if (ret == 0)
			ret = lease_sets_judge(filter, policy, leases, now_ms,
					       j->leased, j->grace, &j->lists);
	}
	if (ret == -ENOSPC) {
		judged_free(j);
		j->renumbered = true;
		ret = lease_sets_judge(filter, policy, leases, now_ms,
				       j->leased, j->grace, &j->lists);
	}
	if (ret == 0)
		port_lists_prune(&j->lists, j->leased, j->grace);
	return ret;
}

/* The policy with the leases, or else without them. */
static int apply_with(struct filter *filter, const struct policy *policy,
		      struct lease_table *leases, uint64_t now_ms)
{
	struct judged j = {0}, none = {.renumbered = true};
	int ret = 0;

	if (!filter->settings.dns_only)
		ret = judge(filter, policy, leases, now_ms, &j);
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

/* What the quota has counted outlives its number, our rules that somebody took
 * away, and the process. */
static int read_quota(struct filter *filter)
{
	int ret = 0;

	if (filter->quota || !filter->begun)
		ret = quota_read(&filter->channel, &filter->quota,
				 &filter->consumed);
	return ret == -ENOENT ? 0 : ret;
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
		ret = read_quota(filter);
	if (ret == 0)
		ret = apply_with(filter, policy, leases, now_ms);
	/* What is admitted from now on needs a little of it. */
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
	if (what)
		filter->applied = false;
	else if (!filter->applied)
		what = "what table inet " RULESET_TABLE " holds is not known";
	return what;
}
