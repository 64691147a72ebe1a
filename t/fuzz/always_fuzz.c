/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An always-file: what is read compiles, what is not is told in a line.
 *
 * Counted: common/policy/always.c
 */
#include "policy/inner.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct always_rules always = {.deny = NULL};
	struct policy_error err = {.message = ""};
	struct domain_name name;
	struct policy *policy;
	struct rules *rules;
	const char *text = (const char *)data;

	if (always_from_text(&always.deny, text, size, POLICY_DENY, &err) < 0) {
		assert(!strncmp(err.message, "line ", 5));
		assert(!strpbrk(err.message, "\r\n"));
		return 0;
	}
	always.log_skip = always.deny;
	assert(rules_new(&rules, POLICY_ALLOW) == 0);
	assert(policy_compile(&policy, rules, &always) == 0);
	rules_free(rules);
	if (domain_name_from_wire(&name, data, size) > 0) {
		struct decision d;

		policy_match_name(policy, &name, &d);
		assert((d.action == POLICY_DENY) ==
		       policy_log_skips(policy, &name));
	}
	for (size_t i = 0; i < always.deny->n_rules; i++) {
		const struct rule *rule = &always.deny->rule[i];
		struct decision d;

		assert(rule->n_ports == 0);
		if (rule->kind != TARGET_NAME)
			continue;
		policy_match_name(policy, rule->name, &d);
		assert(d.action == POLICY_DENY);
		assert(policy_log_skips(policy, rule->name));
	}
	policy_unref(policy);
	rules_free(always.deny);
	return 0;
}
