/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdlib.h>

struct policy *policy_ref(struct policy *policy)
{
	policy->references++;
	return policy;
}

void policy_unref(struct policy *policy)
{
	if (!policy || --policy->references > 0)
		return;
	flat_free(&policy->flat);
	free(policy->memo);
	free(policy->names.slot);
	free(policy->ancestors.slot);
	free(policy->log_skip_names.slot);
	free(policy->log_skipped);
	free(policy->ranked);
	free(policy->pin);
	for (int i = 0; i < SOURCES; i++)
		rules_free(policy->source[i]);
	rules_free(policy->log_skip);
	free(policy);
}

const struct rules *policy_rules(const struct policy *policy)
{
	return policy->source[SOURCE_POLICY];
}

const struct policy_limits *policy_limits(const struct policy *policy)
{
	return &policy_rules(policy)->limits;
}

const struct host *policy_host(const struct policy *policy,
			       const struct domain_name *name)
{
	return hosts_find(policy_rules(policy)->hosts, name);
}

void policy_decide(const struct policy *policy, uint32_t rank,
		   struct decision *out)
{
	static const char *const sources[SOURCES] = {
		[SOURCE_DENY_ALWAYS] = "deny.always",
		[SOURCE_ALLOW_ALWAYS] = "allow.always",
		[SOURCE_POLICY] = "policy",
	};
	const struct ranked *ranked;

	if (rank == RANK_NONE) {
		out->action = policy->default_action;
		out->rank = policy->n_ranked;
		out->rule = NULL;
		out->source = "default";
		out->index = -1;
		return;
	}
	ranked = &policy->ranked[rank];
	out->action = ranked->rule->action;
	out->rank = rank;
	out->rule = ranked->rule;
	out->source = sources[ranked->source];
	out->index = ranked->index;
}

bool policy_ranked(const struct policy *policy, uint32_t rank,
		   struct decision *out)
{
	if (rank >= policy->n_ranked)
		return false;
	policy_decide(policy, rank, out);
	return true;
}

void policy_look_up(const struct policy *policy, const struct domain_name *name,
		    struct name_match *out)
{
	uint32_t first = policy->any_name;

	out->name = name;
	out->n = name_index_find(&policy->names, policy->ranked, name,
				 out->rank, &out->hash);
	for (size_t i = 0; i < out->n; i++) {
		if (out->rank[i] < first)
			first = out->rank[i];
	}
	policy_decide(policy, first, &out->decision);
}

void policy_match_name(const struct policy *policy,
		       const struct domain_name *name, struct decision *out)
{
	struct name_match match;

	policy_look_up(policy, name, &match);
	*out = match.decision;
}

void policy_match_address(const struct policy *policy, const struct address *a,
			  uint8_t protocol, uint16_t port, struct decision *out)
{
	const struct segment *segment = flat_find(&policy->flat, a);

	for (uint32_t i = 0; segment && i < segment->n_ports; i++) {
		uint32_t rank = policy->flat.rank[segment->ports + i];

		if (rule_holds_port(policy->ranked[rank].rule, protocol,
				    port)) {
			policy_decide(policy, rank, out);
			return;
		}
	}
	policy_decide(policy, segment ? segment->plain : RANK_NONE, out);
}

enum policy_action policy_default(const struct policy *policy)
{
	return policy->default_action;
}

const struct policy_range *policy_ranges(const struct policy *policy, size_t *n)
{
	*n = policy->flat.n_ranges;
	return policy->flat.range;
}

const struct port_table *policy_port_tables(const struct policy *policy,
					    size_t *n)
{
	*n = policy->flat.n_tables;
	return policy->flat.table;
}

bool policy_has_name_ports(const struct policy *policy)
{
	return policy->has_ports;
}

bool policy_log_skips(const struct policy *policy,
		      const struct domain_name *name)
{
	uint32_t rank[NAME_RANKS_MAX];
	uint64_t hash;

	if (!policy->log_skip || policy->log_skip->n_rules == 0)
		return false;
	return policy->log_skip_all ||
	       name_index_find(&policy->log_skip_names, policy->log_skipped,
			       name, rank, &hash) > 0;
}

bool policy_log_skips_address(const struct policy *policy,
			      const struct address *a)
{
	const struct rules *rules = policy->log_skip;
	struct address_range range;

	for (size_t i = 0; rules && i < rules->n_rules; i++) {
		if (rule_range(&rules->rule[i], a->family, &range) &&
		    address_range_holds(&range, a))
			return true;
	}
	return false;
}
