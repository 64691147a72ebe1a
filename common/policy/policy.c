/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include "compiled.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A list that the policy goes on reading; the cast is for the count alone. */
static struct rules *hold(const struct rules *rules)
{
	return rules ? rules_ref((struct rules *)rules) : NULL;
}

/* By priority, then by place. */
static int compare_ranked(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if (a->rule->priority != b->rule->priority)
		return a->rule->priority < b->rule->priority ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

static void rank_source(struct policy *policy, enum rule_source source)
{
	const struct rules *rules = policy->source[source];
	struct ranked *ranked = policy->ranked + policy->n_ranked;

	if (!rules)
		return;
	for (size_t i = 0; i < rules->n_rules; i++) {
		ranked[i].rule = &rules->rule[i];
		ranked[i].next = RANK_NONE;
		ranked[i].source = source;
		ranked[i].index = (int)i;
		if (rules->rule[i].n_ports)
			policy->has_ports = true;
	}
	qsort(ranked, rules->n_rules, sizeof(*ranked), compare_ranked);
	policy->n_ranked += (uint32_t)rules->n_rules;
}

static int rank_rules(struct policy *policy)
{
	size_t n = 0;

	for (int i = 0; i < SOURCES; i++)
		n += policy->source[i] ? policy->source[i]->n_rules : 0;
	assert(n < RANK_NONE);
	policy->ranked = calloc(n + 1, sizeof(*policy->ranked));
	if (!policy->ranked)
		return -ENOMEM;
	for (int i = 0; i < SOURCES; i++)
		rank_source(policy, (enum rule_source)i);
	return 0;
}

/* From the last rank to the first, so that each list of a name's rules is
 * made by putting in front. */
static int index_names(struct policy *policy)
{
	int ret = name_index_make(&policy->names, policy->n_ranked);

	if (ret < 0)
		return ret;
	policy->any = policy->any_name = RANK_NONE;
	for (uint32_t rank = policy->n_ranked; rank-- > 0;) {
		const struct rule *rule = policy->ranked[rank].rule;

		if (rule->kind == TARGET_NAME || rule->kind == TARGET_BELOW)
			name_index_add(&policy->names, policy->ranked, rank);
		if (rule->kind != TARGET_ANY)
			continue;
		if (rule->n_ports)
			policy->ranked[rank].next = policy->any;
		policy->any = rank;
		/* some ports denied are not the name denied */
		if (!rule->n_ports || rule->action == POLICY_ALLOW)
			policy->any_name = rank;
	}
	return 0;
}

static int index_log_skip(struct policy *policy)
{
	const struct rules *rules = policy->log_skip;
	size_t n = rules ? rules->n_rules : 0;
	int ret = name_index_make(&policy->log_skip_names, n);

	if (ret < 0)
		return ret;
	policy->log_skipped = calloc(n + 1, sizeof(*policy->log_skipped));
	if (!policy->log_skipped)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct rule *rule = &rules->rule[i];

		policy->log_skipped[i].rule = rule;
		if (rule->kind == TARGET_ANY)
			policy->log_skip_all = true;
		else if (rule->kind != TARGET_RANGE)
			name_index_add(&policy->log_skip_names,
				       policy->log_skipped, (uint32_t)i);
	}
	return 0;
}

int policy_compile(struct policy **out, const struct rules *rules,
		   const struct always_rules *always)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	int ret;

	if (!policy)
		return -ENOMEM;
	policy->references = 1;
	policy->default_action = rules->default_action;
	policy->source[SOURCE_POLICY] = hold(rules);
	if (always) {
		policy->source[SOURCE_DENY_ALWAYS] = hold(always->deny);
		policy->source[SOURCE_ALLOW_ALWAYS] = hold(always->allow);
		policy->log_skip = hold(always->log_skip);
	}
	ret = rank_rules(policy);
	if (ret == 0)
		ret = index_names(policy);
	if (ret == 0)
		ret = ancestors_make(&policy->ancestors, policy->ranked,
				     policy->n_ranked);
	if (ret == 0)
		ret = index_log_skip(policy);
	if (ret == 0)
		ret = pins_make(policy);
	if (ret == 0)
		ret = flat_make(policy);
	if (ret == 0 && policy->has_ports)
		ret = port_memo_new(&policy->memo);
	if (ret < 0) {
		policy_unref(policy);
		return ret;
	}
	*out = policy;
	return 0;
}

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

const struct host *policy_host(const struct policy *policy,
			       const struct domain_name *name)
{
	return hosts_find(policy_rules(policy)->hosts, name);
}

static void decide(const struct policy *policy, uint32_t rank,
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
	decide(policy, rank, out);
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
	decide(policy, first, &out->decision);
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
			decide(policy, rank, out);
			return;
		}
	}
	decide(policy, segment ? segment->plain : RANK_NONE, out);
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

	for (size_t i = 0; rules && i < rules->n_rules; i++) {
		const struct rule *rule = &rules->rule[i];

		if (rule->kind == TARGET_ANY ||
		    (rule->kind == TARGET_RANGE &&
		     address_range_holds(&rule->range, a)))
			return true;
	}
	return false;
}
