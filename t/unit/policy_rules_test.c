/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct rules *read_rules(const char *text)
{
	struct policy_error err;
	struct rules *rules;

	if (rules_from_text(&rules, text, strlen(text), 0, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return rules;
}

/* JSON that stands in single quotes for reading's sake. */
static char *quoted(char *text)
{
	if (!text)
		abort();
	for (char *c = text; *c; c++) {
		if (*c == '\'')
			*c = '"';
	}
	return text;
}

/* A document of these rules. */
static char *document(const char *rules)
{
	char *text;

	if (asprintf(&text, "{'egress':[%s]}", rules) < 0)
		abort();
	return quoted(text);
}

static struct rules *read_egress(const char *egress)
{
	char *text = document(egress);
	struct rules *rules = read_rules(text);

	free(text);
	return rules;
}

static void assert_shown(const struct rules *rules, const char *want)
{
	json_t *json = rules_to_json(rules);
	char *text = json_dumps(json, JSON_COMPACT);

	assert_string_equal(text, want);
	free(text);
	json_decref(json);
}

static void nothing_given_is_deny_all(void **state)
{
	static const char *const texts[] = {"", " \r\n\t", "null", "{}",
					    " {} "};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct rules *rules = read_rules(texts[i]);

		assert_int_equal(rules->default_action, POLICY_DENY);
		assert_int_equal(rules->n_rules, 0);
		assert_false(rules->given);
		assert_shown(rules,
			     "{\"defaultAction\":\"deny\",\"egress\":[]}");
		rules_free(rules);
	}
}

/* Documents without escapes, ports and the like are read by a reader of their
 * own; what it takes must be what the reader of all JSON makes of it. */
static void plain_documents_read_as_any(void **state)
{
	static const char *const texts[] = {
		"{'egress':[]}",
		" {\n'egress' : [ ] ,\t'defaultAction':'allow' } ",
		"{'defaultAction':'deny','egress':[{'action':'allow','target':"
		"'a.test'},{'target':'10.0.0.0/8','action':'deny'}]}",
		"{'egress':[ { 'action' : 'allow' ,\r\n'target':'*',"
		"'priority' : -7 } ]}",
		"{'egress':[{'priority':0,'action':'deny','target':'::1'}]}",
		"{'egress':[{'action':'allow','target':'A.Test.'},"
		"{'action':'allow','target':'*.b.test','priority':999999999}]}",
		"{'egress':[{'action':'ALLOW','target':'a.test'}]}",
		"{'egress':[{'action':'allow','target':'a.test','priority':"
		"1234567890}]}",
		"{'egress':[{'action':'allow','target':'a.test','priority':"
		"null}]}",
		"{'egress':[{'action':'allow','target':'a.test','priority':-0}"
		"]}",
		"{'egress':[{'action':'allow','target':'\\u0061.test'}]}",
		"{'egress':[{'action':'allow','target':'a.test','ports':[1]}]}",
		"{'hosts':{'A.test.':['192.0.2.1','2001:DB8::1']},'egress':[]}",
		"{'egress':[],'hosts':{}}",
		"{'egress':[],'hosts':null}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *text = quoted(strdup(texts[i])), *shown;
		struct rules *rules = read_rules(text), *any;
		json_t *json = json_loads(text, 0, NULL);
		struct policy_error err;

		assert_int_equal(rules_from_json(&any, json, 0, &err), 0);
		assert_int_equal(rules->n_rules, any->n_rules);
		assert_int_equal(rules->default_action, any->default_action);
		for (size_t k = 0; k < any->n_rules; k++) {
			assert_int_equal(rules->rule[k].priority,
					 any->rule[k].priority);
			assert_int_equal(rules->rule[k].has_priority,
					 any->rule[k].has_priority);
		}
		shown = rules_to_text(any, NULL);
		assert_shown(rules, shown);
		free(shown);
		json_decref(json);
		rules_free(any);
		rules_free(rules);
		free(text);
	}
}

/* What neither reader may take. */
static void plain_mistakes_are_mistakes(void **state)
{
	static const char *const texts[] = {
		"{'egress':[{'action':'allow','target':'a.test'},]}",
		"{'egress':[{'action':'allow','target':'a.test'}]",
		"{'egress':[{'action':'allow','target':'a.test'}]} x",
		"{'egress':[{'action':'allow'}]}",
		"{'egress':[{'action':'allow','action':'deny','target':'a'}]}",
		"{'egress':[{'action':'allow','target':'a','target':'b'}]}",
		"{'egress':[{'action':'allow','target':'a','priority':01}]}",
		"{'egress':[{'action':'allow','target':'a','priority':1.5}]}",
		"{'egress':[{'action':'allow','target':'a','priority':1,"
		"'priority':1}]}",
		"{'egress':[{'action':'allow','target':'a','priority':- 1}]}",
		"{'egress':[{'action':'allow','target':'a b'}]}",
		"{'egress':[],'egress':[]}",
		"{'defaultAction':'deny','defaultAction':'deny'}",
		"{'egress':[],}",
		"{'egress':[{'action':'maybe','target':'a'}]}",
		"{'egress':[],'hosts':[]}",
		"{'egress':[],'hosts':{'a.test':'192.0.2.1'}}",
		"{'hosts':{'a.test':['192.0.2.1']},'hosts':{}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct policy_error err = {.message = ""};
		char *text = quoted(strdup(texts[i]));
		struct rules *rules;

		assert_int_equal(
			rules_from_text(&rules, text, strlen(text), 0, &err),
			-EINVAL);
		assert_true(err.message[0] != '\0');
		free(text);
	}
}

static void hosts_are_shown_and_kept(void **state)
{
	static const char text[] =
		"{\"egress\":[{\"action\":\"allow\",\"target\":\"a.test\"}],"
		"\"hosts\":{\"B.Test.\":[\"192.0.2.1\",\"192.0.2.1\"],"
		"\"a.test\":[\"2001:DB8:0::1\",\"10.0.0.1\"]}}";
	static const char hosts[] =
		"\"hosts\":{\"b.test\":[\"192.0.2.1\"],"
		"\"a.test\":[\"2001:db8::1\",\"10.0.0.1\"]}";
	static const char patch[] =
		"[{\"action\":\"allow\",\"target\":\"c.test\"}]";
	struct rules *rules = read_rules(text), *patched, *without;
	struct policy_error err;
	char *shown;
	size_t removed;

	(void)state;
	assert_int_equal(
		rules_patched(&patched, rules, patch, strlen(patch), 0, &err),
		0);
	rules_free(rules);
	assert_int_equal(rules_without(&without, patched, "[\"a.test\"]", 10,
				       &removed, &err),
			 0);
	rules_free(patched);
	assert_int_equal(removed, 1);
	shown = rules_to_text(without, NULL);
	assert_non_null(strstr(shown, hosts));
	rules_free(without);
	rules = read_rules(shown);
	assert_shown(rules, shown);
	rules_free(rules);
	free(shown);
}

static void bad_hosts_are_named(void **state)
{
	static const struct {
		const char *hosts, *message;
	} cases[] = {
		{"[]", "hosts: not an object: an array"},
		{"{'a b':['192.0.2.1']}", "hosts[\"a b\"]: "},
		{"{'*.a.test':['192.0.2.1']}", "hosts[\"*.a.test\"]: "},
		{"{'10.0.0.1':['192.0.2.1']}",
		 "hosts[\"10.0.0.1\"]: not a name"},
		{"{'a.test':['192.0.2.1'],'A.test.':['192.0.2.2']}",
		 "hosts[\"A.test.\"]: the name is given twice"},
		{"{'a.test':[]}",
		 "hosts[\"a.test\"]: expected an array of 1 to 16 addresses, "
		 "not an array"},
		{"{'a.test':'192.0.2.1'}",
		 "hosts[\"a.test\"]: expected an array of 1 to 16 addresses, "
		 "not 192.0.2.1"},
		{"{'a.test':['192.0.2.1','192.0.2.0/24']}",
		 "hosts[\"a.test\"][1]: not an IP address: 192.0.2.0/24"},
		{"{'a.test':[1]}",
		 "hosts[\"a.test\"][0]: not an IP address: a number"},
		{"{'a.test':['127.0.0.1']}",
		 "hosts[\"a.test\"][0]: 127.0.0.1 is a loopback address"},
		{"{'a.test':['169.254.169.254']}",
		 "hosts[\"a.test\"][0]: 169.254.169.254 is a link-local "
		 "address"},
		{"{'a.test':['fd00:ec2::254']}",
		 "hosts[\"a.test\"][0]: fd00:ec2::254 is a "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_error err = {.message = ""};
		struct rules *rules;
		char text[256];

		snprintf(text, sizeof(text), "{'hosts':%s}", cases[i].hosts);
		quoted(text);
		assert_int_equal(
			rules_from_text(&rules, text, strlen(text), 0, &err),
			-EINVAL);
		if (strncmp(err.message, cases[i].message,
			    strlen(cases[i].message)) != 0)
			fail_msg("%s: %s", text, err.message);
	}
}

static void keys_may_be_absent_or_null(void **state)
{
	static const char *const texts[] = {
		"{\"egress\":[]}",
		"{\"egress\":null}",
		"{\"defaultAction\":\"deny\"}",
		"{\"defaultAction\":null,\"egress\":null}",
		"{\"defaultAction\":\"\"}",
	};
	struct rules *rules;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		rules = read_rules(texts[i]);
		assert_int_equal(rules->default_action, POLICY_DENY);
		assert_int_equal(rules->n_rules, 0);
		assert_true(rules->given);
		rules_free(rules);
	}
	rules = read_egress("{'action':'deny','target':'a','priority':null,"
			    "'ports':null,'protocol':null}");
	assert_false(rules->rule[0].has_priority);
	assert_int_equal(rules->rule[0].n_ports, 0);
	rules_free(rules);
}

static void actions_have_no_case(void **state)
{
	struct rules *rules = read_rules(
		"{\"defaultAction\":\"ALLOW\",\"egress\":["
		"{\"action\":\"Deny\",\"target\":\"Example.COM.\"}]}");

	(void)state;
	assert_int_equal(rules->default_action, POLICY_ALLOW);
	assert_int_equal(rules->rule[0].action, POLICY_DENY);
	/* readers of the document know lower case alone; targets are the
	 * author's */
	assert_shown(rules, "{\"defaultAction\":\"allow\",\"egress\":["
			    "{\"action\":\"deny\",\"target\":\"Example.COM.\"}"
			    "]}");
	rules_free(rules);
}

static void targets_have_their_kinds(void **state)
{
	struct rules *rules =
		read_egress("{'action':'allow','target':'example.com'},"
			    "{'action':'allow','target':'*.Example.com.'},"
			    "{'action':'allow','target':'*'},"
			    "{'action':'allow','target':'10.0.0.0/8'},"
			    "{'action':'allow','target':'2001:db8::1'},"
			    "{'action':'allow','target':'::ffff:10.0.0.1'},"
			    "{'action':'allow','target':'1e100.net'},"
			    "{'action':'allow','target':'localhost'}");
	static const enum target_kind kinds[] = {
		TARGET_NAME,  TARGET_BELOW, TARGET_ANY,  TARGET_RANGE,
		TARGET_RANGE, TARGET_RANGE, TARGET_NAME, TARGET_NAME};
	char out[DOMAIN_NAME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < rules->n_rules; i++)
		assert_int_equal(rules->rule[i].kind, kinds[i]);
	assert_string_equal(domain_name_to_text(rules->rule[1].name, out),
			    "example.com");
	assert_string_equal(rules->rule[1].target, "*.Example.com.");
	assert_int_equal(rules->rule[5].range.first.family, AF_INET);
	rules_free(rules);
}

static void priority_is_the_place_unless_given(void **state)
{
	struct rules *rules =
		read_egress("{'action':'allow','target':'a'},"
			    "{'action':'allow','target':'b','priority':-7},"
			    "{'action':'allow','target':'c'}");

	(void)state;
	assert_int_equal(rules->rule[0].priority, 0);
	assert_int_equal(rules->rule[1].priority, -7);
	assert_true(rules->rule[1].has_priority);
	assert_int_equal(rules->rule[2].priority, 2);
	assert_false(rules->rule[2].has_priority);
	rules_free(rules);
}

static void assert_span(const struct port_span *span, int protocol, int first,
			int last)
{
	assert_int_equal(span->protocol, protocol);
	assert_int_equal(span->first, first);
	assert_int_equal(span->last, last);
}

static void ports_are_sorted_and_merged(void **state)
{
	struct rules *rules = read_egress(
		"{'action':'allow','target':'a',"
		"'ports':[443,22,'8000-8010','8005-8012',23]},"
		"{'action':'allow','target':'a','protocol':'UDP'},"
		"{'action':'deny','target':'10.0.0.0/8','protocol':'tcp',"
		"'ports':['1-65535','80']}");
	const struct rule *r = rules->rule;

	(void)state;
	assert_int_equal(r[0].n_ports, 6);
	assert_span(&r[0].ports[0], IPPROTO_TCP, 22, 23);
	assert_span(&r[0].ports[1], IPPROTO_TCP, 443, 443);
	assert_span(&r[0].ports[2], IPPROTO_TCP, 8000, 8012);
	assert_span(&r[0].ports[3], IPPROTO_UDP, 22, 23);
	assert_int_equal(r[1].n_ports, 1);
	assert_span(&r[1].ports[0], IPPROTO_UDP, 0, 65535);
	assert_int_equal(r[2].n_ports, 1);
	assert_span(&r[2].ports[0], IPPROTO_TCP, 1, 65535);
	rules_free(rules);
}

static void names_may_list_64_ports(void **state)
{
	struct rules *rules =
		read_egress("{'action':'allow','target':'a','ports':['1-64']}");

	(void)state;
	assert_int_equal(rules->rule[0].n_ports, 2);
	rules_free(rules);
	/* the same port twice is one port; addresses and "*" know no bound */
	rules = read_egress(
		"{'action':'allow','target':'a','ports':['1-64','1-64']},"
		"{'action':'deny','target':'*','ports':['1-1000']},"
		"{'action':'deny','target':'::/0','ports':['1-1000']}");
	rules_free(rules);
}

/* The fault, where the rules stand in "egress". */
static const struct {
	const char *egress, *message;
	int index;
} faults[] = {
	{"3", "egress[0]: not an object", 0},
	{"{}", "egress[0].target: not a string: nothing", 0},
	{"{'action':'allow'}", "egress[0].target: not a string: nothing", 0},
	{"{'action':'allow','target':7}",
	 "egress[0].target: not a string: a number", 0},
	{"{'action':'allow','target':'a'},{'action':'drop','target':'a'}",
	 "egress[1].action: \"drop\" is not \"allow\" or \"deny\"", 1},
	{"{'action':true,'target':'a'}",
	 "egress[0].action: \"true\" is not \"allow\" or \"deny\"", 0},
	{"{'action':'allow','target':'a'},{'action':'allow','target':'b'},"
	 "{'action':'allow','target':'c'},"
	 "{'action':'allow','target':'exa mple.com'}",
	 "egress[3].target: \"exa mple.com\": a character that is not a "
	 "letter, digit, '-', '_' or '.'",
	 3},
	{"{'action':'allow','target':''}",
	 "egress[0].target: \"\": the name is empty", 0},
	{"{'action':'allow','target':'.'}",
	 "egress[0].target: \".\": not an IP address", 0},
	{"{'action':'allow','target':'*.'}",
	 "egress[0].target: \"*.\": the name is empty", 0},
	{"{'action':'allow','target':'*.*'}",
	 "egress[0].target: \"*.*\": '*' may stand alone or be the whole first "
	 "label",
	 0},
	{"{'action':'allow','target':'*example.com'}",
	 "egress[0].target: \"*example.com\": '*' may stand alone or be the "
	 "whole first label",
	 0},
	{"{'action':'allow','target':'b\303\274cher.de'}",
	 "egress[0].target: \"b\303\274cher.de\": internationalised names must "
	 "be given as A-labels (xn--...)",
	 0},
	{"{'action':'allow','target':'https://pypi.org'}",
	 "egress[0].target: \"https://pypi.org\": a URL; give its host name "
	 "alone",
	 0},
	{"{'action':'allow','target':'pypi.org:443'}",
	 "egress[0].target: \"pypi.org:443\": a target holds no port; list it "
	 "under \"ports\"",
	 0},
	{"{'action':'allow','target':'10.0.0.1:443'}",
	 "egress[0].target: \"10.0.0.1:443\": a target holds no port; list it "
	 "under \"ports\"",
	 0},
	{"{'action':'allow','target':'[::1]'}",
	 "egress[0].target: \"[::1]\": an IPv6 address stands without brackets",
	 0},
	{"{'action':'allow','target':'fe80::1%eth0'}",
	 "egress[0].target: \"fe80::1%eth0\": an address stands without a zone",
	 0},
	{"{'action':'allow','target':'1.2.3'}",
	 "egress[0].target: \"1.2.3\": not an IP address", 0},
	{"{'action':'deny','target':'203.0.113.60-203.0.113.70'}",
	 "egress[0].target: \"203.0.113.60-203.0.113.70\": a range of "
	 "addresses; give its prefixes (10.0.0.0/8)",
	 0},
	{"{'action':'deny','target':'0x7f.1'}",
	 "egress[0].target: \"0x7f.1\": not a name, for its last label is a "
	 "number; an IPv4 address has four decimal parts",
	 0},
	{"{'action':'allow','target':'1.2.3.256'}",
	 "egress[0].target: \"1.2.3.256\": not an IP address", 0},
	{"{'action':'allow','target':'10.0.0.0/33'}",
	 "egress[0].target: \"10.0.0.0/33\": the prefix length is not a number "
	 "in range",
	 0},
	{"{'action':'allow','target':'a\\nb'}",
	 "egress[0].target: \"a?b\": a character that is not a letter, digit, "
	 "'-', '_' or '.'",
	 0},
	{"{'action':'allow','target':'::ffff:10.0.0.0/8'}",
	 "egress[0].target: \"::ffff:10.0.0.0/8\": an IPv4-mapped prefix is of "
	 "96 bits or more",
	 0},
	{"{'action':'allow','target':'a','Priority':1}",
	 "egress[0]: unknown key \"Priority\"; did you mean \"priority\"?", 0},
	{"{'action':'allow','target':'a','port':[443]}",
	 "egress[0]: unknown key \"port\"; did you mean \"ports\"?", 0},
	{"{'action':'allow','target':'a','trotocol':'tcp'}",
	 "egress[0]: unknown key \"trotocol\"; did you mean \"protocol\"?", 0},
	{"{'action':'allow','target':'a','prots':[1]}",
	 "egress[0]: unknown key \"prots\"; did you mean \"ports\"?", 0},
	{"{'action':'deny','protocol':'tcp'}",
	 "egress[0].target: not a string: nothing", 0},
	{"{'action':'deny','target':'','ports':[25]}",
	 "egress[0].target: \"\": the name is empty", 0},
	{"{'target':'a','ports':[25]}",
	 "egress[0].ports: a deny rule for a name holds for every port; only "
	 "allow rules and addresses may be limited",
	 0},
	{"{'action':'allow','target':'a','priority':'1'}",
	 "egress[0].priority: not an integer of 32 bits", 0},
	{"{'action':'allow','target':'a','priority':1.0}",
	 "egress[0].priority: not an integer of 32 bits", 0},
	{"{'action':'allow','target':'a','priority':2147483648}",
	 "egress[0].priority: not an integer of 32 bits", 0},
	{"{'action':'allow','target':'a','protocol':'icmp'}",
	 "egress[0].protocol: not \"tcp\" or \"udp\"", 0},
	{"{'action':'allow','target':'a','ports':443}",
	 "egress[0].ports: not an array of ports (443) and ranges "
	 "(\"8000-8010\")",
	 0},
	{"{'action':'allow','target':'a','ports':[]}",
	 "egress[0].ports: the array is empty; leave it out for every port", 0},
	{"{'action':'allow','target':'a','ports':['1-65']}",
	 "egress[0].ports: more than 64 ports for a name", 0},
	{"{'action':'deny','target':'*.a','ports':[443]}",
	 "egress[0].ports: a deny rule for a name holds for every port; only "
	 "allow rules and addresses may be limited",
	 0},
	{"{'action':'deny','target':'a','protocol':'udp'}",
	 "egress[0].protocol: a deny rule for a name holds for every port; "
	 "only allow rules and addresses may be limited",
	 0},
};

/* What others read as an IPv4 address or a range of them is not a name. */
static void numbers_are_no_names(void **state)
{
	static const char *const numbers[] = {
		"10.1",
		"127.1",
		"017700000001",
		"2130706433",
		"0x7f.1",
		"0x7f000001",
		"0X7F000001",
		"0x7f.0.0.0x1",
		"1.2.3.0x",
		"010.0.0.1",
		"1.2.3.4.5",
		"a.10",
		"*.10",
		"*.a.0x1",
		"a.b.1.",
		"10.0.0.0-8",
		"1-2",
		"10.0.0.1-",
		"10.0.0.1-.",
		"203.0.113.60-203.0.113.70",
		"0x0a000001-0x0a000009",
		"2001:db8::1-2001:db8::9",
		"[10.0.0.1]",
		"10.0.0.1%eth0",
		"10.0.0.1:25",
		"[2001:db8::1]:25",
	};
	static const char *const names[] = {
		"1e100.net", "10.0.0.1.nip.io", "0x7f.a",
		"1.2.3.4a",  "a.1-a",           "3com",
		"a1",
	};
	struct policy_error err;
	struct rules *rules;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char *all;

		snprintf(text, sizeof(text), "{'action':'deny','target':'%s'}",
			 numbers[i]);
		all = document(text);
		if (rules_from_text(&rules, all, strlen(all), 0, &err) !=
		    -EINVAL)
			fail_msg("%s", numbers[i]);
		assert_non_null(strstr(err.message, "egress[0].target: \""));
		free(all);
		assert_int_equal(rules_new(&rules, POLICY_ALLOW), 0);
		assert_int_equal(
			rules_append(rules, POLICY_DENY, numbers[i], &err),
			-EINVAL);
		rules_free(rules);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text), "{'action':'deny','target':'%s'}",
			 names[i]);
		rules = read_egress(text);
		assert_int_equal(rules->rule[0].kind, TARGET_NAME);
		rules_free(rules);
	}
}

