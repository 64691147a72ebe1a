/* SPDX-License-Identifier: Apache-2.0 */
/* From rules to a compiled policy: their order, and the indexes over them. */
#include "inner.h"

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

		if (rule_has_name(rule))
			name_index_add(&policy->names, policy->ranked, rank);
		if (rule_names(rule) != NAMES_ALL)
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
		if (rule_names(rule) == NAMES_ALL)
			policy->log_skip_all = true;
		else if (rule_has_name(rule))
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
