/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to /policy, one after another, each a byte for its method and a
 * body that ends with NUL. A reply has a known status and a body; what is not
 * answered 200 leaves the policy alone; what is shown can be read again.
 *
 * Counted: egress-sidecar/api/policy_api.c
 * Counted: common/policy/patch.c
 */
#include "api/api.h"
#include "life/life.h"
#include "sandbox/sandbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sandbox that takes every policy it can compile. */
struct sandbox {
	struct policy *policy;
	unsigned changes;
};

const uint32_t sandbox_query_bound_us[11];

const struct policy *sandbox_policy(const struct sandbox *s)
{
	return s->policy;
}

const char *sandbox_id(const struct sandbox *s)
{
	(void)s;
	return "sb";
}

const char *sandbox_mode(const struct sandbox *s)
{
	return policy_rules(s->policy)->n_rules ? "enforcing" : "deny_all";
}

const char *sandbox_lost(struct sandbox *s)
{
	(void)s;
	return NULL;
}

int sandbox_replace(struct sandbox *s, struct rules *rules, char *message)
{
	struct policy *policy;
	int err = policy_compile(&policy, rules, NULL);

	rules_free(rules);
	memcpy(message, "", 1);
	if (err)
		return err;
	policy_unref(s->policy);
	s->policy = policy;
	s->changes++;
	return 0;
}

void sandbox_counts(struct sandbox *s, struct sandbox_counts *counts)
{
	(void)s;
	*counts = (struct sandbox_counts){.rules = 1};
}

static void check_shown(struct sandbox *s, const struct settings *settings)
{
	struct policy_error fault;
	struct reply reply;
	struct rules *again;
	json_t *json;

	policy_api(&(struct policy_call){s, settings, NULL}, "GET", "", 0,
		   &reply);
	assert(reply.status == 200);
	json = json_loads(reply.body, 0, NULL);
	assert(rules_from_json(&again, json_object_get(json, "policy"),
			       settings->max_rules, &fault) == 0);
	assert(again->n_rules == policy_rules(s->policy)->n_rules);
	rules_free(again);
	json_decref(json);
	free(reply.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"POST",   "PUT", "PATCH",
					      "DELETE", "GET", "TRACE"};
	static const struct settings settings = {.max_rules = 16, .nft = true};
	struct sandbox s = {0};
	struct rules *none;
	char *text = malloc(size + 1), *at = text;

	memcpy(text, data, size);
	text[size] = '\0';
	assert(rules_new(&none, POLICY_DENY) == 0);
	assert(policy_compile(&s.policy, none, NULL) == 0);
	rules_free(none);
	while (at < text + size) {
		const char *method =
			methods[(unsigned char)*at++ %
				(sizeof(methods) / sizeof(*methods))];
		unsigned before = s.changes;
		struct reply reply = {0};

		policy_api(&(struct policy_call){&s, &settings, NULL}, method,
			   at, strlen(at), &reply);
		assert(reply.status == 200 || reply.status == 400 ||
		       reply.status == 405 || reply.status == 413 ||
		       reply.status == 500);
		assert(reply.body && reply.body[0] && reply.type);
		assert(reply.status == 200 || s.changes == before);
		assert((reply.status == 405) == (reply.allow != NULL));
		free(reply.body);
		at += strlen(at) + 1;
	}
	check_shown(&s, &settings);
	policy_unref(s.policy);
	free(text);
	return 0;
}
