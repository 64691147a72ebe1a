/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Rules in short: "+example.com -10.0.0.0/8:80 +*.a:22,443/tcp !3"; + allows,
 * - denies, ports follow a '=', a protocol follows them behind '/', a priority
 * behind '!'. The first character is the default. */
static json_t *short_rule(char *word)
{
	char *priority = strchr(word, '!'), *ports = strchr(word, '=');
	char *protocol = ports ? strchr(ports, '/') : NULL;
	json_t *rule = json_object(), *list, *port;
	char *save;

	if (priority) {
		*priority++ = '\0';
		json_object_set_new(rule, "priority",
				    json_integer(atoi(priority)));
	}
	if (protocol) {
		*protocol++ = '\0';
		json_object_set_new(rule, "protocol", json_string(protocol));
	}
	if (ports)
		*ports++ = '\0';
	if (ports && *ports) {
		list = json_array();
		for (ports = strtok_r(ports, ",", &save); ports;
		     ports = strtok_r(NULL, ",", &save)) {
			port = json_string(ports);
			json_array_append_new(list, port);
		}
		json_object_set_new(rule, "ports", list);
	}
	json_object_set_new(rule, "action",
			    json_string(word[0] == '+' ? "allow" : "deny"));
	json_object_set_new(rule, "target", json_string(word + 1));
	return rule;
}

