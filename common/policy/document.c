/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy documents: what a rule and the document around it may hold, and what
 * is said of one that is out of form.
 *
 *   {"defaultAction": "deny",
 *    "egress": [{"action": "allow", "target": "*.example.com",
 *                "ports": [443], "protocol": "tcp"}]}
 */
#include "inner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As rule_keep_text(), with the JSON of an object. */
static int rule_keep_json(struct rule *rule, const char *target,
			  const json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int ret = -ENOMEM;

	if (text)
		ret = rule_keep_text(rule, target, strlen(target), text,
				     strlen(text));
	free(text);
	return ret;
}

/* The target of a list's next rule, of which the words in what tell where it
 * stands. *text, which the caller frees, is what is in force of it. */
static int read_target(struct rule *rule, struct rules *list, char **text,
		       const char *target, const char *what, const char **why)
{
	size_t len = strlen(target), blank = strspn(target, POLICY_BLANKS);
	char range[ADDRESS_RANGE_TEXT_MAX], *trimmed;
	int ret;

	while (len > blank && strchr(POLICY_BLANKS, target[len - 1]))
		len--;
	*text = trimmed = strndup(target + blank, len - blank);
	if (!trimmed)
		return -ENOMEM;
	ret = rule_read_target(rule, trimmed, why);
	if (ret <= 0)
		return ret;
	*text = strdup(address_range_to_text(&rule->range, range));
	rules_warn(list, "%s\"%.80s\": host bits cleared, taken as %s", what,
		   trimmed, range);
	free(trimmed);
	return *text ? 0 : -ENOMEM;
}

int rules_append(struct rules *rules, enum policy_action action,
		 const char *target, struct policy_error *err)
{
	struct rule rule = {.action = action};
	const char *why;
	char *text;
	json_t *json;
	int ret;

	ret = read_target(&rule, rules, &text, target, "", &why);
	if (ret < 0) {
		free(text);
		return ret == -EINVAL
			       ? policy_error_set(err, (int)rules->n_rules,
						  "\"%.100s\": %s", target, why)
			       : ret;
	}
	rule.priority = (int)rules->n_rules;
	json = json_pack("{s:s, s:s}", "action", policy_action_name(action),
			 "target", text);
	ret = rule_keep_json(&rule, text, json);
	json_decref(json);
	free(text);
	if (ret == 0)
		ret = rules_push(rules, &rule);
	if (ret < 0)
		rule_clear(&rule);
	return ret;
}

static int read_priority(struct rule *rule, const json_t *json)
{
	json_int_t value = json_integer_value(json);

	if (!json || json_is_null(json))
		return 0;
	if (!json_is_integer(json) || value < INT_MIN || value > INT_MAX)
		return -EINVAL;
	rule->priority = (int)value;
	rule->has_priority = true;
	return 0;
}

static const char *const rule_keys[] = {"action", "target",   "priority",
					"ports",  "protocol", NULL};

/* Keep of the rule what is in force, in its author's words otherwise. */
static int keep_json(struct rule *rule, json_t *json, const char *target)
{
	json_t *copy = json_copy(json), *value;
	const char *key;
	int ret = copy ? 0 : -1;

	json_object_foreach(json, key, value)
	{
		const char *const *known = rule_keys;

		while (*known && strcmp(*known, key))
			known++;
		if (!*known)
			ret |= json_object_del(copy, key);
	}
	ret |= json_object_set_new(
		copy, "action", json_string(policy_action_name(rule->action)));
	ret |= json_object_set_new(copy, "target", json_string(target));
	ret = ret == 0 ? rule_keep_json(rule, target, copy) : -ENOMEM;
	json_decref(copy);
	return ret;
}

/* Action, priority and ports; the target is read. */
static int read_members(struct rule *rule, json_t *json, const char *where,
			int i, struct policy_error *err)
{
	const char *key, *why;
	int ret;

	if (read_priority(rule, json_object_get(json, "priority")) < 0)
		return policy_error_set(err, i,
					"%s.priority: not an integer of "
					"32 bits",
					where);
	ret = rule_read_ports(rule, json_object_get(json, "ports"),
			      json_object_get(json, "protocol"), &key, &why);
	if (ret == -EINVAL)
		return policy_error_set(err, i, "%s.%s: %s", where, key, why);
	return ret;
}

static int read_action(struct rule *rule, const json_t *json,
		       struct rules *list, const char *where, int i,
		       struct policy_error *err)
{
	int ret = action_from_json(&rule->action, json);

	if (ret < 0)
		return policy_error_set(err, i,
					"%s.action: \"%.80s\" is not "
					"\"allow\" or \"deny\"",
					where, policy_json_shown(json));
	if (ret > 0) {
		rule->action = POLICY_DENY;
		rules_warn(list, "%s: no action, taken as deny", where);
	}
	return 0;
}

/* Ports without a target are those of every name and address. */
static const char *target_or_any(const json_t *json, struct rules *list,
				 const char *where)
{
	const json_t *target = json_object_get(json, "target");
	const json_t *ports = json_object_get(json, "ports");

	if ((target && !json_is_null(target)) || !ports || json_is_null(ports))
		return json_string_value(target);
	rules_warn(list, "%s: ports without a target, taken as \"*\"", where);
	return "*";
}

