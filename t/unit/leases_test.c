/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/leases.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
	S = 1000
};

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

static struct domain_name name_of(const char *text)
{
	struct domain_name name;
	const char *why;

	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	return name;
}

static struct address address_of(const char *text)
{
	struct address a;

	assert_int_equal(address_from_text(&a, text), 0);
	return a;
}

static struct lease_table *table_of(void)
{
	struct lease_table *table;

	assert_int_equal(lease_table_new(&table), 0);
	return table;
}

/* What lease_admit() returned; confirmed where it announced. */
static int learn(struct lease_table *table, const char *name, const char *a,
		 uint32_t *ttl, uint64_t now, uint32_t *timeout)
{
	struct domain_name n = name_of(name);
	struct address addr = address_of(a);
	struct lease_element e = {0};
	int ret = lease_admit(table, &n, &addr, NULL, ttl, now, &e);

	if (ret == 1) {
		assert_int_equal(address_compare(&e.a, &addr), 0);
		lease_confirm(table, &e, now);
	}
	if (timeout)
		*timeout = e.timeout_s;
	return ret;
}

static void test_floor_cap_and_ttl(void **state)
{
	static const struct {
		uint32_t ttl, told, lease;
	} cases[] = {
		{0, 0, LEASE_FLOOR_S},
		{5, 5, LEASE_FLOOR_S},
		{30, 30, LEASE_FLOOR_S},
		{31, 31, 61},
		{300, 300, 330},
		{LEASE_CAP_S, LEASE_CAP_S - LEASE_SLACK_S, LEASE_CAP_S},
		{UINT32_MAX, LEASE_CAP_S - LEASE_SLACK_S, LEASE_CAP_S},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lease_table *table = table_of();
		uint32_t ttl = cases[i].ttl, timeout;

		assert_int_equal(
			learn(table, "a.test", "192.0.2.1", &ttl, S, &timeout),
			1);
		assert_int_equal(ttl, cases[i].told);
		assert_int_equal(timeout, cases[i].lease);
		lease_table_free(table);
	}
}

/* The client's time never outlives the kernel's. */
static void test_lease_covers_ttl(void **state)
{
	struct lease_table *table = table_of();
	uint64_t end = 0;

	(void)state;
	for (uint64_t now = S; now < 400 * S; now += 7 * S) {
		uint32_t ttl = (uint32_t)(now / S * 13 % 120), timeout;
		int ret = learn(table, "a.test", "2001:db8::1", &ttl, now,
				&timeout);

		assert_true(ret >= 0);
		if (ret == 1)
			end = now + (uint64_t)timeout * S;
		assert_true(now + (uint64_t)(ttl + LEASE_SLACK_S) * S <= end);
	}
	lease_table_free(table);
}

static void test_told_once(void **state)
{
	struct lease_table *table = table_of();
	uint32_t ttl = 30;

	(void)state;
	assert_int_equal(learn(table, "a.test", "192.0.2.1", &ttl, 0, NULL), 1);
	ttl = 25;
	assert_int_equal(learn(table, "a.test", "192.0.2.1", &ttl, 5 * S, NULL),
			 0);
	assert_int_equal(learn(table, "b.test", "192.0.2.1", &ttl, 5 * S, NULL),
			 0);
	ttl = 26;
	assert_int_equal(learn(table, "a.test", "192.0.2.1", &ttl, 5 * S, NULL),
			 1);
	assert_int_equal(lease_table_count(table), 1);
	lease_table_free(table);
}

static void test_unconfirmed_does_not_count(void **state)
{
	struct lease_table *table = table_of();
	struct domain_name name = name_of("a.test");
	struct address a = address_of("192.0.2.1");
	struct lease_element e;
	uint32_t ttl = 5;

	(void)state;
	assert_int_equal(lease_admit(table, &name, &a, NULL, &ttl, 0, &e), 1);
	assert_int_equal(lease_admit(table, &name, &a, NULL, &ttl, 0, &e), 1);
	lease_confirm(table, &e, 0);
	assert_int_equal(lease_admit(table, &name, &a, NULL, &ttl, 0, &e), 0);
	lease_table_free(table);
}

