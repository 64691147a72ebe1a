/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *policy_action_name(enum policy_action action)
{
	return action == POLICY_ALLOW ? "allow" : "deny";
}

void rule_clear(struct rule *rule)
{
	free(rule->target);
	free(rule->ports);
	if (rule_has_name(rule))
		free((void *)rule->name);
	memset(rule, 0, sizeof(*rule));
}

int rule_keep_text(struct rule *rule, const char *target, size_t target_len,
		   const char *json, size_t json_len)
{
	char *block = malloc(target_len + 1 + json_len + 1);

	if (!block)
		return -ENOMEM;
	memcpy(block, target, target_len);
	block[target_len] = '\0';
	rule->target = block;
	rule->json = block + target_len + 1;
	memcpy(rule->json, json, json_len);
	rule->json[json_len] = '\0';
	return 0;
}

int rules_new(struct rules **out, enum policy_action default_action)
{
	struct rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	rules->default_action = default_action;
	rules->references = 1;
	rules->given = true;
	*out = rules;
	return 0;
}

struct rules *rules_ref(struct rules *rules)
{
	rules->references++;
	return rules;
}

void rules_free(struct rules *rules)
{
	if (!rules || --rules->references > 0)
		return;
	for (size_t i = 0; i < rules->n_rules; i++)
		rule_clear(&rules->rule[i]);
	free(rules->rule);
	hosts_unref(rules->hosts);
	json_decref(rules->warnings);
	free(rules);
}

/* Room for one rule more, in steps that double. */
static int rules_grow(struct rules *rules)
{
	size_t room = rules->n_rules ? rules->n_rules * 2 : 8;
	struct rule *rule;

	assert(rules->references == 1);
	/* full exactly when empty or at a power of two from 8 on */
	if (rules->n_rules != 0 &&
	    (rules->n_rules < 8 || rules->n_rules & (rules->n_rules - 1)))
		return 0;
	rule = reallocarray(rules->rule, room, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	rules->rule = rule;
	return 0;
}

int rules_push(struct rules *rules, const struct rule *rule)
{
	int ret = rules_grow(rules);

	if (ret == 0)
		rules->rule[rules->n_rules++] = *rule;
	return ret;
}

int rules_push_copy(struct rules *rules, const struct rule *rule)
{
	struct rule copy = *rule;
	int ret;

	copy.target = NULL;
	copy.ports = NULL;
	if (rule_has_name(rule))
		copy.name = domain_name_copy(rule->name);
	ret = rule_has_name(rule) && !copy.name
		      ? -ENOMEM
		      : rule_keep_text(&copy, rule->target,
				       strlen(rule->target), rule->json,
				       strlen(rule->json));
	if (rule->n_ports) {
		copy.ports = calloc(rule->n_ports, sizeof(*copy.ports));
		if (copy.ports)
			memcpy(copy.ports, rule->ports,
			       rule->n_ports * sizeof(*copy.ports));
	}
	if (ret == 0)
		ret = copy.ports || !rule->n_ports ? rules_push(rules, &copy)
						   : -ENOMEM;
	if (ret < 0)
		rule_clear(&copy);
	return ret;
}

char *rules_to_text(const struct rules *rules, size_t *egress)
{
	static const char head[] =
		"{\"defaultAction\":\"%s\"%s%s%s%s,\"egress\":[";
	const char *hosts = rules->hosts ? rules->hosts->json : "";
	char limits[LIMITS_TEXT_MAX];
	size_t size = sizeof(head) + sizeof("allow") + sizeof("]}"), n;
	char *text;

	for (size_t i = 0; i < rules->n_rules; i++)
		size += strlen(rules->rule[i].json) + 1;
	size += sizeof(",\"hosts\":") + strlen(hosts);
	size += sizeof(",\"limits\":") + limits_to_text(&rules->limits, limits);
	text = malloc(size);
	if (!text)
		return NULL;
	n = (size_t)snprintf(text, size, head,
			     policy_action_name(rules->default_action),
			     hosts[0] ? ",\"hosts\":" : "", hosts,
			     limits[0] ? ",\"limits\":" : "", limits);
	if (egress)
		*egress = n - 1;
	for (size_t i = 0; i < rules->n_rules; i++) {
		size_t len = strlen(rules->rule[i].json);

		if (i > 0)
			text[n++] = ',';
		memcpy(text + n, rules->rule[i].json, len);
		n += len;
	}
	memcpy(text + n, "]}", sizeof("]}"));
	return text;
}

json_t *rules_to_json(const struct rules *rules)
{
	char *text = rules_to_text(rules, NULL);
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;

	free(text);
	return json;
}
