/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy document, a patch and a deletion, separated by NUL. What is read
 * must compile, be shown as it can be read again, and say the same of every
 * edge of a rule by the ranges as by the match.
 *
 * Counted: common/policy/address.c
 * Counted: common/policy/admission.c
 * Counted: common/policy/flat.c
 * Counted: common/policy/hosts.c
 * Counted: common/policy/name.c
 * Counted: common/policy/name_index.c
 * Counted: common/policy/patch.c
 * Counted: common/policy/pins.c
 * Counted: common/policy/policy.c
 * Counted: common/policy/port_table.c
 * Counted: common/policy/ports.c
 * Counted: common/policy/rules.c
 * Counted: common/policy/target.c
 */
#include "model/ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
	const char *text;
	size_t len;
};

/* The bytes before the next NUL; from goes behind it. */
static struct part next_part(struct part *from)
{
	const char *end = memchr(from->text, '\0', from->len);
	struct part part = {from->text,
			    end ? (size_t)(end - from->text) : from->len};
	size_t taken = part.len + (end ? 1 : 0);

	from->text += taken;
	from->len -= taken;
	return part;
}

static void check_error(int ret, const struct policy_error *err)
{
	assert(ret == -EINVAL || ret == -E2BIG);
	assert(err->message[0] != '\0');
	assert(!strpbrk(err->message, "\r\n"));
}

static void check_edge(const struct policy *policy, const struct rule *rule,
		       const struct address *a, const struct domain_name *name)
{
	struct admitted_ports ports;
	struct decision d;

	for (size_t i = 0; i <= rule->n_ports; i++) {
		uint8_t protocol = 0;
		uint16_t port = 0;

		if (i < rule->n_ports) {
			protocol = rule->ports[i].protocol;
			port = rule->ports[i].last;
		}
		policy_match_address(policy, a, protocol, port, &d);
		assert(ranges_allow(policy, a, protocol, port) ==
		       (d.action == POLICY_ALLOW));
	}
	(void)policy_admission(policy, name, a, false, &ports);
}

static void check_policy(const struct rules *rules)
{
	struct domain_name name = {.len = 1, .wire = {0}};
	struct decision d;
	struct policy *policy;
	int ret = policy_compile(&policy, rules, NULL);

	if (ret == -E2BIG)
		return;
	assert(ret == 0);
	/* edges are quadratic work; a handful shows what is wrong */
	for (size_t i = 0; i < rules->n_rules && i < 64; i++) {
		const struct rule *rule = &rules->rule[i];

		if (rule->kind == TARGET_RANGE) {
			check_edge(policy, rule, &rule->range.first, &name);
			check_edge(policy, rule, &rule->range.last, &name);
		} else if (rule->kind != TARGET_ANY) {
			name.len = rule->name->len;
			memcpy(name.wire, rule->name->wire, name.len);
			policy_match_name(policy, &name, &d);
			assert(rule->kind == TARGET_BELOW || d.rule);
		}
	}
	policy_unref(policy);
}

/* What is shown reads back as the same document. */
static void check_shown(const struct rules *rules)
{
	json_t *shown = rules_to_json(rules), *again;
	struct policy_error err;
	struct rules *read;

	assert(shown);
	assert(rules_from_json(&read, shown, 0, &err) == 0);
	assert(read->n_rules == rules->n_rules);
	again = rules_to_json(read);
	assert(json_equal(shown, again));
	json_decref(again);
	json_decref(shown);
	rules_free(read);
}

/* Documents in the plain form have a reader of their own: it must not differ
 * from that of all JSON. */
static void check_plain(struct part document, const struct rules *rules)
{
	json_t *json =
		json_loadb(document.text, document.len,
			   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	struct policy_error err;
	struct rules *read;
	char *a, *b;

	if (!json)
		return; /* empty, or rules is NULL */
	if (!rules) {
		assert(rules_from_json(&read, json, 4096, &err) < 0);
		json_decref(json);
		return;
	}
	assert(rules_from_json(&read, json, 4096, &err) == 0);
	assert(read->n_rules == rules->n_rules && read->given == rules->given);
	for (size_t i = 0; i < read->n_rules; i++) {
		const struct rule *x = &read->rule[i], *y = &rules->rule[i];

		assert(x->priority == y->priority &&
		       x->has_priority == y->has_priority);
		assert(x->action == y->action && x->kind == y->kind &&
		       strcmp(x->target, y->target) == 0);
	}
	a = rules_to_text(read, NULL);
	b = rules_to_text(rules, NULL);
	assert(a && b && strcmp(a, b) == 0);
	free(a);
	free(b);
	rules_free(read);
	json_decref(json);
}

static void check_changes(const struct rules *rules, struct part patch,
			  struct part deletion)
{
	struct policy_error err;
	struct rules *changed;
	size_t removed = 0;
	int ret =
		rules_patched(&changed, rules, patch.text, patch.len, 0, &err);

	if (ret == 0) {
		check_policy(changed);
		check_shown(changed);
		rules_free(changed);
	} else {
		check_error(ret, &err);
	}
	ret = rules_without(&changed, rules, deletion.text, deletion.len,
			    &removed, &err);
	if (ret == 0) {
		assert(changed->n_rules + removed == rules->n_rules);
		rules_free(changed);
	} else {
		check_error(ret, &err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part rest = {(const char *)data, size};
	struct part document = next_part(&rest);
	struct part patch = next_part(&rest);
	struct policy_error err = {.message = ""};
	struct rules *rules;
	int ret = rules_from_text(&rules, document.text, document.len, 4096,
				  &err);

	check_plain(document, ret < 0 ? NULL : rules);
	if (ret < 0) {
		check_error(ret, &err);
		return 0;
	}
	check_policy(rules);
	check_shown(rules);
	check_changes(rules, patch, rest);
	rules_free(rules);
	return 0;
}