static int read_rule(struct rule *rule, json_t *json, struct rules *list,
		     const char *where, int i, struct policy_error *err)
{
	const char *target, *why;
	char what[64], *text = NULL;
	int ret;

	if (!json_is_object(json))
		return policy_error_set(err, i, "%s: not an object", where);
	ret = unknown_keys(json, rule_keys, list, i, where, err);
	if (ret == 0)
		ret = read_action(rule, json_object_get(json, "action"), list,
				  where, i, err);
	if (ret < 0)
		return ret;
	target = target_or_any(json, list, where);
	if (!target)
		return policy_error_set(
			err, i, "%s.target: not a string: %s", where,
			policy_json_shown(json_object_get(json, "target")));
	snprintf(what, sizeof(what), "%s.target: ", where);
	ret = read_target(rule, list, &text, target, what, &why);
	if (ret == -EINVAL)
		ret = policy_error_set(err, i, "%s.target: \"%.100s\": %s",
				       where, target, why);
	if (ret == 0)
		ret = read_members(rule, json, where, i, err);
	if (ret == 0)
		ret = keep_json(rule, json, text);
	free(text);
	return ret;
}

int rule_from_json(struct rule *rule, json_t *json, struct rules *list,
		   const char *array, size_t index, struct policy_error *err)
{
	char where[48];
	int ret;

	memset(rule, 0, sizeof(*rule));
	rule->priority = (int)index;
	snprintf(where, sizeof(where), "%s[%zu]", array, index);
	ret = read_rule(rule, json, list, where, (int)index, err);
	if (ret < 0)
		rule_clear(rule);
	return ret;
}

static int read_egress(struct rules *rules, const json_t *egress,
		       size_t max_rules, struct policy_error *err)
{
	size_t n = json_array_size(egress);
	struct rule rule;
	int ret;

	if (!egress || json_is_null(egress))
		return 0;
	if (!json_is_array(egress))
		return policy_error_set(err, -1, "egress: not an array: %.80s",
					policy_json_shown(egress));
	if (max_rules && n > max_rules) {
		policy_error_set(err, -1, "egress: %zu rules, at most %zu", n,
				 max_rules);
		return -E2BIG;
	}
	for (size_t i = 0; i < n; i++) {
		ret = rule_from_json(&rule, json_array_get(egress, i), rules,
				     "egress", i, err);
		if (ret < 0)
			return ret;
		ret = rules_push(rules, &rule);
		if (ret < 0) {
			rule_clear(&rule);
			return ret;
		}
	}
	return 0;
}

static int read_document(struct rules *rules, const json_t *document,
			 size_t max_rules, struct policy_error *err)
{
	static const char *const keys[] = {"defaultAction", "egress", "hosts",
					   "limits", NULL};
	const json_t *action;
	int ret;

	if (!document || json_is_null(document)) {
		rules->given = false;
		return 0;
	}
	if (!json_is_object(document))
		return policy_error_set(err, -1, "not a JSON object: %.80s",
					policy_json_shown(document));
	rules->given = json_object_size(document) > 0;
	ret = unknown_keys((json_t *)document, keys, rules, -1, "", err);
	if (ret < 0)
		return ret;

	/* writers that always send the key send null or "" for none */
	action = json_object_get(document, "defaultAction");
	if (action_from_json(&rules->default_action, action) < 0)
		return policy_error_set(err, -1,
					"defaultAction: \"%.80s\" is not "
					"\"allow\" or \"deny\"",
					policy_json_shown(action));
	ret = hosts_from_json(&rules->hosts, json_object_get(document, "hosts"),
			      err);
	if (ret == 0)
		ret = limits_from_json(
			rules, json_object_get(document, "limits"), err);
	if (ret < 0)
		return ret;
	return read_egress(rules, json_object_get(document, "egress"),
			   max_rules, err);
}

int rules_from_json(struct rules **out, const json_t *document,
		    size_t max_rules, struct policy_error *err)
{
	struct rules *rules;
	int ret = rules_new(&rules, POLICY_DENY);

	if (ret < 0)
		return ret;
	ret = read_document(rules, document, max_rules, err);
	if (ret < 0) {
		rules_free(rules);
		return ret;
	}
	*out = rules;
	return 0;
}

int policy_json_load(json_t **out, const char *text, size_t len,
		     struct policy_error *err)
{
	json_error_t fault;
	size_t blank = 0;

	*out = NULL;
	if (len > POLICY_BODY_MAX) {
		policy_error_set(err, -1, "%zu bytes, at most %d", len,
				 POLICY_BODY_MAX);
		return -E2BIG;
	}
	while (blank < len && memchr(" \t\r\n", text[blank], 4))
		blank++;
	if (blank == len)
		return 0;
	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			  &fault);
	if (*out)
		return 0;
	if (json_error_code(&fault) == json_error_out_of_memory)
		return -ENOMEM;
	return policy_error_set(err, -1, "line %d, column %d: %s", fault.line,
				fault.column, fault.text);
}

int rules_from_text(struct rules **out, const char *text, size_t len,
		    size_t max_rules, struct policy_error *err)
{
	json_t *document;
	int ret = rules_from_plain(out, text, len, max_rules);

	if (ret != -EOPNOTSUPP)
		return ret;
	ret = policy_json_load(&document, text, len, err);
	if (ret < 0)
		return ret;
	ret = rules_from_json(out, document, max_rules, err);
	json_decref(document);
	return ret;
}