static struct policy *compile(const char *text,
			      const struct always_rules *always)
{
	json_t *egress = json_array(), *document;
	char *copy = strdup(text + 1), *save, *word;
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;

	for (word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		json_array_append_new(egress, short_rule(word));
	document =
		json_pack("{s:s, s:o}", "defaultAction",
			  text[0] == '+' ? "allow" : "deny", "egress", egress);
	if (rules_from_json(&rules, document, 0, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	assert_int_equal(policy_compile(&policy, rules, always), 0);
	json_decref(document);
	rules_free(rules);
	free(copy);
	return policy;
}

static struct domain_name name_of(const char *text)
{
	struct domain_name name;
	const char *why;

	if (domain_name_from_text(&name, text, &why) < 0)
		fail_msg("%s: %s", text, why);
	return name;
}

static struct address address_of(const char *text)
{
	struct address a;

	if (address_from_text(&a, text) < 0)
		fail_msg("%s", text);
	return a;
}

/* "+3": allowed by rule 3; "-d": denied by default; "+a0": allow.always */
static const char *shown(const struct decision *d)
{
	static char out[32];

	out[0] = d->action == POLICY_ALLOW ? '+' : '-';
	if (!d->rule)
		strcpy(out + 1, "d");
	else
		snprintf(out + 1, sizeof(out) - 1, "%s%d",
			 strcmp(d->source, "policy") ? "a" : "", d->index);
	return out;
}

static void expect_name(const struct policy *policy, const char *name,
			const char *want)
{
	struct domain_name wire = name_of(name);
	struct decision d;

	policy_match_name(policy, &wire, &d);
	if (strcmp(shown(&d), want))
		fail_msg("%s: %s, not %s", name, shown(&d), want);
}

static void expect_address(const struct policy *policy, const char *address,
			   int protocol, int port, const char *want)
{
	struct address a = address_of(address);
	struct decision d;

	policy_match_address(policy, &a, (uint8_t)protocol, (uint16_t)port, &d);
	if (strcmp(shown(&d), want))
		fail_msg("%s: %s, not %s", address, shown(&d), want);
}

static void wildcards_match_below_and_not_themselves(void **state)
{
	struct policy *policy = compile("-+*.example.com +exact.test", NULL);

	(void)state;
	expect_name(policy, "example.com", "-d");
	expect_name(policy, "a.example.com", "+0");
	expect_name(policy, "a.b.c.EXAMPLE.com.", "+0");
	expect_name(policy, "badexample.com", "-d");
	expect_name(policy, "example.com.evil.test", "-d");
	expect_name(policy, "exact.test", "+1");
	expect_name(policy, "a.exact.test", "-d");
	expect_name(policy, "test", "-d");
	policy_unref(policy);
}

static void first_match_wins(void **state)
{
	struct policy *policy =
		compile("++a.test -*.test +b.test -c.test +c.test +* -*", NULL);

	(void)state;
	expect_name(policy, "a.test", "+0");
	expect_name(policy, "b.test", "-1");
	expect_name(policy, "c.test", "-1");
	expect_name(policy, "other.com", "+5");
	expect_address(policy, "192.0.2.1", 0, 0, "+5");
	policy_unref(policy);
}

static void priority_orders_and_place_breaks_ties(void **state)
{
	struct policy *policy = compile(
		"--a.test +a.test!-1 -b.test!5 +b.test!5 -c.test +c.test!4",
		NULL);

	(void)state;
	expect_name(policy, "a.test", "+1");
	expect_name(policy, "b.test", "-2");
	/* places count as priorities: 4 for -c.test, tied with +c.test */
	expect_name(policy, "c.test", "-4");
	policy_unref(policy);
}

static void the_star_matches_names_and_addresses(void **state)
{
	struct policy *policy = compile("-+*", NULL);
	struct domain_name root;
	struct decision d;

	(void)state;
	expect_name(policy, "any.test", "+0");
	expect_address(policy, "192.0.2.1", 0, 0, "+0");
	expect_address(policy, "2001:db8::1", 0, 0, "+0");
	assert_int_equal(domain_name_from_wire(&root, (const uint8_t *)"", 1),
			 1);
	policy_match_name(policy, &root, &d);
	assert_int_equal(d.action, POLICY_ALLOW);
	policy_unref(policy);
}

static void no_spelling_slips_by(void **state)
{
	static const uint8_t odd[] = "\11good.test\4evil\4test";
	static const uint8_t nul[] = "\4good\5test\0";
	struct policy *policy = compile("-+good.test +*.good.test", NULL);
	struct domain_name name;
	struct decision d;

	(void)state;
	expect_name(policy, "GOOD.test.evil.test", "-d");
	expect_name(policy, "gOOd.TeSt.", "+0");
	/* a dot or a zero inside a label is not the end of one */
	assert_true(domain_name_from_wire(&name, odd, sizeof(odd)) > 0);
	policy_match_name(policy, &name, &d);
	assert_int_equal(d.action, POLICY_DENY);
	assert_true(domain_name_from_wire(&name, nul, sizeof(nul)) > 0);
	policy_match_name(policy, &name, &d);
	assert_int_equal(d.action, POLICY_DENY);
	policy_unref(policy);
}

static void the_longest_names_are_matched(void **state)
{
	struct policy *policy = compile("-+*.a", NULL);
	char text[256];

	(void)state;
	for (size_t i = 0; i < 253; i++)
		text[i] = i % 2 ? '.' : 'a';
	text[253] = '\0';
	expect_name(policy, text, "+0");
	policy_unref(policy);
}

static struct always_rules *always_of(const char *deny, const char *allow,
				      const char *log_skip)
{
	struct always_rules *always = calloc(1, sizeof(*always));
	struct policy_error err;

	assert_int_equal(always_from_text(&always->deny, deny, strlen(deny),
					  POLICY_DENY, &err),
			 0);
	assert_int_equal(always_from_text(&always->allow, allow, strlen(allow),
					  POLICY_ALLOW, &err),
			 0);
	assert_int_equal(always_from_text(&always->log_skip, log_skip,
					  strlen(log_skip), POLICY_ALLOW, &err),
			 0);
	return always;
}

static void always_rules_precede_deny_first(void **state)
{
	struct always_rules *always = always_of(
		"both.test\nno.test\n10.0.0.0/8\n",
		"both.test\nyes.test\n10.1.0.0/16\n192.0.2.0/24\n", "");
	struct policy *policy = compile(
		"-+no.test!-100 -yes.test!-100 -192.0.2.1 +own.test", always);
	struct domain_name name = name_of("yes.test");
	struct decision d;

	(void)state;
	always_free(always);
	expect_name(policy, "both.test", "-a0");
	expect_name(policy, "no.test", "-a1");
	expect_name(policy, "yes.test", "+a1");
	expect_name(policy, "own.test", "+3");
	expect_address(policy, "10.1.0.1", 0, 0, "-a2");
	expect_address(policy, "192.0.2.1", 0, 0, "+a3");
	policy_match_name(policy, &name, &d);
	assert_string_equal(d.source, "allow.always");
	assert_int_equal(d.rank, 4);
	policy_unref(policy);
}

static void log_skip_silences_names(void **state)
{
	struct always_rules *always =
		always_of("", "", "quiet.test\n*.telemetry.test\n10.0.0.1\n");
	struct policy *policy = compile("-", always);
	struct domain_name quiet = name_of("quiet.test");
	struct domain_name below = name_of("a.b.telemetry.test");
	struct domain_name itself = name_of("telemetry.test");

	(void)state;
	assert_true(policy_log_skips(policy, &quiet));
	assert_true(policy_log_skips(policy, &below));
	assert_false(policy_log_skips(policy, &itself));
	policy_unref(policy);
	always_free(always);

	always = always_of("", "", "*");
	policy = compile("-", always);
	assert_true(policy_log_skips(policy, &itself));
	policy_unref(policy);
	always_free(always);
}

static void log_skip_silences_addresses(void **state)
{
	static const struct {
		const char *address;
		bool skipped, by_all;
	} row[] = {
		{"10.0.0.1", true, true},
		{"10.0.0.2", false, true},
		{"2001:db8::1", true, true},
		{"::ffff:192.0.2.9", true, true},
	};
	struct always_rules *some = always_of(
		"", "", "quiet.test\n10.0.0.1\n2001:db8::/32\n192.0.2.0/24");
	struct always_rules *all = always_of("", "", "*");
	struct policy *with_some = compile("-", some);
	struct policy *with_all = compile("-", all);
	struct policy *with_none = compile("-", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct address a;

		assert_int_equal(address_from_text(&a, row[i].address), 0);
		assert_int_equal(policy_log_skips_address(with_some, &a),
				 row[i].skipped);
		assert_int_equal(policy_log_skips_address(with_all, &a),
				 row[i].by_all);
		assert_false(policy_log_skips_address(with_none, &a));
	}
	policy_unref(with_some);
	policy_unref(with_all);
	policy_unref(with_none);
	always_free(some);
	always_free(all);
}

static void references_keep_a_policy(void **state)
{
	struct policy *policy = compile("-+a.test", NULL);

	(void)state;
	assert_ptr_equal(policy_ref(policy), policy);
	policy_unref(policy);
	expect_name(policy, "a.test", "+0");
	assert_int_equal(policy_rules(policy)->n_rules, 1);
	policy_unref(policy);
	policy_unref(NULL);
}

/* The flattened ranges in short: "10.0.0.0-10.0.255.255+ ...". */
static void expect_ranges(const char *text, const char *want)
{
	static const char signs[] = {'-', '+', '?'};
	struct policy *policy = compile(text, NULL);
	char got[1024] = "", first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];
	size_t n, len = 0;
	const struct policy_range *range = policy_ranges(policy, &n);

	for (size_t i = 0; i < n; i++) {
		address_to_text(&range[i].range.first, first);
		address_to_text(&range[i].range.last, last);
		len += (size_t)snprintf(got + len, sizeof(got) - len,
					"%s%s..%s%c", i ? " " : "", first, last,
					signs[range[i].verdict]);
	}
	assert_string_equal(got, want);
	policy_unref(policy);
}

#define ALL4 "0.0.0.0..255.255.255.255"
#define ALL6 "::..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

static void ranges_are_disjoint_and_merged(void **state)
{
	(void)state;
	expect_ranges("-+a.test", "");
	expect_ranges("-+10.1.0.0/16 -10.0.0.0/8",
		      "10.0.0.0..10.0.255.255- 10.1.0.0..10.1.255.255+ "
		      "10.2.0.0..10.255.255.255-");
	expect_ranges("--10.0.0.0/8 +10.1.0.0/16", "10.0.0.0..10.255.255.255-");
	expect_ranges("-+10.0.0.0/9 +10.128.0.0/9 +11.0.0.0/8",
		      "10.0.0.0..11.255.255.255+");
	expect_ranges("-+*", ALL4 "+ " ALL6 "+");
	expect_ranges("--* +10.0.0.0/8", ALL4 "- " ALL6 "-");
	expect_ranges("-+255.255.255.255 +0.0.0.0",
		      "0.0.0.0..0.0.0.0+ 255.255.255.255..255.255.255.255+");
	expect_ranges("+-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -::",
		      "::..::- ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff.."
		      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff-");
	expect_ranges("-+0.0.0.0/0 +::/0", ALL4 "+ " ALL6 "+");
	expect_ranges("-+::ffff:10.0.0.0/104", "10.0.0.0..10.255.255.255+");
	/* the end of IPv4 does not touch the start of IPv6 */
	expect_ranges("-+255.0.0.0/8 +::/8",
		      "255.0.0.0..255.255.255.255+ "
		      "::..ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff+");
}

static void ports_make_tables(void **state)
{
	struct policy *policy =
		compile("-+10.0.0.0/24=443,80/tcp -10.0.0.0/24=80-90 "
			"+10.0.0.0/24=/udp +10.9.0.0/24=443,80/tcp",
			NULL);
	const struct policy_range *range;
	const struct port_table *table;
	size_t n_ranges, n_tables;

	(void)state;
	expect_address(policy, "10.0.0.1", IPPROTO_TCP, 80, "+0");
	expect_address(policy, "10.0.0.1", IPPROTO_TCP, 81, "-1");
	expect_address(policy, "10.0.0.1", IPPROTO_TCP, 22, "-d");
	expect_address(policy, "10.0.0.1", IPPROTO_UDP, 80, "-1");
	expect_address(policy, "10.0.0.1", IPPROTO_UDP, 79, "+2");
	expect_address(policy, "10.0.0.1", IPPROTO_UDP, 91, "+2");
	expect_address(policy, "10.0.0.1", IPPROTO_ICMP, 0, "-d");
	expect_address(policy, "10.0.0.1", 0, 0, "-d");
	range = policy_ranges(policy, &n_ranges);
	table = policy_port_tables(policy, &n_tables);
	assert_int_equal(n_ranges, 2);
	assert_int_equal(n_tables, 2);
	assert_int_equal(range[0].verdict, RANGE_PORTS);
	table += range[0].table;
	assert_int_equal(table->otherwise, POLICY_DENY);
	assert_int_equal(table->n_spans, 4);
	assert_int_equal(table->spans[0].span.first, 80);
	assert_int_equal(table->spans[0].span.last, 80);
	assert_int_equal(table->spans[1].span.first, 443);
	assert_int_equal(table->spans[2].span.protocol, IPPROTO_UDP);
	assert_int_equal(table->spans[2].span.first, 0);
	assert_int_equal(table->spans[2].span.last, 79);
	assert_int_equal(table->spans[3].span.first, 91);
	assert_int_equal(table->spans[3].span.last, 65535);
	assert_int_equal(table->spans[3].action, POLICY_ALLOW);
	policy_unref(policy);
}

static void equal_tables_are_one(void **state)
{
	struct policy *policy =
		compile("-+10.0.0.0/24=80 +10.2.0.0/24=80 +10.4.0.0/24=80-81 "
			"+10.6.0.0/24=81,80",
			NULL);
	size_t n_tables;

	(void)state;
	(void)policy_port_tables(policy, &n_tables);
	assert_int_equal(n_tables, 2);
	policy_unref(policy);
	/* tables that change nothing are not asked of the kernel */
	expect_ranges("--10.0.0.0/8=80", "");
	expect_ranges("-+10.0.0.0/8=80 +10.0.0.0/8",
		      "10.0.0.0..10.255.255.255+");
	expect_ranges("-+10.0.0.0/8=80", "10.0.0.0..10.255.255.255?");
}

static void overlaps_without_end_are_refused(void **state)
{
	json_t *egress = json_array(), *document, *ports;
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;
	char target[32];

	(void)state;
	for (int i = 0; i < 4096; i++) {
		json_t *rule = json_pack("{s:s}", "action", "allow");

		snprintf(target, sizeof(target), "10.%d.%d.0/24", i / 256,
			 i % 256);
		json_object_set_new(rule, "target",
				    json_string(i < 2048 ? "*" : target));
		ports = json_pack("[i]", i % 2048 * 16 + 1);
		json_object_set_new(rule, "ports", ports);
		json_array_append_new(egress, rule);
	}
	document = json_pack("{s:o}", "egress", egress);
	assert_int_equal(rules_from_json(&rules, document, 4096, &err), 0);
	assert_int_equal(policy_compile(&policy, rules, NULL), -E2BIG);
	rules_free(rules);
	json_decref(document);
}

struct expectation {
	const char *policy, *address;
	bool private_ok;
	enum admission want;
	const char *ports; /* "t443 u0-65535" */
};

static void expect_admission(const struct expectation *e)
{
	struct policy *policy = compile(e->policy, NULL);
	struct domain_name name = name_of("good.test");
	struct address a = address_of(e->address);
	struct admitted_ports ports;
	char got[256] = "";
	size_t len = 0;
	enum admission admission =
		policy_admission(policy, &name, &a, e->private_ok, &ports);

	if (admission != e->want)
		fail_msg("%s, %s: %s", e->policy, e->address,
			 admission_name(admission));
	for (size_t i = 0; admission == ADMIT_PORTS && i < ports.n; i++) {
		const struct port_span *s = &ports.span[i];

		len += (size_t)snprintf(got + len, sizeof(got) - len,
					"%s%c%u-%u", i ? " " : "",
					s->protocol == IPPROTO_TCP ? 't' : 'u',
					s->first, s->last);
	}
	if (e->ports)
		assert_string_equal(got, e->ports);
	policy_unref(policy);
}

static void refused_ranges_are_never_admitted(void **state)
{
	static const char *const policies[] = {
		"-+good.test", "++good.test", "+", "-+*",
		"-+127.0.0.0/8 +169.254.0.0/16 +0.0.0.0/0 +::/0 +good.test"};
	static const char *const refused[] = {
		"127.0.0.1",       "::1",
		"169.254.169.254", "fe80::1",
		"0.0.0.0",         "224.0.0.1",
		"100.100.100.200", "fd00:ec2::254",
		"255.255.255.255", "::",
		"ff02::1",         "::ffff:127.0.0.1",
		"64:ff9b::7f00:1", "2002:7f00:1::",
		"240.0.0.1",       "::127.0.0.1",
		"168.63.129.16",   "fd20:ce::254"};

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		for (size_t j = 0; j < sizeof(refused) / sizeof(refused[0]);
		     j++) {
			struct expectation e = {policies[i], refused[j], true,
						REFUSE_KIND, NULL};

			expect_admission(&e);
		}
	}
}

static void private_addresses_need_an_address_rule(void **state)
{
	static const struct expectation list[] = {
		{"-+good.test", "10.0.0.1", false, REFUSE_PRIVATE, NULL},
		{"-+good.test", "::ffff:10.0.0.1", false, REFUSE_PRIVATE, NULL},
		{"-+good.test", "fd12::1", false, REFUSE_PRIVATE, NULL},
		{"-+good.test", "64:ff9b::a00:1", false, REFUSE_PRIVATE, NULL},
		{"+", "10.0.0.1", false, REFUSE_PRIVATE, NULL},
		{"-+good.test", "10.0.0.1", true, ADMIT, NULL},
		{"+", "10.0.0.1", true, ADMIT, NULL},
		{"-+good.test +10.0.0.0/24", "10.0.0.1", false, ADMIT, NULL},
		{"-+10.0.0.0/24 +good.test", "10.0.0.1", false, ADMIT, NULL},
		{"-+good.test +10.0.0.0/24", "10.0.1.1", false, REFUSE_PRIVATE,
		 NULL},
		{"-+*", "10.0.0.1", false, ADMIT, NULL},
		/* the first address rule speaks, even behind the name's */
		{"-+good.test -10.0.0.0/8 +10.0.0.1", "10.0.0.1", false,
		 REFUSE_PRIVATE, NULL},
		{"-+good.test -10.0.0.0/8", "10.0.0.1", true, ADMIT, NULL},
		{"-+good.test +10.0.0.1=5432/tcp", "10.0.0.1", false,
		 ADMIT_PORTS, "t5432-5432"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		expect_admission(&list[i]);
}

static void rank_decides_between_names_and_addresses(void **state)
{
	static const struct expectation list[] = {
		{"-+good.test", "192.0.2.1", false, ADMIT, NULL},
		{"+", "192.0.2.1", false, ADMIT, NULL},
		{"-", "192.0.2.1", false, REFUSE_NAME, NULL},
		{"+-good.test", "192.0.2.1", false, REFUSE_NAME, NULL},
		{"-+192.0.2.1", "192.0.2.1", false, REFUSE_NAME, NULL},
		{"+-good.test", "127.0.0.1", false, REFUSE_NAME, NULL},
		{"--192.0.2.0/24 +good.test", "192.0.2.1", false, REFUSE_RULE,
		 NULL},
		{"-+good.test -192.0.2.0/24", "192.0.2.1", false, ADMIT, NULL},
		{"-+192.0.2.1 -192.0.2.0/24 +good.test", "192.0.2.1", false,
		 ADMIT, NULL},
		{"+-192.0.2.0/24", "192.0.2.1", false, REFUSE_RULE, NULL},
		{"-+*.test -192.0.2.0/24 +good.test", "192.0.2.1", false, ADMIT,
		 NULL},
		{"--192.0.2.0/24 +*", "192.0.2.1", false, REFUSE_RULE, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		expect_admission(&list[i]);
}

/* One policy, asked again and again: whoever was judged before, an answer is
 * that of the name and the address at hand. */
static void ports_are_those_of_the_name_at_hand(void **state)
{
	static const struct {
		const char *name, *address;
		bool private_ok;
		enum admission want;
		uint16_t first; /* of the only port, with ADMIT_PORTS */
	} list[] = {
		{"x.a.test", "192.0.2.1", false, ADMIT_PORTS, 22},
		{"y.a.test", "192.0.2.2", false, ADMIT_PORTS, 22},
		{"x.b.test", "192.0.2.1", false, ADMIT_PORTS, 80},
		{"x.a.test", "10.0.0.1", false, REFUSE_PRIVATE, 0},
		{"x.a.test", "10.0.0.1", true, ADMIT_PORTS, 22},
		{"x.a.test", "198.51.100.1", false, REFUSE_RULE, 0},
		{"x.b.test", "198.51.100.1", false, ADMIT_PORTS, 80},
		{"x.c.test", "192.0.2.1", false, ADMIT, 0},
		{"x.d.test", "192.0.2.1", false, REFUSE_NAME, 0},
		{"x.a.test", "127.0.0.1", true, REFUSE_KIND, 0},
		{"x.a.test", "2001:db8::1", false, ADMIT_PORTS, 22},
		{"x.a.test", "fd12::1", false, REFUSE_PRIVATE, 0},
	};
	struct policy *policy = compile("-+*.b.test=80/tcp -198.51.100.0/24 "
					"+*.a.test=22/tcp +*.c.test",
					NULL);
	const size_t n = sizeof(list) / sizeof(list[0]);

	(void)state;
	for (size_t i = 0; i < n * n * 2; i++) {
		size_t at = i % 2 ? i / 2 % n : i / 2 / n;
		struct domain_name name = name_of(list[at].name);
		struct address a = address_of(list[at].address);
		struct admitted_ports ports;
		enum admission admission = policy_admission(
			policy, &name, &a, list[at].private_ok, &ports);

		if (admission != list[at].want)
			fail_msg("%s, %s: %s", list[at].name, list[at].address,
				 admission_name(admission));
		if (admission != ADMIT_PORTS)
			continue;
		assert_int_equal(ports.n, 1);
		assert_int_equal(ports.span[0].first, list[at].first);
	}
	policy_unref(policy);
}

static void ports_are_admitted_one_by_one(void **state)
{
	static const struct expectation list[] = {
		{"-+good.test=22,443/tcp", "192.0.2.1", false, ADMIT_PORTS,
		 "t22-22 t443-443"},
		{"-+good.test=443", "192.0.2.1", false, ADMIT_PORTS,
		 "t443-443 u443-443"},
		{"-+good.test=/udp", "192.0.2.1", false, ADMIT_PORTS,
		 "u0-65535"},
		{"-+good.test=22/tcp +*.test=443/tcp", "192.0.2.1", false,
		 ADMIT_PORTS, "t22-22 t443-443"},
		/* what the rule does not list is the next one's to say */
		{"-+good.test=22/tcp +*.test", "192.0.2.1", false, ADMIT, NULL},
		{"++good.test=22/tcp", "192.0.2.1", false, ADMIT, NULL},
		{"-+good.test=22/tcp -good.test", "192.0.2.1", false,
		 ADMIT_PORTS, "t22-22"},
		{"--192.0.2.0/24=443/tcp +good.test=22,443/tcp", "192.0.2.1",
		 false, ADMIT_PORTS, "t22-22"},
		{"--192.0.2.0/24=443/tcp +good.test", "192.0.2.1", false,
		 ADMIT_PORTS, "t0-442 t444-65535 u0-65535"},
		{"--192.0.2.0/24=443/tcp +good.test=443/tcp", "192.0.2.1",
		 false, REFUSE_RULE, NULL},
		{"-+good.test=443/tcp -192.0.2.0/24", "192.0.2.1", false,
		 ADMIT_PORTS, "t443-443"},
		{"--*=25 +good.test", "192.0.2.1", false, ADMIT_PORTS,
		 "t0-24 t26-65535 u0-24 u26-65535"},
		{"-+good.test=443 +192.0.2.1=22/tcp", "192.0.2.1", false,
		 ADMIT_PORTS, "t22-22 t443-443 u443-443"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		expect_admission(&list[i]);
}

static void a_name_with_ports_resolves(void **state)
{
	struct policy *policy =
		compile("-+good.test=443 -*=25 +late.test", NULL);
	struct policy *plain = compile("-+good.test", NULL);

	(void)state;
	expect_name(policy, "good.test", "+0");
	expect_name(policy, "late.test", "+2");
	expect_name(policy, "other.test", "-d");
	assert_true(policy_has_name_ports(policy));
	assert_false(policy_has_name_ports(plain));
	assert_int_equal(policy_default(plain), POLICY_DENY);
	policy_unref(policy);
	policy_unref(plain);
}

static void spans_beyond_the_room_are_left_out(void **state)
{
	struct policy *policy;
	struct domain_name name = name_of("a.b.good.test");
	struct address a = address_of("192.0.2.1");
	struct admitted_ports ports;
	char text[4096];
	size_t len = 1;

	(void)state;
	text[0] = '-';
	for (int rule = 0; rule < 3; rule++) {
		static const char *const targets[] = {"a.b.good.test",
						      "*.good.test", "*.test"};

		len += (size_t)snprintf(text + len, sizeof(text) - len,
					" +%s=", targets[rule]);
		for (int port = 0; port < POLICY_NAME_PORTS_MAX; port++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"%s%d", port ? "," : "",
						rule * 200 + port * 2 + 1);
	}
	policy = compile(text, NULL);
	assert_int_equal(policy_admission(policy, &name, &a, false, &ports),
			 ADMIT_PORTS);
	assert_int_equal(ports.n, POLICY_NAME_PORTS_MAX * 2);
	policy_unref(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wildcards_match_below_and_not_themselves),
		cmocka_unit_test(first_match_wins),
		cmocka_unit_test(priority_orders_and_place_breaks_ties),
		cmocka_unit_test(the_star_matches_names_and_addresses),
		cmocka_unit_test(no_spelling_slips_by),
		cmocka_unit_test(the_longest_names_are_matched),
		cmocka_unit_test(always_rules_precede_deny_first),
		cmocka_unit_test(log_skip_silences_names),
		cmocka_unit_test(log_skip_silences_addresses),
		cmocka_unit_test(references_keep_a_policy),
		cmocka_unit_test(ranges_are_disjoint_and_merged),
		cmocka_unit_test(ports_make_tables),
		cmocka_unit_test(equal_tables_are_one),
		cmocka_unit_test(overlaps_without_end_are_refused),
		cmocka_unit_test(refused_ranges_are_never_admitted),
		cmocka_unit_test(private_addresses_need_an_address_rule),
		cmocka_unit_test(rank_decides_between_names_and_addresses),
		cmocka_unit_test(ports_are_admitted_one_by_one),
		cmocka_unit_test(ports_are_those_of_the_name_at_hand),
		cmocka_unit_test(a_name_with_ports_resolves),
		cmocka_unit_test(spans_beyond_the_room_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
