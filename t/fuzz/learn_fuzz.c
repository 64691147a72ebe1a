/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log of any content: what is learned from it is a policy, and opens no
 * address by itself that is not public.
 *
 * Counted: egress-sidecar/learn/traffic.c
 * Counted: egress-sidecar/learn/target.c
 * Counted: egress-sidecar/learn/suggest.c
 */
#include "learn/inner.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_lines(struct traffic *traffic, const char *text, size_t len)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		assert(traffic_take(traffic, text, line) == 0);
		line += end != NULL;
		text += line;
		len -= line;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings settings = {.max_rules = 4096};
	struct suggest_settings how = {.settings = &settings};
	struct policy_error fault;
	struct rules *start, *learned;
	struct traffic traffic;
	json_t *document;
	FILE *report;

	if (size == 0)
		return 0;
	how.ports = data[0] & 1;
	how.asked = data[0] & 2;
	how.wildcards = data[0] & 4 ? 2 : 0;
	assert(traffic_init(&traffic, NULL) == 0);
	take_lines(&traffic, (const char *)data + 1, size - 1);
	assert(rules_new(&start, POLICY_DENY) == 0);
	how.start = start;
	report = fopen("/dev/null", "w");
	assert(suggest(&document, &traffic, &how, report) == 0);
	fclose(report);
	assert(rules_from_json(&learned, document, 0, &fault) == 0);
	for (size_t i = 0; i < learned->n_rules; i++) {
		const struct rule *rule = &learned->rule[i];

		assert(rule->action == POLICY_ALLOW);
		assert(rule->kind != TARGET_ANY);
		if (rule->kind == TARGET_RANGE)
			assert(address_kind(&rule->range.first) ==
			       ADDRESS_PUBLIC);
	}
	json_decref(document);
	rules_free(learned);
	rules_free(start);
	traffic_free(&traffic);
	return 0;
}