static void test_ports(void **state)
{
	struct lease_table *table = table_of();
	struct domain_name one = name_of("one.test"), two = name_of("two.test");
	struct address a = address_of("192.0.2.1");
	struct admitted_ports https = {{{6, 443, 443}}, 1};
	struct admitted_ports both = {{{6, 22, 22}, {6, 443, 443}}, 2};
	struct lease_element e;
	uint32_t ttl = 5;

	(void)state;
	assert_int_equal(lease_admit(table, &one, &a, &https, &ttl, 0, &e), 1);
	assert_ptr_equal(e.ports, &https);
	lease_confirm(table, &e, 0);
	assert_int_equal(lease_admit(table, &two, &a, &https, &ttl, 0, &e), 0);
	assert_int_equal(lease_admit(table, &two, &a, &both, &ttl, 0, &e), 1);
	lease_confirm(table, &e, 0);
	assert_int_equal(lease_admit(table, &one, &a, NULL, &ttl, 0, &e), 1);
	assert_null(e.ports);
	lease_confirm(table, &e, 0);
	assert_int_equal(lease_admit(table, &two, &a, &both, &ttl, 0, &e), 0);
	lease_table_free(table);
}

struct judged {
	unsigned live, ended;
	uint32_t timeout_s;
	bool ports;
};

static void count(void *arg, const struct lease_element *e, bool live)
{
	struct judged *j = arg;

	if (live)
		j->live++;
	else
		j->ended++;
	j->timeout_s = e->timeout_s;
	j->ports = e->ports != NULL;
}

static struct judged judge(const struct lease_table *table, const char *json,
			   uint64_t now)
{
	struct policy *policy = policy_of(json);
	struct judged j = {0};

	lease_table_judge(table, policy, false, now, count, &j);
	policy_unref(policy);
	return j;
}

#define ALLOW(target) "{\"action\":\"allow\",\"target\":\"" target "\"}"
#define ONLY(rules)   "{\"defaultAction\":\"deny\",\"egress\":[" rules "]}"

static void test_judged_by_name(void **state)
{
	struct lease_table *table = table_of();
	uint32_t ttl = 30;
	struct judged j;

	(void)state;
	learn(table, "a.test", "198.51.100.1", &ttl, 0, NULL);
	learn(table, "b.test", "198.51.100.2", &ttl, 0, NULL);

	j = judge(table, ONLY(ALLOW("a.test")), 10 * S);
	assert_int_equal(j.live, 1);
	assert_int_equal(j.ended, 0);
	assert_int_equal(j.timeout_s, 50);
	j = judge(table, ONLY(ALLOW("*.test")), 10 * S);
	assert_int_equal(j.live, 2);
	j = judge(table, ONLY(ALLOW("c.test")), 10 * S);
	assert_int_equal(j.live + j.ended, 0);
	j = judge(table, ONLY(ALLOW("a.test")), 61 * S);
	assert_int_equal(j.live, 0);
	assert_int_equal(j.ended, 1);
	j = judge(table,
		  ONLY("{\"action\":\"deny\",\"target\":\"198.51.100.0/"
		       "24\"}," ALLOW("a.test")),
		  10 * S);
	assert_int_equal(j.live + j.ended, 0);
	j = judge(table,
		  ONLY("{\"action\":\"allow\",\"target\":\"a.test\",\"ports\":["
		       "443]}"),
		  10 * S);
	assert_int_equal(j.live, 1);
	assert_true(j.ports);
	lease_table_free(table);
}

/* One of two names is enough, and its own lease counts. */
static void test_shared_address(void **state)
{
	struct lease_table *table = table_of();
	uint32_t ttl = 30;
	struct judged j;

	(void)state;
	learn(table, "a.test", "198.51.100.1", &ttl, 0, NULL);
	ttl = 300;
	learn(table, "b.test", "198.51.100.1", &ttl, 0, NULL);
	j = judge(table, ONLY(ALLOW("b.test")), 100 * S);
	assert_int_equal(j.live, 1);
	j = judge(table, ONLY(ALLOW("a.test")), 100 * S);
	assert_int_equal(j.live, 0);
	assert_int_equal(j.ended, 1);
	lease_table_free(table);
}