static void every_fault_names_its_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		char *text = document(faults[i].egress);
		struct policy_error err;
		struct rules *rules;

		assert_int_equal(
			rules_from_text(&rules, text, strlen(text), 0, &err),
			-EINVAL);
		assert_string_equal(err.message, faults[i].message);
		assert_int_equal(err.index, faults[i].index);
		free(text);
	}
}

static void bad_ports_are_refused(void **state)
{
	static const char *const ports[] = {
		"0",        "65536",  "-1",      "4.5",      "true",
		"'0'",      "'080'",  "'+80'",   "'80 '",    "''",
		"'80-'",    "'-80'",  "'90-80'", "'80-90-'", "'80-65536'",
		"'80-090'", "'http'", "null",    "[80]",     "'99999999999'"};

	(void)state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		struct policy_error err;
		struct rules *rules;
		char rule[128], *text;

		snprintf(rule, sizeof(rule),
			 "{'action':'allow','target':'a','ports':[22,%s]}",
			 ports[i]);
		text = document(rule);
		assert_int_equal(
			rules_from_text(&rules, text, strlen(text), 0, &err),
			-EINVAL);
		assert_string_equal(err.message,
				    "egress[0].ports: an entry is not a port "
				    "of 1 to 65535 or a range like "
				    "\"8000-8010\"");
		free(text);
	}
}

