/* SPDX-License-Identifier: Apache-2.0 */
/* "limits" of a policy: read, shown again, kept by changes of rules. */
#include "policy/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL                                                               \
	"{\"connections\":10000,\"newConnectionsPerSecond\":100,"         \
	"\"bytesPerSecond\":10000000000,\"bytesTotal\":9007199254740992," \
	"\"dnsPerSecond\":1}"
#define DOCUMENT(limits)                                 \
	"{\"defaultAction\":\"deny\",\"limits\":" limits \
	",\"egress\":[{\"action\":\"allow\",\"target\":" \
	"\"a.test\"}]}"

static struct rules *read_rules(const char *text)
{
	struct policy_error err;
	struct rules *rules;

	if (rules_from_text(&rules, text, strlen(text), 0, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return rules;
}

static void shows(const struct rules *rules, const char *expected)
{
	char *text = rules_to_text(rules, NULL);

	assert_string_equal(text, expected);
	free(text);
}

static void test_read(void **state)
{
	struct rules *rules = read_rules(DOCUMENT(ALL));
	struct policy *policy;

	(void)state;
	assert_null(rules->warnings);
	shows(rules, DOCUMENT(ALL));
	assert_int_equal(policy_compile(&policy, rules, NULL), 0);
	rules_free(rules);
	assert_int_equal(policy_limits(policy)->most[LIMIT_CONNECTIONS], 10000);
	assert_int_equal(policy_limits(policy)->most[LIMIT_NEW_CONNECTIONS],
			 100);
	assert_int_equal(policy_limits(policy)->most[LIMIT_BYTES_PER_SECOND],
			 10000000000);
	assert_int_equal(policy_limits(policy)->most[LIMIT_BYTES_TOTAL],
			 1L << 53);
	assert_int_equal(policy_limits(policy)->most[LIMIT_DNS], 1);
	policy_unref(policy);
}

static void test_none(void **state)
{
	static const char *const documents[] = {
		DOCUMENT("{}"), DOCUMENT("null"),
		DOCUMENT("{\"connections\":null}")};

	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(*documents); i++) {
		struct rules *rules = read_rules(documents[i]);

		shows(rules, "{\"defaultAction\":\"deny\",\"egress\":[{"
			     "\"action\":\"allow\",\"target\":\"a.test\"}]}");
		rules_free(rules);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *document, *message;
	} bad[] = {
		{DOCUMENT("[]"), "limits: not an object: an array"},
		{DOCUMENT("{\"connections\":0}"),
		 "limits.connections: not an integer from 1 to 10000: 0"},
		{DOCUMENT("{\"connections\":10001}"),
		 "limits.connections: not an integer from 1 to 10000: "
		 "10001"},
		{DOCUMENT("{\"newConnectionsPerSecond\":-1}"),
		 "limits.newConnectionsPerSecond: not an integer from 1 to "
		 "1000000: -1"},
		{DOCUMENT("{\"bytesPerSecond\":1.5}"),
		 "limits.bytesPerSecond: not an integer from 1 to 10000000000: "
		 "1.5"},
		{DOCUMENT("{\"bytesTotal\":9007199254740993}"),
		 "limits.bytesTotal: not an integer from 1 to "
		 "9007199254740992: 9007199254740993"},
		{DOCUMENT("{\"dnsPerSecond\":\"10\"}"),
		 "limits.dnsPerSecond: not an integer from 1 to 1000000: "
		 "\"10\""},
		{DOCUMENT("{\"dnsPersecond\":10}"),
		 "limits: unknown key \"dnsPersecond\"; did you mean "
		 "\"dnsPerSecond\"?"},
		{"{\"limit\":{}}",
		 "unknown key \"limit\"; did you mean \"limits\"?"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct policy_error err;
		struct rules *rules;

		assert_int_equal(rules_from_text(&rules, bad[i].document,
						 strlen(bad[i].document), 0,
						 &err),
				 -EINVAL);
		assert_string_equal(err.message, bad[i].message);
		assert_int_equal(err.index, -1);
	}
}

static void test_unknown(void **state)
{
	struct rules *rules = read_rules(DOCUMENT("{\"packets\":1}"));

	(void)state;
	assert_string_equal(
		json_string_value(json_array_get(rules->warnings, 0)),
		"limits: unknown key \"packets\" ignored");
	rules_free(rules);
}

static void test_changed_rules(void **state)
{
	static const char patch[] =
		"[{\"action\":\"deny\",\"target\":\"b.test\"}]";
	static const char without[] = "[\"a.test\",\"b.test\"]";
	struct rules *rules = read_rules(DOCUMENT(ALL)), *patched, *left;
	struct policy_error err;
	size_t removed;

	(void)state;
	assert_int_equal(
		rules_patched(&patched, rules, patch, strlen(patch), 0, &err),
		0);
	assert_memory_equal(&patched->limits, &rules->limits,
			    sizeof(rules->limits));
	assert_int_equal(rules_without(&left, patched, without, strlen(without),
				       &removed, &err),
			 0);
	assert_int_equal(removed, 2);
	shows(left,
	      "{\"defaultAction\":\"deny\",\"limits\":" ALL ",\"egress\":[]}");
	rules_free(left);
	rules_free(patched);
	rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_changed_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
