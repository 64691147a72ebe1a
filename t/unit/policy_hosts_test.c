/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the policy's hosts give addresses: what the rules say of the name
 * holds for these, in the ranges that the kernel gets and in admission. */
#include "policy/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOSTS                                         \
	"{'api.internal':['192.0.2.10','10.0.0.10']," \
	"'db.internal':['192.0.2.10','2001:db8::10']}"

/* rule by rule: "+target" or "-target", with "=port". */
static struct policy *compile(const char *action, const char *rules_text)
{
	char text[1024], copy[256], *save, *word;
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;
	size_t len;

	len = (size_t)snprintf(
		text, sizeof(text),
		"{'defaultAction':'%s','hosts':" HOSTS ",'egress':[", action);
	snprintf(copy, sizeof(copy), "%s", rules_text);
	for (word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		char *port = strchr(word, '=');

		if (port)
			*port++ = '\0';
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s{'action':'%s','target':'%s'%s%s%s}",
					text[len - 1] == '[' ? "" : ",",
					word[0] == '+' ? "allow" : "deny",
					word + 1, port ? ",'ports':[" : "",
					port ? port : "", port ? "]" : "");
	}
	snprintf(text + len, sizeof(text) - len, "]}");
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	if (rules_from_text(&rules, text, strlen(text), 0, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	assert_int_equal(policy_compile(&policy, rules, NULL), 0);
	rules_free(rules);
	return policy;
}

static bool in_ranges(const struct policy *policy, const struct address *a)
{
	size_t n;
	const struct policy_range *range = policy_ranges(policy, &n);

	for (size_t i = 0; i < n; i++)
		if (address_range_holds(&range[i].range, a))
			return range[i].verdict != RANGE_DENY;
	return policy_default(policy) == POLICY_ALLOW;
}

struct expectation {
	const char *action, *rules, *name, *address;
	uint16_t port;
	bool open; /* in the kernel, to whoever knows the address */
	enum admission admission;
};

static const struct expectation list[] = {
	/* no rule allows the name */
	{"deny", "", "api.internal", "192.0.2.10", 80, false, REFUSE_NAME},
	{"deny", "+other.test", "api.internal", "192.0.2.10", 80, false,
	 REFUSE_NAME},
	{"deny", "-api.internal +*.internal", "api.internal", "10.0.0.10", 80,
	 false, REFUSE_NAME},
	/* it does, by name or by wildcard; private or not */
	{"deny", "+api.internal", "api.internal", "192.0.2.10", 80, true,
	 ADMIT},
	{"deny", "+*.internal", "api.internal", "10.0.0.10", 80, true, ADMIT},
	{"deny", "+*.internal", "db.internal", "2001:db8::10", 80, true, ADMIT},
	/* that address and that name alone */
	{"deny", "+*.internal", "api.internal", "10.0.0.11", 80, false,
	 REFUSE_PRIVATE},
	{"deny", "+api.internal", "db.internal", "2001:db8::10", 80, false,
	 REFUSE_NAME},
	/* one of two names that lead there is enough, wherever the other's
	 * denial stands */
	{"deny", "-db.internal +api.internal", "api.internal", "192.0.2.10", 80,
	 true, ADMIT},
	/* an earlier rule for the address wins, a later one does not */
	{"deny", "-10.0.0.0/8 +api.internal", "api.internal", "10.0.0.10", 80,
	 false, REFUSE_RULE},
	{"deny", "-192.0.2.10 +api.internal", "api.internal", "192.0.2.10", 80,
	 false, REFUSE_RULE},
	{"deny", "+api.internal -10.0.0.0/8", "api.internal", "10.0.0.10", 80,
	 true, ADMIT},
	{"deny", "+api.internal -*", "api.internal", "10.0.0.10", 80, true,
	 ADMIT},
	{"deny", "-* +api.internal", "api.internal", "192.0.2.10", 80, false,
	 REFUSE_NAME},
	/* ports */
	{"deny", "+api.internal=443", "api.internal", "10.0.0.10", 443, true,
	 ADMIT_PORTS},
	{"deny", "+api.internal=443", "api.internal", "10.0.0.10", 80, false,
	 ADMIT_PORTS},
	{"deny", "+api.internal=443 -api.internal +*.internal=80",
	 "api.internal", "10.0.0.10", 80, false, ADMIT_PORTS},
	{"deny", "+api.internal=443 +*.internal=80", "api.internal",
	 "10.0.0.10", 80, true, ADMIT_PORTS},
	/* a default of allow, and "*", have the name resolve as well */
	{"allow", "", "api.internal", "10.0.0.10", 80, true, ADMIT},
	{"deny", "+*", "api.internal", "10.0.0.10", 80, true, ADMIT},
	{"allow", "-10.0.0.0/8", "api.internal", "10.0.0.10", 80, false,
	 REFUSE_RULE},
};

static void the_rules_of_the_name_hold_for_its_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		const struct expectation *e = &list[i];
		struct policy *policy = compile(e->action, e->rules);
		struct admitted_ports ports;
		struct domain_name name;
		enum admission got;
		struct decision d;
		struct address a;
		const char *why;

		assert_int_equal(domain_name_from_text(&name, e->name, &why),
				 0);
		assert_int_equal(address_from_text(&a, e->address), 0);
		policy_match_address(policy, &a, IPPROTO_TCP, e->port, &d);
		if ((d.action == POLICY_ALLOW) != e->open)
			fail_msg("%s, %s:%u", e->rules, e->address, e->port);
		if (e->admission != ADMIT_PORTS &&
		    in_ranges(policy, &a) != e->open)
			fail_msg("%s, %s: ranges", e->rules, e->address);
		got = policy_admission(policy, &name, &a, false, &ports);
		if (got != e->admission)
			fail_msg("%s, %s=%s: %s", e->rules, e->name, e->address,
				 admission_name(got));
		policy_unref(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rules_of_the_name_hold_for_its_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