static void faults_outside_rules_have_no_index(void **state)
{
	static const char *const texts[][2] = {
		{"[]", "not a JSON object: an array"},
		{"7", "not a JSON object: a number"},
		{"\"deny\"", "not a JSON object: deny"},
		{"\"\"", "not a JSON object: an empty string"},
		{"{\"egress\":{}}", "egress: not an array: an object"},
		{"{\"egres\":[]}",
		 "unknown key \"egres\"; did you mean \"egress\"?"},
		{"{\"defaultAction\":\"reject\"}",
		 "defaultAction: \"reject\" is not \"allow\" or \"deny\""},
		{"{\"defaultAction\":1}",
		 "defaultAction: \"a number\" is not \"allow\" or \"deny\""},
		{"{\n  \"egress\": [,]\n}",
		 "line 2, column 14: unexpected token near ','"},
		{"{\"egress\":[],\"egress\":[]}",
		 "line 1, column 21: duplicate object key near '\"egress\"'"},
		{"{} {}", "line 1, column 4: end of file expected near '{'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct policy_error err;
		struct rules *rules;

		assert_int_equal(rules_from_text(&rules, texts[i][0],
						 strlen(texts[i][0]), 0, &err),
				 -EINVAL);
		assert_string_equal(err.message, texts[i][1]);
		assert_int_equal(err.index, -1);
	}
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	static const char nul[] = "{\"egress\":[{\"action\":\"allow\","
				  "\"target\":\"a\\u0000.b\"}]}";
	struct policy_error err;
	struct rules *rules;

	(void)state;
	assert_int_equal(rules_from_text(&rules, nul, strlen(nul), 0, &err),
			 -EINVAL);
	assert_int_equal(rules_from_text(&rules, "{}\0", 3, 0, &err), -EINVAL);
	assert_int_equal(rules_from_text(&rules, "\"\xff\"", 3, 0, &err),
			 -EINVAL);
}

static void caps_are_told_from_faults(void **state)
{
	char *text = document("{'action':'allow','target':'a'},"
			      "{'action':'allow','target':'b'}");
	char *large = calloc(1, POLICY_BODY_MAX + 1);
	struct policy_error err;
	struct rules *rules;

	(void)state;
	assert_int_equal(rules_from_text(&rules, text, strlen(text), 1, &err),
			 -E2BIG);
	assert_string_equal(err.message, "egress: 2 rules, at most 1");
	assert_int_equal(rules_from_text(&rules, text, strlen(text), 2, &err),
			 0);
	rules_free(rules);

	memset(large, ' ', POLICY_BODY_MAX + 1);
	assert_int_equal(
		rules_from_text(&rules, large, POLICY_BODY_MAX + 1, 0, &err),
		-E2BIG);
	assert_string_equal(err.message, "1048577 bytes, at most 1048576");
	assert_int_equal(
		rules_from_text(&rules, large, POLICY_BODY_MAX, 0, &err), 0);
	rules_free(rules);
	free(large);
	free(text);
}

static void what_was_read_is_shown_again(void **state)
{
	static const char text[] =
		"{\"defaultAction\":\"deny\",\"egress\":["
		"{\"action\":\"allow\",\"target\":\"*.GitHub.com\","
		"\"ports\":[22,\"8000-8010\"],\"protocol\":\"tcp\"},"
		"{\"action\":\"deny\",\"target\":\"*\",\"priority\":9}]}";
	struct rules *rules = read_rules(text);

	(void)state;
	assert_shown(rules, text);
	rules_free(rules);
}

static void targets_are(const struct rules *rules, const char *want)
{
	char got[256] = "";

	for (size_t i = 0; i < rules->n_rules; i++) {
		strcat(got, i ? " " : "");
		strcat(got, rules->rule[i].action == POLICY_ALLOW ? "+" : "-");
		strcat(got, rules->rule[i].target);
	}
	assert_string_equal(got, want);
}

static struct rules *patch(const struct rules *old, const char *text)
{
	struct policy_error err;
	struct rules *rules;
	char quoted[512];

	snprintf(quoted, sizeof(quoted), "%s", text);
	for (char *c = quoted; *c; c++) {
		if (*c == '\'')
			*c = '"';
	}
	if (rules_patched(&rules, old, quoted, strlen(quoted), 0, &err) < 0)
		fail_msg("%s", err.message);
	return rules;
}

static void patches_come_first_and_replace_their_target(void **state)
{
	struct rules *old =
		read_egress("{'action':'allow','target':'a.test'},"
			    "{'action':'allow','target':'b.test'},"
			    "{'action':'allow','target':'*.b.test'},"
			    "{'action':'allow','target':'10.0.0.1/32'},"
			    "{'action':'allow','target':'A.test.'}");
	struct rules *rules =
		patch(old, "[{'action':'deny','target':'c.test'},"
			   "{'action':'deny','target':'A.TEST.'},"
			   "{'action':'allow','target':'a.test'},"
			   "{'action':'deny','target':'10.0.0.1'}]");

	(void)state;
	targets_are(rules, "-c.test -A.TEST. -10.0.0.1 +b.test +*.b.test");
	for (size_t i = 0; i < rules->n_rules; i++)
		assert_int_equal(rules->rule[i].priority, i);
	targets_are(old, "+a.test +b.test +*.b.test +10.0.0.1/32 +A.test.");
	rules_free(rules);

	rules = patch(old, "[]");
	targets_are(rules, "+a.test +b.test +*.b.test +10.0.0.1/32 +A.test.");
	rules_free(rules);
	rules_free(old);
}

static void patches_keep_given_priorities(void **state)
{
	struct rules *old =
		read_egress("{'action':'allow','target':'a','priority':-5},"
			    "{'action':'allow','target':'b'}");
	struct rules *rules =
		patch(old, "[{'action':'deny','target':'c','priority':3},"
			   "{'action':'deny','target':'d'}]");

	(void)state;
	targets_are(rules, "-c -d +a +b");
	assert_int_equal(rules->rule[0].priority, 3);
	assert_int_equal(rules->rule[1].priority, 1);
	assert_int_equal(rules->rule[2].priority, -5);
	assert_int_equal(rules->rule[3].priority, 3);
	rules_free(rules);
	rules_free(old);
}

static void bad_patches_name_the_rule(void **state)
{
	static const struct {
		const char *text, *message;
		int index;
	} bad[] = {
		{"", "not a JSON array of rules", -1},
		{"{}", "not a JSON array of rules", -1},
		{"[", "line 1, column 1: ']' expected near end of file", -1},
		{"[{\"action\":\"allow\",\"target\":\"a\"},"
		 "{\"action\":\"allow\",\"target\":\"a b\"}]",
		 "rules[1].target: \"a b\": a character that is not a letter, "
		 "digit, '-', '_' or '.'",
		 1},
	};
	static const char more[] = "[{\"action\":\"allow\",\"target\":\"b\"}]";
	struct rules *old = read_egress("{'action':'allow','target':'a'}");
	struct rules *rules;
	struct policy_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(rules_patched(&rules, old, bad[i].text,
					       strlen(bad[i].text), 0, &err),
				 -EINVAL);
		assert_string_equal(err.message, bad[i].message);
		assert_int_equal(err.index, bad[i].index);
	}
	assert_int_equal(
		rules_patched(&rules, old, more, strlen(more), 1, &err),
		-E2BIG);
	assert_string_equal(err.message, "2 rules after the patch, at most 1");
	rules_free(old);
}

