/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel can do, found out by batches that it checks and does not
 * carry out: one without its end is aborted once every message was looked at.
 */
#include "inner.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#define PROBE_TABLE "opensandbox_probe"

enum {
	PRIORITY_NAT = -100
};

static int probe(struct filter *filter, void (*write)(struct batch *b))
{
	struct batch *b = &filter->batch;

	channel_begin(&filter->channel, b);
	write(b);
	return channel_commit(&filter->channel, b, false);
}

static void base(struct batch *b)
{
	batch_table(b, NFPROTO_INET, PROBE_TABLE);
	batch_add_table(b);
	batch_add_chain(b, "probe", "filter", NF_INET_LOCAL_OUT, 0, false,
			NULL);
}

static void write_table(struct batch *b)
{
	base(b);
}

static void write_conntrack(struct batch *b)
{
	base(b);
	rule_begin(b, "probe");
	rule_load_ct(b, NFT_CT_SRC_IP, 1, 0);
	rule_set_ct_mark(b, 1);
	rule_end(b);
}

static void write_redirect(struct batch *b)
{
	batch_table(b, NFPROTO_INET, PROBE_TABLE);
	batch_add_table(b);
	batch_add_chain(b, "probe", "nat", NF_INET_LOCAL_OUT, PRIORITY_NAT,
			false, NULL);
	rule_begin(b, "probe");
	rule_l4proto(b, 17);
	rule_redirect(b, 1);
}

static void write_refusal(struct batch *b)
{
	base(b);
	rule_begin(b, "probe");
	rule_reject_admin(b);
	batch_add_counter(b, "probe");
	rule_begin(b, "probe");
	rule_limit(b, 1, 1);
	rule_count(b, "probe");
	rule_end(b);
}

static void write_log(struct batch *b)
{
	base(b);
	rule_begin(b, "probe");
	rule_log(b, 1, "probe", 1);
	rule_end(b);
}

static void write_fib(struct batch *b)
{
	base(b);
	rule_begin(b, "probe");
	rule_load_fib(b, NFTA_FIB_F_SADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
	rule_end(b);
}

static void write_egress(struct batch *b)
{
	const char *devices[] = {"lo", NULL};

	egress_hook_write(b, devices);
}

static void write_connlimit(struct batch *b)
{
	base(b);
	batch_add_set(b, "probe", KEY_NUMBER, SET_DYNAMIC, 1);
	rule_begin(b, "probe");
	rule_over_connections(b, "probe", 1);
	rule_end(b);
}

static void write_quota(struct batch *b)
{
	base(b);
	batch_add_quota(b, "probe", 1, 0);
	rule_begin(b, "probe");
	rule_over_quota(b, "probe");
	rule_end(b);
}

static void write_gate(struct batch *b)
{
	base(b);
	rule_begin(b, "probe");
	rule_load_socket_mark(b, 0);
	rule_set_ct_zone(b, 1, IP_CT_DIR_ORIGINAL);
}

static const struct {
	void (*write)(struct batch *b);
	const char *why;
} needed[] = {
	{write_table, "nf_tables (CONFIG_NF_TABLES_INET)"},
	{write_conntrack, "nf_tables conntrack (CONFIG_NFT_CT)"},
	{write_redirect, "nf_tables redirection (CONFIG_NFT_REDIR)"},
	{write_refusal, "nf_tables refusal (CONFIG_NFT_REJECT_INET, "
			"CONFIG_NFT_LIMIT)"},
};

void probe_miss(struct filter *filter, const char *line)
{
	size_t i = 0;

	while (i < MISSING_MAX && filter->missing[i])
		i++;
	if (i < MISSING_MAX)
		filter->missing[i] = line;
}

/* Each probe is an aborted transaction, for which the kernel waits until no
 * packet is within its chains. */
static int find_out(struct filter *filter, struct filter_kernel *kernel,
		    const char **why)
{
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		int ret = probe(filter, needed[i].write);

		if (ret == 0)
			continue;
		*why = ret == -EPERM ? "CAP_NET_ADMIN in the sandbox's network "
				       "namespace"
				     : needed[i].why;
		return ret == -EPERM ? ret : -EOPNOTSUPP;
	}
	kernel->has_log = probe(filter, write_log) == 0;
	kernel->has_fib = probe(filter, write_fib) == 0;
	kernel->has_egress = probe(filter, write_egress) == 0;
	kernel->known = true;
	return 0;
}

/* The kernel's features but for those that the settings do without. */
static bool has(const struct filter *filter, enum filter_feature feature,
		bool found)
{
	return found && !(filter->settings.without & feature);
}

int probe_kernel(struct filter *filter, const char **why)
{
	struct filter_kernel own = {.known = false};
	struct filter_kernel *kernel = filter->settings.kernel;

	if (!kernel)
		kernel = &own;
	if (!kernel->known) {
		int ret = find_out(filter, kernel, why);

		if (ret < 0)
			return ret;
	}
	if (filter->settings.n_gated && probe(filter, write_gate) < 0) {
		*why = "the gate's (CONFIG_NF_CONNTRACK_ZONES, "
		       "CONFIG_NFT_SOCKET)";
		return -EOPNOTSUPP;
	}
	if (filter->settings.log_group &&
	    !has(filter, FILTER_LOG, kernel->has_log)) {
		filter->settings.log_group = 0;
		probe_miss(filter, "nf_tables logging (CONFIG_NFT_LOG, "
				   "CONFIG_NETFILTER_NETLINK_LOG) is missing: "
				   "refused packets are counted, not logged");
	}
	filter->has_fib = has(filter, FILTER_ROUTE_LOOKUP, kernel->has_fib);
	if (!filter->has_fib)
		probe_miss(filter,
			   "nf_tables route lookup (CONFIG_NFT_FIB_INET) is "
			   "missing: raw sockets may forge their source "
			   "address towards allowed destinations");
	filter->has_egress =
		has(filter, FILTER_EGRESS_HOOK, kernel->has_egress);
	if (!filter->has_egress)
		probe_miss(filter,
			   "netdev egress hook (Linux 5.16, "
			   "CONFIG_NETFILTER_EGRESS, "
			   "CONFIG_IP_ROUTE_CLASSID) is missing: a sandbox "
			   "with CAP_NET_RAW can send packet(7) frames past "
			   "the policy");
	return 0;
}

/* Asked where a policy has limits: few have. */
const char *filter_unable(struct filter *filter, const struct policy *policy)
{
	const struct policy_limits *limits = policy_limits(policy);
	struct filter_kernel own = {.known = false};
	struct filter_kernel *kernel = filter->settings.kernel;
	bool count = limits->most[LIMIT_CONNECTIONS];
	bool quota = limits->most[LIMIT_BYTES_TOTAL];

	if ((!count && !quota) || filter->settings.dns_only)
		return NULL;
	if (!kernel)
		kernel = &own;
	if (!kernel->limits_known) {
		kernel->has_connlimit = probe(filter, write_connlimit) == 0;
		kernel->has_quota = probe(filter, write_quota) == 0;
		kernel->limits_known = true;
	}
	if (count && !has(filter, FILTER_CONNLIMIT, kernel->has_connlimit))
		return "limits.connections: nf_tables connection counting "
		       "(CONFIG_NFT_CONNLIMIT) is missing";
	if (quota && !has(filter, FILTER_QUOTA, kernel->has_quota))
		return "limits.bytesTotal: nf_tables quotas "
		       "(CONFIG_NFT_QUOTA) are missing";
	return NULL;
}