static void test_sweep(void **state)
{
	struct lease_table *table = table_of();
	struct policy *only_a = policy_of(ONLY(ALLOW("a.test")));
	struct address b = address_of("198.51.100.2");
	uint32_t ttl = 30;

	(void)state;
	learn(table, "a.test", "198.51.100.1", &ttl, 0, NULL);
	learn(table, "b.test", "198.51.100.2", &ttl, 0, NULL);
	lease_table_sweep(table, only_a, false, S);
	assert_int_equal(lease_table_count(table), 1);
	assert_null(lease_last_name(table, &b));
	lease_table_sweep(table, only_a, false, (uint64_t)LEASE_REMEMBER_S * S);
	assert_int_equal(lease_table_count(table), 1);
	lease_table_sweep(table, only_a, false,
			  (uint64_t)(LEASE_REMEMBER_S + 61) * S);
	assert_int_equal(lease_table_count(table), 0);
	policy_unref(only_a);
	lease_table_free(table);
}

static size_t renew(struct lease_table *table, const struct policy *policy,
		    uint64_t since, uint64_t now, struct lease_renewal *last)
{
	static struct lease_renewal renewed[LEASE_RENEWALS_MAX];
	size_t at = 0, n, all = 0;

	while ((n = lease_renew(table, policy, false, since, now + 20 * S, now,
				&at, renewed))) {
		for (size_t i = 0; i < n; i++)
			lease_confirm(table, &renewed[i].element, now);
		*last = renewed[n - 1];
		all += n;
	}
	return all;
}

/* Used leases go on while they are used, allowed, and about to end. */
static void test_renewed_while_used(void **state)
{
	struct lease_table *table = table_of();
	struct policy *both =
		policy_of(ONLY(ALLOW("a.test") "," ALLOW("b.test")));
	struct policy *only_b = policy_of(ONLY(ALLOW("b.test")));
	struct address a = address_of("198.51.100.1");
	struct lease_renewal last;
	uint32_t ttl = 5;

	(void)state;
	assert_false(lease_due(table, UINT64_MAX - 1));
	learn(table, "a.test", "198.51.100.1", &ttl, 0, NULL);
	learn(table, "b.test", "198.51.100.2", &ttl, 0, NULL);
	assert_false(lease_due(table, 59 * S));
	assert_true(lease_due(table, 60 * S));
	assert_int_equal(renew(table, both, 1, 45 * S, &last), 0);
	lease_use(table, &a, IPPROTO_TCP, 443, 30 * S);
	assert_int_equal(renew(table, both, 30 * S, 30 * S, &last), 0);
	lease_use(table, &a, IPPROTO_TCP, 443, 45 * S);
	assert_int_equal(renew(table, only_b, 45 * S, 45 * S, &last), 0);
	assert_int_equal(renew(table, both, 45 * S, 45 * S, &last), 1);
	assert_int_equal(address_compare(&last.element.a, &a), 0);
	assert_int_equal(last.element.timeout_s, LEASE_FLOOR_S);
	/* the other ends now, this one later */
	assert_true(lease_due(table, 60 * S));
	assert_int_equal(renew(table, both, 61 * S, 61 * S, &last), 0);
	assert_false(lease_due(table, 104 * S));
	assert_true(lease_due(table, 105 * S));
	/* not used any more */
	assert_int_equal(renew(table, both, 90 * S, 90 * S, &last), 0);
	assert_int_equal(renew(table, both, 106 * S, 106 * S, &last), 0);
	assert_false(lease_due(table, UINT64_MAX - 1));
	/* one that was missed, and lives */
	lease_use(table, &a, IPPROTO_TCP, 443, 200 * S);
	assert_int_equal(renew(table, both, 200 * S, 200 * S, &last), 1);
	policy_unref(both);
	policy_unref(only_b);
	lease_table_free(table);
}