static void deletions_take_every_rule_of_a_target(void **state)
{
	static const char text[] =
		"[\"A.test.\",\"unknown.test\",\"10.0.0.1\",\"no target!\"]";
	struct rules *old =
		read_egress("{'action':'allow','target':'a.test','ports':[22]},"
			    "{'action':'allow','target':'*.a.test'},"
			    "{'action':'deny','target':'10.0.0.1/32'},"
			    "{'action':'deny','target':'a.test'},"
			    "{'action':'deny','target':'*'}");
	struct policy_error err;
	struct rules *rules;
	size_t removed;

	(void)state;
	assert_int_equal(
		rules_without(&rules, old, text, strlen(text), &removed, &err),
		0);
	assert_int_equal(removed, 3);
	targets_are(rules, "+*.a.test -*");
	assert_int_equal(rules->rule[1].priority, 1);
	rules_free(rules);

	assert_int_equal(rules_without(&rules, old, "[]", 2, &removed, &err),
			 0);
	assert_int_equal(removed, 0);
	assert_int_equal(rules->n_rules, 5);
	rules_free(rules);
	assert_int_equal(
		rules_without(&rules, old, "[\"*\", 7]", 8, &removed, &err),
		-EINVAL);
	assert_string_equal(err.message, "targets[1]: not a string");
	assert_int_equal(err.index, 1);
	assert_int_equal(rules_without(&rules, old, "\"*\"", 3, &removed, &err),
			 -EINVAL);
	assert_string_equal(err.message, "not a JSON array of targets");
	rules_free(old);
}

