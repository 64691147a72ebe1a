/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses below an operator's NAT64 prefix are the IPv4 address inside, in
 * every layout of RFC 6052, for answers and for address rules. The examples
 * are those of its section 2.4.
 */
#include "policy/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/ranges.h"

static const struct layout {
	const char *prefix, *inside; /* 192.0.2.33 */
	size_t at[4];
} layouts[] = {
	{"2001:db8::/32", "2001:db8:c000:221::", {4, 5, 6, 7}},
	{"2001:db8:100::/40", "2001:db8:1c0:2:21::", {5, 6, 7, 9}},
	{"2001:db8:122::/48", "2001:db8:122:c000:2:2100::", {6, 7, 9, 10}},
	{"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::", {7, 9, 10, 11}},
	{"2001:db8:122:344::/64",
	 "2001:db8:122:344:c0:2:2100::",
	 {9, 10, 11, 12}},
	{"2001:db8:122:344::/96",
	 "2001:db8:122:344::192.0.2.33",
	 {12, 13, 14, 15}},
	{"64:ff9b::/96", "64:ff9b::192.0.2.33", {12, 13, 14, 15}},
	{"fd00:64::/96", "fd00:64::192.0.2.33", {12, 13, 14, 15}},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct address address_of(const char *text)
{
	struct address a;

	assert_int_equal(address_from_text(&a, text), 0);
	return a;
}

static struct address_range range_of(const char *text)
{
	struct address_range r;
	const char *why;

	assert_int_equal(address_range_from_text(&r, text, &why), 0);
	return r;
}

static void use(const struct layout *l)
{
	struct address_range prefix = range_of(l->prefix);

	assert_int_equal(nat64_set(&prefix, 1), 0);
}

/* The IPv4 address below the layout's prefix; tail is what stands behind. */
static struct address below(const struct layout *l, const char *inet,
			    uint8_t tail)
{
	struct address_range prefix = range_of(l->prefix);
	struct address a = address_of(inet), out = prefix.first;

	for (size_t i = 0; i < 4; i++)
		out.bytes[l->at[i]] = a.bytes[i];
	for (size_t i = l->at[3] + 1; i < 16; i++)
		out.bytes[i] = i == 8 ? 0 : tail;
	return out;
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

static int no_prefixes(void **state)
{
	(void)state;
	return nat64_set(NULL, 0);
}

static void the_examples_of_the_rfc(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(layouts); i++) {
		struct address a = address_of(layouts[i].inside);
		struct address made = below(&layouts[i], "192.0.2.33", 0);
		uint8_t inside[4];

		use(&layouts[i]);
		assert_int_equal(address_compare(&a, &made), 0);
		assert_int_equal(nat64_inside(&a, inside), 1);
		assert_memory_equal(inside, "\300\0\2\41", 4);
		a = address_of("2001:db9::1");
		assert_int_equal(nat64_inside(&a, inside), 0);
	}
}

static void kinds_are_those_inside(void **state)
{
	static const struct {
		const char *inet;
		enum address_kind kind;
	} cases[] = {
		{"8.8.8.8", ADDRESS_PUBLIC},
		{"10.0.0.1", ADDRESS_PRIVATE},
		{"172.16.0.1", ADDRESS_PRIVATE},
		{"192.168.255.255", ADDRESS_PRIVATE},
		{"100.64.0.1", ADDRESS_PRIVATE},
		{"126.255.255.255", ADDRESS_PUBLIC},
		{"127.0.0.0", ADDRESS_LOOPBACK},
		{"127.0.0.1", ADDRESS_LOOPBACK},
		{"127.255.255.255", ADDRESS_LOOPBACK},
		{"128.0.0.0", ADDRESS_PUBLIC},
		{"169.253.255.255", ADDRESS_PUBLIC},
		{"169.254.169.253", ADDRESS_LINK_LOCAL},
		{"169.254.169.254", ADDRESS_LINK_LOCAL},
		{"169.254.169.255", ADDRESS_LINK_LOCAL},
		{"169.255.0.0", ADDRESS_PUBLIC},
		{"100.100.100.200", ADDRESS_METADATA},
		{"0.0.0.0", ADDRESS_UNSPECIFIED},
		{"224.0.0.1", ADDRESS_MULTICAST},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(layouts); i++) {
		use(&layouts[i]);
		for (size_t k = 0; k < COUNT(cases); k++) {
			struct address a = below(&layouts[i], cases[k].inet, 0);
			struct address tail =
				below(&layouts[i], cases[k].inet, 0xff);

			assert_int_equal(address_kind(&a), cases[k].kind);
			assert_int_equal(address_kind(&tail), cases[k].kind);
			if (layouts[i].at[3] == 15)
				continue;
			a.bytes[8] = 1;
			assert_int_equal(address_kind(&a), ADDRESS_RESERVED);
		}
	}
}

/* IPv4 rules hold for them, in the match as in the kernel's ranges, at every
 * length of a prefix and at its edges. */
static void rules_are_those_inside(void **state)
{
	static const struct {
		const char *range, *inside[2], *outside[2];
	} cases[] = {
		{"10.0.0.0/8",
		 {"10.0.0.0", "10.255.255.255"},
		 {"9.255.255.255", "11.0.0.0"}},
		{"169.254.0.0/16",
		 {"169.254.0.0", "169.254.255.255"},
		 {"169.253.255.255", "169.255.0.0"}},
		{"203.0.113.0/24",
		 {"203.0.113.0", "203.0.113.255"},
		 {"203.0.112.255", "203.0.114.0"}},
		{"172.16.0.0/12",
		 {"172.16.0.0", "172.31.255.255"},
		 {"172.15.255.255", "172.32.0.0"}},
		{"203.0.113.64/27",
		 {"203.0.113.64", "203.0.113.95"},
		 {"203.0.113.63", "203.0.113.96"}},
		{"127.0.0.1",
		 {"127.0.0.1", "127.0.0.1"},
		 {"127.0.0.0", "127.0.0.2"}},
		{"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {NULL, NULL}},
	};
	char json[160];

	(void)state;
	for (size_t i = 0; i < COUNT(layouts) * COUNT(cases) * 4; i++) {
		const struct layout *l = &layouts[i % COUNT(layouts)];
		size_t k = i / COUNT(layouts) % COUNT(cases);
		size_t at = i / COUNT(layouts) / COUNT(cases);
		bool in = at < 2;
		const char *inet =
			in ? cases[k].inside[at] : cases[k].outside[at - 2];
		struct policy *policy;

		if (!inet)
			continue;
		use(l);
		snprintf(json, sizeof(json),
			 "{\"defaultAction\":\"allow\",\"egress\":[{\"action\":"
			 "\"deny\",\"target\":\"%s\"}]}",
			 cases[k].range);
		policy = policy_of(json);
		for (int tail = 0; tail < 2; tail++) {
			struct address a = below(l, inet, tail ? 0xff : 0);
			struct decision d;

			policy_match_address(policy, &a, 0, 0, &d);
			assert_int_equal(d.action,
					 in ? POLICY_DENY : POLICY_ALLOW);
			assert_int_equal(ranges_allow(policy, &a, 0, 0), !in);
		}
		policy_unref(policy);
	}
}

static void answers_are_judged_inside(void **state)
{
	static const char json[] =
		"{\"egress\":[{\"action\":\"allow\",\"target\":\"10.1.0.0/"
		"16\"},"
		"{\"action\":\"deny\",\"target\":\"203.0.113.66\"},"
		"{\"action\":\"allow\",\"target\":\"a.test\"}]}";
	static const struct {
		const char *inet;
		enum admission admission;
	} cases[] = {
		{"203.0.113.20", ADMIT},
		{"203.0.113.66", REFUSE_RULE},
		{"10.1.2.3", ADMIT},
		{"10.2.2.3", REFUSE_PRIVATE},
		{"169.254.169.254", REFUSE_KIND},
		{"127.0.0.1", REFUSE_KIND},
	};
	struct domain_name name;
	const char *why;

	(void)state;
	assert_int_equal(domain_name_from_text(&name, "a.test", &why), 0);
	for (size_t i = 0; i < COUNT(layouts) * COUNT(cases); i++) {
		const struct layout *l = &layouts[i % COUNT(layouts)];
		size_t k = i / COUNT(layouts);
		struct address a = below(l, cases[k].inet, 0);
		struct admitted_ports ports;
		struct policy *policy;

		use(l);
		policy = policy_of(json);
		assert_int_equal(
			policy_admission(policy, &name, &a, false, &ports),
			cases[k].admission);
		policy_unref(policy);
	}
}

/* A rule's ranges below prefixes that touch each other. */
static void neighbouring_prefixes(void **state)
{
	struct address_range both[2] = {range_of("2001:db8::/96"),
					range_of("2001:db8:0:0:0:1::/96")};
	struct policy *policy;

	(void)state;
	assert_int_equal(nat64_set(both, 2), 0);
	policy = policy_of(
		"{\"defaultAction\":\"allow\",\"egress\":[{\"action\":"
		"\"deny\",\"target\":\"0.0.0.0/0\"}]}");
	for (int i = 0; i < 2; i++) {
		struct address a = address_of(i ? "2001:db8::1:0:0"
						: "2001:db8::ffff:ffff");
		struct decision d;

		policy_match_address(policy, &a, 0, 0, &d);
		assert_int_equal(d.action, POLICY_DENY);
		assert_false(ranges_allow(policy, &a, 0, 0));
	}
	policy_unref(policy);
}

static void prefixes_out_of_form(void **state)
{
	static const char *const wrong[] = {
		"2001:db8::/33",  "2001:d00::/24", "2001:db8::/72",
		"2001:db8::/128", "10.0.0.0/8",    "2001:db8:0:0:100::/96"};
	struct address_range nested[2] = {range_of("2001:db8::/32"),
					  range_of("2001:db8:1::/48")};
	struct address_range many[NAT64_MAX + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct address_range r = range_of(wrong[i]);

		assert_non_null(nat64_check(&r));
		assert_int_equal(nat64_set(&r, 1), -EINVAL);
	}
	assert_int_equal(nat64_set(nested, 2), -EINVAL);
	for (size_t i = 0; i <= NAT64_MAX; i++) {
		many[i] = nested[0];
		many[i].first.bytes[0] = many[i].last.bytes[0] = (uint8_t)i;
	}
	assert_int_equal(nat64_set(many, NAT64_MAX + 1), -E2BIG);
	assert_int_equal(nat64_set(many, NAT64_MAX), 0);
	assert_int_equal(nat64_count(), NAT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_examples_of_the_rfc, no_prefixes),
		cmocka_unit_test_teardown(kinds_are_those_inside, no_prefixes),
		cmocka_unit_test_teardown(rules_are_those_inside, no_prefixes),
		cmocka_unit_test_teardown(answers_are_judged_inside,
					  no_prefixes),
		cmocka_unit_test_teardown(neighbouring_prefixes, no_prefixes),
		cmocka_unit_test_teardown(prefixes_out_of_form, no_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
