/* SPDX-License-Identifier: Apache-2.0 */
#include "dns/message.h"
#include "dns/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct domain_name name_of(const char *text)
{
	struct domain_name name;
	const char *why;

	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	return name;
}

static struct policy *policy_of(const char *json)
{
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;

	assert_int_equal(rules_from_text(&rules, json, strlen(json), 0, &err),
			 0);
	assert_int_equal(policy_compile(&policy, rules, NULL), 0);
	rules_free(rules);
	return policy;
}

/* "from" is an alias of "to". */
static void note(struct follow *follow, const struct policy *policy,
		 const char *from, const char *to, uint32_t ttl, uint64_t now)
{
	struct domain_name a = name_of(from), b = name_of(to);
	uint8_t m[1024] = {0, 1, FLAG2_QR, 0, 0, 1, 0, 1};
	struct answer *answer;
	size_t n = DNS_HEADER;

	memcpy(m + n, a.wire, a.len);
	n += a.len;
	wire_put16(m + n, TYPE_A);
	wire_put16(m + n + 2, CLASS_IN);
	wire_put16(m + n + 4, 0xc000 | DNS_HEADER);
	wire_put16(m + n + 6, TYPE_CNAME);
	wire_put16(m + n + 8, CLASS_IN);
	wire_put32(m + n + 10, ttl);
	wire_put16(m + n + 14, b.len);
	memcpy(m + n + 16, b.wire, b.len);
	n += 16u + b.len;
	assert_int_equal(answer_read(&answer, &a, TYPE_A, 0, m, n), 0);
	follow_note(follow, policy, &a, answer, now);
	free(answer);
}

static bool follows(struct follow *follow, const struct policy *policy,
		    const char *text, uint64_t now)
{
	struct domain_name name = name_of(text), first;
	struct name_match match;

	follow_look_up(follow, policy, &name, TYPE_A, now, NULL, NULL, &match,
		       &first);
	assert_int_equal(match.hash, domain_name_hash(&name));
	return match.decision.action == POLICY_ALLOW;
}

static void the_oldest_go(void **state)
{
	struct policy *policy =
		policy_of("{\"egress\":[{\"action\":\"allow\",\"target\":"
			  "\"*.good.test\"}]}");
	struct follow *follow;
	char from[64], to[64];

	(void)state;
	assert_int_equal(follow_new(&follow), 0);
	for (int i = 0; i < 3 * FOLLOW_MAX; i++) {
		snprintf(from, sizeof(from), "n%d.good.test", i);
		snprintf(to, sizeof(to), "t%d.cdn.test", i);
		note(follow, policy, from, to, 300, 0);
		assert_true(follows(follow, policy, to, 0));
	}
	assert_int_equal(follow_count(follow), FOLLOW_MAX);
	assert_false(follows(follow, policy, "t0.cdn.test", 0));
	/* the same again takes no room */
	note(follow, policy, from, to, 300, 0);
	note(follow, policy, "other.good.test", to, 300, 0);
	assert_int_equal(follow_count(follow), FOLLOW_MAX);
	/* nor does what is allowed anyway */
	note(follow, policy, "other.good.test", "next.good.test", 300, 0);
	assert_int_equal(follow_count(follow), FOLLOW_MAX);
	follow_free(follow);
	policy_unref(policy);
}

static void times_are_bounded(void **state)
{
	static const struct {
		uint32_t ttl, lives;
	} cases[] = {
		{0, 60},  {5, 60},      {30, 60},
		{31, 61}, {4000, 3600}, {UINT32_MAX, 3600},
	};
	struct policy *policy = policy_of(
		"{\"egress\":[{\"action\":\"allow\",\"target\":\"a.test\"}]}");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t end = cases[i].lives * UINT64_C(1000);
		struct follow *follow;

		assert_int_equal(follow_new(&follow), 0);
		note(follow, policy, "a.test", "b.test", cases[i].ttl, 0);
		assert_true(follows(follow, policy, "b.test", end - 1));
		assert_false(follows(follow, policy, "b.test", end));
		follow_free(follow);
	}
	policy_unref(policy);
}

static void another_policy_drops_them(void **state)
{
	struct policy *policy = policy_of(
		"{\"egress\":[{\"action\":\"allow\",\"target\":\"a.test\"}]}");
	struct policy *narrow = policy_of("{}");
	struct follow *follow;

	(void)state;
	assert_int_equal(follow_new(&follow), 0);
	note(follow, policy, "a.test", "b.test", 300, 0);
	assert_false(follows(follow, narrow, "b.test", 0));
	follow_sweep(follow, policy);
	assert_int_equal(follow_count(follow), 1);
	follow_sweep(follow, narrow);
	assert_int_equal(follow_count(follow), 0);
	assert_false(follows(follow, policy, "b.test", 0));
	follow_free(follow);
	policy_unref(narrow);
	policy_unref(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_go),
		cmocka_unit_test(times_are_bounded),
		cmocka_unit_test(another_policy_drops_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
