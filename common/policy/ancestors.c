/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>

static bool is_allowed_name(const struct rule *rule)
{
	return rule->action == POLICY_ALLOW && rule_has_name(rule);
}

/* The slot of this hash, or the empty one where it belongs; 0, the root's
 * hash, stands for an empty one. */
static uint64_t *slot_of(const struct ancestors *set, uint64_t hash)
{
	size_t i = hash & set->mask;

	while (set->slot[i] && set->slot[i] != hash)
		i = (i + 1) & set->mask;
	return &set->slot[i];
}

int ancestors_make(struct ancestors *set, const struct ranked *ranked,
		   uint32_t n_ranked)
{
	uint8_t offset[DOMAIN_LABELS_MAX];
	size_t room = 8, n = 0;

	for (uint32_t i = 0; i < n_ranked; i++)
		if (is_allowed_name(ranked[i].rule))
			n += domain_name_labels(ranked[i].rule->name, offset);
	while (room < n * 2)
		room *= 2;
	set->slot = calloc(room, sizeof(*set->slot));
	if (!set->slot)
		return -ENOMEM;
	set->mask = room - 1;
	for (uint32_t i = 0; i < n_ranked; i++) {
		const struct rule *rule = ranked[i].rule;
		uint64_t hash = 0;
		size_t labels, last;

		if (!is_allowed_name(rule))
			continue;
		set->any = true;
		labels = domain_name_labels(rule->name, offset);
		last = rule_names(rule) == NAMES_ONE ? 1 : 0;
		while (labels-- > last) {
			hash = domain_name_hash_label(
				hash, rule->name->wire + offset[labels]);
			*slot_of(set, hash) = hash;
		}
	}
	return 0;
}

bool policy_leads_to_allowed(const struct policy *policy,
			     const struct name_match *match)
{
	const struct rule *rule = match->decision.rule;

	if (rule && rule_names(rule) == NAMES_ONE)
		return false;
	if (match->hash == 0)
		return policy->ancestors.any;
	return *slot_of(&policy->ancestors, match->hash) == match->hash;
}
