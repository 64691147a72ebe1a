/* SPDX-License-Identifier: Apache-2.0 */
/* What of the leases the gate stands in front of. */
#include "filter/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct filter_settings settings = {
	.gate_port = 15380,
	.gated = {443, 80},
	.n_gated = 2,
	.mark = 1,
};

static struct policy *policy_of(const char *egress, const char *hosts)
{
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"defaultAction\":\"deny\",\"egress\":[%s]%s}", egress,
		 hosts);
	assert_int_equal(rules_from_text(&rules, text, strlen(text), 0, &err),
			 0);
	assert_int_equal(policy_compile(&policy, rules, NULL), 0);
	rules_free(rules);
	return policy;
}

/* The elements of a lease, as "ADDRESS PORT SECONDS;" each. */
static const char *gated_by(const struct filter_settings *s,
			    const char *address, const char *egress,
			    const char *hosts, const struct port_span *span,
			    uint32_t timeout_s)
{
	struct policy *policy = policy_of(egress, hosts);
	struct elements sets[LEASE_SETS] = {{0}};
	struct admitted_ports ports = {.n = span != NULL};
	struct lease_element e = {.ports = span ? &ports : NULL,
				  .timeout_s = timeout_s};
	static char text[256];
	size_t at = 0, size;

	if (span)
		ports.span[0] = *span;
	assert_int_equal(address_from_text(&e.a, address), 0);
	assert_int_equal(lease_sets_add_gated(sets, s, policy, &e), 0);
	text[0] = '\0';
	size = address_size(&e.a);
	for (size_t set = 0; set < LEASE_SETS; set++) {
		bool is = set == (size == 16 ? GATED6 : GATED4);

		assert_true(is || sets[set].n == 0);
		for (size_t i = 0; i < sets[set].n; i++) {
			const uint8_t *key = sets[set].e[i].key;

			assert_memory_equal(key, e.a.bytes, size);
			assert_int_equal(sets[set].e[i].comment, 0);
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       "%d %u;",
					       key[size] << 8 | key[size + 1],
					       sets[set].e[i].timeout_s);
		}
	}
	lease_sets_free(sets);
	policy_unref(policy);
	return text;
}

#define NAME "{\"action\":\"allow\",\"target\":\"good.test\"}"

static void test_address_rules(void **state)
{
	static const char *const a = "203.0.113.20", *const b = "2001:db8::20";

	(void)state;
	assert_string_equal(gated_by(&settings, a, NAME, "", NULL, 60),
			    "443 60;80 60;");
	assert_string_equal(gated_by(&settings, b, NAME, "", NULL, 60),
			    "443 60;80 60;");
	assert_string_equal(gated_by(&settings, a,
				     NAME ",{\"action\":\"allow\",\"target\":"
					  "\"203.0.113.0/24\",\"ports\":[80]}",
				     "", NULL, 60),
			    "443 60;");
	assert_string_equal(gated_by(&settings, a,
				     NAME ",{\"action\":\"allow\",\"target\":"
					  "\"203.0.113.0/24\",\"ports\":[443],"
					  "\"protocol\":\"udp\"}",
				     "", NULL, 60),
			    "443 60;80 60;");
	assert_string_equal(gated_by(&settings, a,
				     NAME ",{\"action\":\"deny\",\"target\":"
					  "\"203.0.113.0/24\"}",
				     "", NULL, 60),
			    "443 60;80 60;");
	assert_string_equal(gated_by(&settings, b,
				     NAME
				     ",{\"action\":\"allow\",\"target\":\"*\"}",
				     "", NULL, 60),
			    "");
	assert_string_equal(
		gated_by(&settings, a, NAME,
			 ",\"hosts\":{\"good.test\":[\"203.0.113.20\"]}", NULL,
			 60),
		"");
}

static void test_ports_of_the_lease(void **state)
{
	static const struct port_span https = {IPPROTO_TCP, 443, 443};
	static const struct port_span quic = {IPPROTO_UDP, 443, 443};
	static const struct port_span low = {IPPROTO_TCP, 1, 1023};

	(void)state;
	assert_string_equal(
		gated_by(&settings, "203.0.113.20", NAME, "", &https, 9),
		"443 9;");
	assert_string_equal(
		gated_by(&settings, "203.0.113.20", NAME, "", &quic, 9), "");
	assert_string_equal(
		gated_by(&settings, "203.0.113.20", NAME, "", &low, 9),
		"443 9;80 9;");
}

/* What is to go goes, whatever it was let in for. */
static void test_ended(void **state)
{
	static const struct port_span other = {IPPROTO_TCP, 8000, 8000};

	(void)state;
	assert_string_equal(
		gated_by(&settings, "203.0.113.20", NAME, "", &other, 0),
		"443 0;80 0;");
}

static void test_doh(void **state)
{
	struct filter_settings s = settings;
	struct address_range range;
	const char *why;

	(void)state;
	assert_int_equal(address_range_from_text(&range, "203.0.113.20", &why),
			 0);
	s.doh = &range;
	s.n_doh = 1;
	assert_string_equal(gated_by(&s, "203.0.113.20", NAME, "", NULL, 60),
			    "80 60;");
	assert_string_equal(gated_by(&s, "203.0.113.21", NAME, "", NULL, 60),
			    "443 60;80 60;");
}

static void test_no_gate(void **state)
{
	struct filter_settings none = {.n_gated = 0};

	(void)state;
	assert_string_equal(gated_by(&none, "203.0.113.20", NAME, "", NULL, 60),
			    "");
}

static void test_outlasts(void **state)
{
	struct set_element e = {.key = {1}, .timeout_s = 60};
	struct set_element other = {.key = {2}, .timeout_s = 1};
	struct held held = {.key = 7};

	(void)state;
	assert_false(held_outlasts(&held, &e, 1000));
	assert_int_equal(held_reserve(&held, 1, 1000), 0);
	held_put(&held, &e, NULL, 1000);
	assert_true(held_outlasts(&held, &e, 1000));
	assert_false(held_outlasts(&held, &e, 1001));
	assert_false(held_outlasts(&held, &other, 1000));
	held_drop(&held, &e);
	assert_false(held_outlasts(&held, &e, 1000));
	held_free(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_rules),
		cmocka_unit_test(test_ports_of_the_lease),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_doh),
		cmocka_unit_test(test_no_gate),
		cmocka_unit_test(test_outlasts),
	};

	return cmocka_run_group_tests_name("filter gate", tests, NULL, NULL);
}