static void test_renewed_on_its_ports(void **state)
{
	struct lease_table *table = table_of();
	struct policy *policy =
		policy_of(ONLY("{\"action\":\"allow\",\"target\":\"a.test\","
			       "\"ports\":[443],\"protocol\":\"tcp\"}"));
	struct address a = address_of("198.51.100.1");
	struct domain_name name = name_of("a.test");
	struct admitted_ports ports = {{{IPPROTO_TCP, 443, 443}}, 1};
	struct lease_renewal last;
	struct lease_element e;
	uint32_t ttl = 5;

	(void)state;
	assert_int_equal(lease_admit(table, &name, &a, &ports, &ttl, 0, &e), 1);
	lease_confirm(table, &e, 0);
	lease_use(table, &a, IPPROTO_TCP, 22, 50 * S);
	lease_use(table, &a, IPPROTO_UDP, 443, 50 * S);
	assert_int_equal(renew(table, policy, 50 * S, 50 * S, &last), 0);
	lease_use(table, &a, IPPROTO_TCP, 443, 50 * S);
	assert_int_equal(renew(table, policy, 50 * S, 50 * S, &last), 1);
	assert_int_equal(last.element.timeout_s, LEASE_FLOOR_S);
	policy_unref(policy);
	lease_table_free(table);
}

/* More than a batch holds. */
static void test_many_are_renewed(void **state)
{
	struct lease_table *table = table_of();
	struct policy *policy = policy_of(ONLY(ALLOW("*.test")));
	struct lease_renewal last;
	struct address a;
	uint32_t ttl = 5;
	char text[32];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "198.51.%d.%d", 100 + i / 250,
			 1 + i % 250);
		learn(table, "a.test", text, &ttl, 0, NULL);
		learn(table, "b.test", text, &ttl, 0, NULL);
		a = address_of(text);
		lease_use(table, &a, IPPROTO_TCP, 443, 50 * S);
	}
	assert_int_equal(renew(table, policy, 50 * S, 50 * S, &last), 10000);
	assert_int_equal(renew(table, policy, 50 * S, 51 * S, &last), 0);
	assert_true(lease_due(table, 110 * S));
	assert_false(lease_due(table, 109 * S));
	policy_unref(policy);
	lease_table_free(table);
}

static void test_bounds(void **state)
{
	struct lease_table *table = table_of();
	uint32_t ttl = 5, timeout;

	(void)state;
	lease_table_bounds(table, 30, 120);
	learn(table, "a.test", "198.51.100.1", &ttl, 0, &timeout);
	assert_int_equal(timeout, 35);
	ttl = 0;
	learn(table, "a.test", "198.51.100.2", &ttl, 0, &timeout);
	assert_int_equal(timeout, 30);
	ttl = 4000;
	learn(table, "a.test", "198.51.100.3", &ttl, 0, &timeout);
	assert_int_equal(timeout, 120);
	assert_int_equal(ttl, 90);
	lease_table_bounds(table, 600, 86400);
	ttl = 5;
	learn(table, "a.test", "198.51.100.4", &ttl, 0, &timeout);
	assert_int_equal(timeout, 600);
	lease_table_free(table);
}

static void test_last_name(void **state)
{
	struct lease_table *table = table_of();
	struct address a = address_of("192.0.2.1");
	struct domain_name expected = name_of("b.test");
	uint32_t ttl = 5;

	(void)state;
	assert_null(lease_last_name(table, &a));
	learn(table, "a.test", "192.0.2.1", &ttl, S, NULL);
	learn(table, "b.test", "192.0.2.1", &ttl, 2 * S, NULL);
	assert_true(domain_name_equal(lease_last_name(table, &a), &expected));
	lease_table_free(table);
}

