/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>

/* Rules by target, so that "is this target among them" is a search and not a
 * walk. The first of a target is the one that stands in the set. */
struct target_set {
	const struct rule **rule;
	size_t n;
};

/* By target, then by place: rules of one list compare by their address. */
static int compare_entries(const void *left, const void *right)
{
	const struct rule *const *a = left;
	const struct rule *const *b = right;
	int order = rule_compare_target(*a, *b);

	return order ? order : (*a > *b) - (*a < *b);
}

static int target_set_make(struct target_set *set, const struct rules *rules)
{
	set->n = rules->n_rules;
	set->rule = calloc(set->n + 1, sizeof(const struct rule *));
	if (!set->rule)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		set->rule[i] = &rules->rule[i];
	qsort(set->rule, set->n, sizeof(const struct rule *), compare_entries);
	return 0;
}

/* The first rule of rule's target, or NULL. */
static const struct rule *target_set_find(const struct target_set *set,
					  const struct rule *rule)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rule_compare_target(set->rule[middle], rule) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == set->n || rule_compare_target(set->rule[low], rule) != 0)
		return NULL;
	return set->rule[low];
}

/* Place is priority where none is given. */
static int push_at_end(struct rules *rules, const struct rule *rule)
{
	int ret = rules_push_copy(rules, rule);

	if (ret == 0 && !rule->has_priority)
		rules->rule[rules->n_rules - 1].priority =
			(int)rules->n_rules - 1;
	return ret;
}

/* The rules of the array, all of them, before any is dropped for another. */
static int read_patch(struct rules **out, const json_t *array,
		      struct policy_error *err)
{
	struct rules *patch;
	struct rule rule;
	int ret;

	if (!json_is_array(array)) {
		policy_error_set(err, -1, "not a JSON array of rules");
		return -EINVAL;
	}
	ret = rules_new(&patch, POLICY_DENY);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < json_array_size(array); i++) {
		ret = rule_from_json(&rule, json_array_get(array, i), patch,
				     "rules", i, err);
		if (ret < 0)
			break;
		ret = rules_push_copy(patch, &rule);
		rule_clear(&rule);
		if (ret < 0)
			break;
	}
	if (ret < 0) {
		rules_free(patch);
		return ret;
	}
	*out = patch;
	return 0;
}

static int put_before(struct rules *rules, const struct rules *patch,
		      const struct rules *old)
{
	struct target_set set;
	int ret = target_set_make(&set, patch);

	for (size_t i = 0; ret == 0 && i < patch->n_rules; i++) {
		const struct rule *rule = &patch->rule[i];

		if (target_set_find(&set, rule) == rule)
			ret = push_at_end(rules, rule);
	}
	for (size_t i = 0; ret == 0 && i < old->n_rules; i++) {
		if (!target_set_find(&set, &old->rule[i]))
			ret = push_at_end(rules, &old->rule[i]);
	}
	free(set.rule);
	return ret;
}

int rules_patched(struct rules **out, const struct rules *old, const char *text,
		  size_t len, size_t max_rules, struct policy_error *err)
{
	struct rules *rules = NULL, *patch = NULL;
	json_t *array;
	int ret = policy_json_load(&array, text, len, err);

	if (ret < 0)
		return ret;
	ret = read_patch(&patch, array, err);
	if (ret < 0)
		goto cleanup;
	ret = rules_new(&rules, old->default_action);
	if (ret < 0)
		goto cleanup;
	ret = put_before(rules, patch, old);
	if (ret < 0)
		goto cleanup;
	rules->warnings = json_incref(patch->warnings);
	rules->hosts = hosts_ref(old->hosts);
	rules->limits = old->limits;
	if (max_rules && rules->n_rules > max_rules) {
		policy_error_set(err, -1,
				 "%zu rules after the patch, at most %zu",
				 rules->n_rules, max_rules);
		ret = -E2BIG;
		goto cleanup;
	}
	*out = rules;
	rules = NULL;
cleanup:
	rules_free(rules);
	rules_free(patch);
	json_decref(array);
	return ret;
}

/* A list of the targets named; text that cannot be a target matches no rule
 * and is left out. */
static int read_targets(struct rules *targets, const json_t *array,
			struct policy_error *err)
{
	int ret;

	if (!json_is_array(array))
		return policy_error_set(err, -1, "not a JSON array of targets");
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *target = json_array_get(array, i);

		if (!json_is_string(target))
			return policy_error_set(
				err, (int)i, "targets[%zu]: not a string", i);
		ret = rules_append(targets, POLICY_DENY,
				   json_string_value(target), NULL);
		if (ret < 0 && ret != -EINVAL)
			return ret;
	}
	return 0;
}

static int keep_others(struct rules *rules, const struct rules *old,
		       const struct rules *targets)
{
	struct target_set set;
	int ret = target_set_make(&set, targets);

	for (size_t i = 0; ret == 0 && i < old->n_rules; i++) {
		if (!target_set_find(&set, &old->rule[i]))
			ret = push_at_end(rules, &old->rule[i]);
	}
	free(set.rule);
	return ret;
}

int rules_without(struct rules **out, const struct rules *old, const char *text,
		  size_t len, size_t *removed, struct policy_error *err)
{
	struct rules *rules = NULL, *targets = NULL;
	json_t *array;
	int ret = policy_json_load(&array, text, len, err);

	if (ret < 0)
		return ret;
	ret = rules_new(&targets, POLICY_DENY);
	if (ret < 0)
		goto cleanup;
	ret = read_targets(targets, array, err);
	if (ret < 0)
		goto cleanup;
	ret = rules_new(&rules, old->default_action);
	if (ret < 0)
		goto cleanup;
	ret = keep_others(rules, old, targets);
	if (ret < 0)
		goto cleanup;
	rules->hosts = hosts_ref(old->hosts);
	rules->limits = old->limits;
	*removed = old->n_rules - rules->n_rules;
	*out = rules;
	rules = NULL;
cleanup:
	rules_free(rules);
	rules_free(targets);
	json_decref(array);
	return ret;
}