static void rules_are_appended(void **state)
{
	struct policy_error err;
	struct rules *rules;
	char target[32];

	(void)state;
	assert_int_equal(rules_new(&rules, POLICY_ALLOW), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(target, sizeof(target), "n%d.test", i);
		assert_int_equal(rules_append(rules, POLICY_DENY, target, &err),
				 0);
	}
	assert_int_equal(rules_append(rules, POLICY_DENY, "a b", &err),
			 -EINVAL);
	assert_int_equal(err.index, 100);
	assert_string_equal(err.message,
			    "\"a b\": a character that is not a letter, digit, "
			    "'-', '_' or '.'");
	assert_int_equal(rules->n_rules, 100);
	assert_int_equal(rules->rule[99].priority, 99);
	assert_string_equal(rules->rule[99].target, "n99.test");
	rules_free(rules);
	rules_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_is_deny_all),
		cmocka_unit_test(plain_documents_read_as_any),
		cmocka_unit_test(plain_mistakes_are_mistakes),
		cmocka_unit_test(hosts_are_shown_and_kept),
		cmocka_unit_test(bad_hosts_are_named),
		cmocka_unit_test(keys_may_be_absent_or_null),
		cmocka_unit_test(actions_have_no_case),
		cmocka_unit_test(targets_have_their_kinds),
		cmocka_unit_test(priority_is_the_place_unless_given),
		cmocka_unit_test(ports_are_sorted_and_merged),
		cmocka_unit_test(names_may_list_64_ports),
		cmocka_unit_test(numbers_are_no_names),
		cmocka_unit_test(every_fault_names_its_rule),
		cmocka_unit_test(bad_ports_are_refused),
		cmocka_unit_test(faults_outside_rules_have_no_index),
		cmocka_unit_test(bytes_that_are_no_text_are_refused),
		cmocka_unit_test(caps_are_told_from_faults),
		cmocka_unit_test(what_was_read_is_shown_again),
		cmocka_unit_test(patches_come_first_and_replace_their_target),
		cmocka_unit_test(patches_keep_given_priorities),
		cmocka_unit_test(bad_patches_name_the_rule),
		cmocka_unit_test(deletions_take_every_rule_of_a_target),
		cmocka_unit_test(rules_are_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