static void test_many_names(void **state)
{
	struct lease_table *table = table_of();
	uint32_t ttl = 30;
	struct judged j;

	(void)state;
	for (int i = 0; i < 10 * LEASE_NAMES_MAX; i++) {
		char text[32];

		snprintf(text, sizeof(text), "n%d.test", i);
		assert_true(learn(table, text, "198.51.100.1", &ttl,
				  (uint64_t)i * S, NULL) >= 0);
	}
	assert_int_equal(lease_table_count(table), 1);
	j = judge(table, ONLY(ALLOW("n159.test")), 160 * S);
	assert_int_equal(j.live, 1);
	lease_table_free(table);
}

static void number(struct address *a, uint32_t n)
{
	memset(a, 0, sizeof(*a));
	a->family = AF_INET;
	a->bytes[0] = 11;
	a->bytes[1] = (uint8_t)(n >> 16);
	a->bytes[2] = (uint8_t)(n >> 8);
	a->bytes[3] = (uint8_t)n;
}

/* Live leases are never thrown out; ended ones make room. */
static void test_full(void **state)
{
	struct lease_table *table = table_of();
	struct domain_name name = name_of("a.test");
	struct lease_element e;
	uint32_t ttl = 5;
	struct address a;

	(void)state;
	for (uint32_t i = 0; i < LEASE_MAX; i++) {
		number(&a, i);
		assert_int_equal(
			lease_admit(table, &name, &a, NULL, &ttl, S, &e), 1);
		lease_confirm(table, &e, S);
	}
	number(&a, LEASE_MAX);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(
			lease_admit(table, &name, &a, NULL, &ttl, 2 * S, &e),
			-ENOSPC);
	number(&a, 7);
	assert_int_equal(lease_admit(table, &name, &a, NULL, &ttl, 2 * S, &e),
			 0);
	number(&a, LEASE_MAX);
	assert_int_equal(lease_admit(table, &name, &a, NULL, &ttl, 62 * S, &e),
			 1);
	assert_int_equal(lease_table_count(table), 1);
	lease_table_free(table);
}

/* A full table has room for other names: whoever holds most gives it up, and
 * what the kernel has to be told comes out, ports and all. */
static void test_shares(void **state)
{
	struct lease_table *table = table_of();
	struct domain_name greedy = name_of("a.greedy.test");
	struct domain_name modest = name_of("b.c.modest.test");
	struct admitted_ports ports = {.span = {{6, 80, 80}}, .n = 1}, evicted;
	struct lease_element e;
	uint32_t ttl = 5;
	struct address a;
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < LEASE_MAX; i++) {
		number(&a, i);
		assert_int_equal(
			lease_admit(table, &greedy, &a, &ports, &ttl, S, &e),
			1);
		lease_confirm(table, &e, S);
	}
	assert_false(lease_next_evicted(table, &e, &evicted));
	number(&a, LEASE_MAX);
	assert_int_equal(lease_admit(table, &modest, &a, NULL, &ttl, 2 * S, &e),
			 1);
	while (lease_next_evicted(table, &e, &evicted)) {
		assert_int_equal(e.timeout_s, 0);
		assert_ptr_equal(e.ports, &evicted);
		assert_int_equal(evicted.span[0].first, 80);
		assert_null(lease_last_name(table, &e.a));
		n++;
	}
	assert_true(n > 0);
	assert_int_equal(lease_table_count(table), LEASE_MAX + 1 - n);
	number(&a, LEASE_MAX + 1);
	assert_int_equal(lease_admit(table, &greedy, &a, NULL, &ttl, 2 * S, &e),
			 1);
	/* Some that nobody asks for are freed with it. */
	for (uint32_t i = 2; i < 2 * n + 2; i++) {
		number(&a, LEASE_MAX + i);
		assert_int_equal(
			lease_admit(table, &modest, &a, NULL, &ttl, 2 * S, &e),
			1);
	}
	lease_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_floor_cap_and_ttl),
		cmocka_unit_test(test_lease_covers_ttl),
		cmocka_unit_test(test_told_once),
		cmocka_unit_test(test_unconfirmed_does_not_count),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_judged_by_name),
		cmocka_unit_test(test_shared_address),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_renewed_while_used),
		cmocka_unit_test(test_renewed_on_its_ports),
		cmocka_unit_test(test_many_are_renewed),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_last_name),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
