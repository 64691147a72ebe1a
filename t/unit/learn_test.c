/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines in, a policy and a report out. */
#include "learn/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct traffic traffic;
static struct settings settings;
static struct suggest_settings how;
static char *document, *report;

static int set_up(void **state)
{
	(void)state;
	settings = (struct settings){.max_rules = 4096};
	how = (struct suggest_settings){.settings = &settings};
	document = report = NULL;
	return traffic_init(&traffic, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	traffic_free(&traffic);
	free(document);
	free(report);
	return 0;
}

static void line(const char *text)
{
	assert_int_equal(traffic_take(&traffic, text, strlen(text)), 0);
}

static void asked(const char *name, const char *ips)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"level\":\"warn\",\"event\":\"egress.outbound\",\"msg\":"
		 "\"m\",\"target.host\":\"%s\",\"refused.ips\":[%s]}",
		 name, ips);
	line(text);
}

static void sent(const char *ip, const char *protocol, int port)
{
	char text[512], number[32] = "";

	if (port)
		snprintf(number, sizeof(number), "\"target.port\":%d,", port);
	snprintf(text, sizeof(text),
		 "{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":"
		 "\"m\",%s\"target.ip\":\"%s\",\"protocol\":\"%s\"}",
		 number, ip, protocol);
	line(text);
}

/* A connection that the gate would have refused; name NULL: it gave none. */
static void gave(const char *name, const char *ip, int port)
{
	char text[512], host[128] = "";

	if (name)
		snprintf(host, sizeof(host), "\"target.host\":\"%s\",", name);
	snprintf(text, sizeof(text),
		 "{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":"
		 "\"m\",%s\"target.ip\":\"%s\",\"protocol\":\"tcp\","
		 "\"target.port\":%d,\"reason\":\"%s\"}",
		 host, ip, port, name ? "sni_mismatch" : "no_name");
	line(text);
}

/* The rules that are suggested on top of start (NULL: none), in short. */
static const char *learned(const char *start)
{
	struct policy_error fault;
	struct rules *rules;
	json_t *json;
	FILE *out;
	size_t len;

	free(document);
	free(report);
	assert_int_equal(rules_from_text(&rules, start ? start : "",
					 start ? strlen(start) : 0, 0, &fault),
			 0);
	how.start = rules;
	out = open_memstream(&report, &len);
	assert_int_equal(suggest(&json, &traffic, &how, out), 0);
	fclose(out);
	rules_free(rules);
	document = json_dumps(json_object_get(json, "egress"), JSON_COMPACT);
	json_decref(json);
	return document;
}

#define ALLOW(target) "{\"action\":\"allow\",\"target\":\"" target "\""

static void names_that_were_used(void **state)
{
	(void)state;
	asked("b.test", "\"203.0.113.1\",\"2001:db8::1\"");
	asked("a.test", "\"203.0.113.2\"");
	asked("only.test", "\"203.0.113.3\"");
	sent("203.0.113.2", "tcp", 443);
	sent("2001:db8::1", "tcp", 443);
	sent("203.0.113.9", "udp", 123);
	assert_string_equal(learned(NULL),
			    "[" ALLOW("a.test") "}," ALLOW("b.test") "}," ALLOW(
				    "203.0.113.9") "}]");
	assert_non_null(strstr(report, "connected to (--asked learns them):\n"
				       "#   only.test\n"));
	how.asked = true;
	assert_string_equal(
		learned(NULL),
		"[" ALLOW("a.test") "}," ALLOW("b.test") "}," ALLOW(
			"only.test") "}," ALLOW("203.0.113.9") "}]");
}

/* Which of the names was meant cannot be told; each opens the address. */
static void an_address_of_two_names_is_of_both(void **state)
{
	(void)state;
	asked("one.test", "\"203.0.113.1\"");
	asked("two.test", "\"203.0.113.1\"");
	sent("203.0.113.1", "tcp", 443);
	assert_string_equal(learned(NULL),
			    "[" ALLOW("one.test") "}," ALLOW("two.test") "}]");
}

/* A connection before the lookup would be refused without a rule of its own. */
static void an_address_before_its_name_needs_both(void **state)
{
	(void)state;
	sent("203.0.113.1", "tcp", 443);
	asked("late.test", "\"203.0.113.1\"");
	sent("203.0.113.1", "tcp", 443);
	assert_string_equal(learned(NULL), "[" ALLOW("late.test") "}," ALLOW(
						   "203.0.113.1") "}]");
}

static void names_that_connections_gave(void **state)
{
	(void)state;
	settings.gate = true;
	settings.gate_ports[0] = 443;
	settings.n_gate_ports = 1;
	how.ports = true;
	asked("a.test", "\"203.0.113.1\"");
	asked("b.test", "\"203.0.113.1\"");
	asked("raw.test", "\"203.0.113.2\"");
	gave("a.test", "203.0.113.1", 443);
	gave("c.test", "203.0.113.1", 443);
	gave(NULL, "203.0.113.2", 443);
	assert_string_equal(
		learned(NULL),
		"[" ALLOW(
			"a.test") ",\"ports\":[443],\"protocol\":\"tcp\"}"
				  "," ALLOW(
					  "c.test") ",\"ports\":[443],"
						    "\"protocol\":\"tcp\"}"
						    "," ALLOW(
							    "203.0.113.2") ",\""
									   "por"
									   "ts"
									   "\":"
									   "[44"
									   "3],"
									   "\"p"
									   "rot"
									   "oco"
									   "l\""
									   ":\""
									   "tcp"
									   "\"}"
									   "]");
	assert_non_null(strstr(report, "once they are looked up:\n"
				       "#   203.0.113.1 tcp/443 (c.test)\n"
				       "# learned: addresses"));
	assert_non_null(strstr(report, "gave no name:\n"
				       "#   203.0.113.2 tcp/443\n"));
	asked("c.test", "\"203.0.113.1\"");
	(void)learned(NULL);
	assert_null(strstr(report, "once they are looked up"));
}

/* A packet over a limit of the policy has a reason as well. */
static void other_reasons_are_not_the_gates(void **state)
{
	(void)state;
	asked("a.test", "\"203.0.113.1\"");
	line("{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":\"m\","
	     "\"target.ip\":\"203.0.113.1\",\"protocol\":\"tcp\","
	     "\"target.port\":443,\"reason\":\"connections\"}");
	assert_string_equal(learned(NULL), "[" ALLOW("a.test") "}]");
}

static void quic_to_gated_addresses_is_reported(void **state)
{
	(void)state;
	asked("a.test", "\"203.0.113.1\"");
	sent("203.0.113.1", "udp", 443);
	how.ports = true;
	assert_string_equal(learned(NULL),
			    "[" ALLOW("a.test") ",\"ports\":[443],"
						"\"protocol\":\"udp\"}]");
	settings.gate = true;
	settings.gate_ports[0] = 443;
	settings.n_gate_ports = 1;
	assert_string_equal(learned(NULL), "[]");
	assert_non_null(strstr(report, "fall back to TCP:\n"
				       "#   203.0.113.1 udp/443 (a.test)\n"));
	(void)learned("{\"egress\":[" ALLOW("203.0.113.0/24") "}]}");
	assert_null(strstr(report, "fall back to TCP"));
}

static void what_is_not_public_is_reported(void **state)
{
	static const char *const ips[] = {"10.0.0.5",        "fd12::1",
					  "169.254.169.254", "127.0.0.1",
					  "100.100.100.200", "224.0.0.251",
					  "fe80::1",         "::ffff:10.0.0.6"};

	(void)state;
	for (size_t i = 0; i < sizeof(ips) / sizeof(*ips); i++)
		sent(ips[i], "tcp", 80);
	asked("db.test", "\"10.0.0.7\"");
	sent("10.0.0.7", "tcp", 5432);
	assert_string_equal(learned(NULL), "[]");
	assert_non_null(strstr(report, "#   10.0.0.7 tcp/5432 (db.test)\n"));
	assert_non_null(strstr(report, "#   169.254.169.254 tcp/80\n"));
	assert_non_null(strstr(report, "#   fe80::1 tcp/80\n"));
	assert_non_null(strstr(report, "#   10.0.0.6 tcp/80\n"));
	settings.private_ok = true;
	assert_string_equal(learned(NULL), "[" ALLOW("db.test") "}]");
}

static void resolvers_are_reported(void **state)
{
	(void)state;
	sent("203.0.113.1", "tcp", 853);
	sent("203.0.113.1", "udp", 53);
	sent("203.0.113.2", "tcp", 443);
	settings.block_doh_443 = true;
	settings.n_doh = 1;
	settings.doh[0].first.family = AF_INET;
	memcpy(settings.doh[0].first.bytes, (uint8_t[]){203, 0, 113, 2}, 4);
	settings.doh[0].last = settings.doh[0].first;
	assert_string_equal(learned(NULL), "[]");
	assert_non_null(strstr(report, "#   203.0.113.1 tcp/853\n"));
	assert_non_null(strstr(report, "#   203.0.113.2 tcp/443\n"));
}

static void ports_are_listed(void **state)
{
	(void)state;
	how.ports = true;
	asked("web.test", "\"203.0.113.1\"");
	asked("ping.test", "\"203.0.113.2\"");
	asked("mail.test", "\"203.0.113.3\"");
	sent("203.0.113.1", "udp", 443);
	sent("203.0.113.1", "tcp", 443);
	sent("203.0.113.2", "icmp", 0);
	sent("203.0.113.3", "tcp", 993);
	sent("203.0.113.3", "tcp", 587);
	sent("203.0.113.3", "udp", 587);
	assert_string_equal(
		learned(NULL),
		"[" ALLOW(
			"mail.test") ",\"ports\":[587,993],\"protocol\":"
				     "\"tcp\"}," ALLOW(
					     "mail.test") ","
							  "\"ports\":[587],"
							  "\"protocol\":"
							  "\"udp\"}," ALLOW(
								  "pi"
								  "ng"
								  ".t"
								  "es"
								  "t") "}"
								       "," ALLOW(
									       "web.test") ",\"ports\":[443]}]");
	assert_non_null(strstr(report, "# 1 targets without ports"));
}

static void many_names_become_a_wildcard(void **state)
{
	static const char *const names[] = {"a.cdn.example.com",
					    "b.cdn.example.com",
					    "c.cdn.example.com",
					    "www.example.com",
					    "api.example.com",
					    "a.github.io",
					    "b.github.io",
					    "c.github.io",
					    "a.co.uk",
					    "b.co.uk",
					    "c.co.uk",
					    "x.com",
					    "y.com",
					    "z.com"};
	char ip[32];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(ip, sizeof(ip), "\"203.0.113.%zu\"", i + 1);
		asked(names[i], ip);
		ip[strlen(ip) - 1] = '\0';
		sent(ip + 1, "tcp", (int)(80 + i));
	}
	how.wildcards = 3;
	how.ports = true;
	learned(NULL);
	assert_non_null(strstr(document,
			       ALLOW("*.cdn.example.com") ",\"ports\":[80,81,"
							  "82],"));
	assert_non_null(strstr(document, ALLOW("www.example.com")));
	assert_null(strstr(document, "a.cdn"));
	assert_null(strstr(document, "*.github.io"));
	assert_null(strstr(document, "*.co.uk"));
	assert_null(strstr(document, "*.com"));
	how.wildcards = 2;
	learned(NULL);
	assert_non_null(strstr(document, ALLOW("*.example.com")));
	assert_null(strstr(document, "cdn"));
	assert_null(strstr(document, "www"));
	assert_null(strstr(document, "*.github.io"));
}

/* A wildcard stands for what is below, so the parent itself is a rule more. */
static void a_parent_is_not_below_itself(void **state)
{
	(void)state;
	asked("example.com", "\"203.0.113.1\"");
	asked("a.example.com", "\"203.0.113.1\"");
	asked("b.example.com", "\"203.0.113.1\"");
	sent("203.0.113.1", "tcp", 443);
	how.wildcards = 2;
	assert_string_equal(learned(NULL), "[" ALLOW("example.com") "}," ALLOW(
						   "*.example.com") "}]");
}

static void the_start_decides_first(void **state)
{
	(void)state;
	asked("ok.test", "\"203.0.113.1\"");
	asked("no.test", "\"203.0.113.2\"");
	asked("new.test", "\"203.0.113.3\"");
	sent("203.0.113.1", "tcp", 443);
	sent("203.0.113.2", "tcp", 443);
	sent("203.0.113.3", "tcp", 443);
	sent("198.51.100.1", "tcp", 443);
	assert_string_equal(
		learned("{\"egress\":[{\"action\":\"deny\",\"target\":"
			"\"no.test\",\"priority\":90},{\"action\":\"deny\","
			"\"target\":\"198.51.100.0/24\"},{\"action\":"
			"\"allow\",\"target\":\"ok.test\"}]}"),
		"[{\"action\":\"deny\",\"target\":\"no.test\",\"priority\":90},"
		"{\"action\":\"deny\",\"target\":\"198.51.100.0/24\"},"
		"{\"action\":\"allow\",\"target\":\"ok.test\"}," ALLOW(
			"new.test") ",\"priority\":91}]");
	assert_non_null(strstr(report, "#   203.0.113.2 tcp/443 (no.test)\n"));
	assert_non_null(strstr(report, "#   198.51.100.1 tcp/443\n"));
}

static void a_line_that_names_a_rule_is_a_denial(void **state)
{
	(void)state;
	line("{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":\"m\","
	     "\"target.host\":\"no.test\",\"rule\":\"*.test\"}");
	asked("no.test", "\"203.0.113.2\"");
	sent("203.0.113.2", "tcp", 443);
	assert_string_equal(learned(NULL), "[]");
	assert_non_null(strstr(report, "#   203.0.113.2 tcp/443 (no.test)\n"));
}

static void other_lines_are_passed_over(void **state)
{
	(void)state;
	line("");
	line("no log line");
	line("{\"level\":\"info\",\"event\":\"egress.denied\"");
	line("[1]");
	line("2026-01-01T00:00:00Z stdout F {\"level\":\"info\",\"event\":"
	     "\"egress.denied\",\"msg\":\"m\",\"target.ip\":\"203.0.113.1\","
	     "\"protocol\":\"tcp\",\"suppressed\":7}");
	line("{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":\"m\","
	     "\"target.ip\":\"203.0.113.2\",\"protocol\":\"tcp\","
	     "\"direction\":\"inbound\"}");
	sent("nowhere", "tcp", 80);
	sent("203.0.113.3", "ip", 80);
	sent("203.0.113.3", "tcp", 65536);
	asked("\\\\032.test", "\"203.0.113.4\"");
	asked("1.2.3.4.5", "\"203.0.113.1\"");
	asked("a.0x1", "\"203.0.113.1\"");
	assert_string_equal(learned(NULL), "[" ALLOW("203.0.113.1") "}]");
	assert_int_equal(traffic.unreadable, 6);
	assert_non_null(strstr(report, "# 7 log lines were held back"));
	assert_non_null(strstr(report, "# 3 lookups of names that no policy"));
}

static void one_sandbox_of_many(void **state)
{
	(void)state;
	traffic_free(&traffic);
	assert_int_equal(traffic_init(&traffic, "sb-1"), 0);
	sent("203.0.113.1", "tcp", 80);
	line("{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":\"m\","
	     "\"target.ip\":\"203.0.113.2\",\"protocol\":\"tcp\","
	     "\"sandbox_id\":\"sb-1\"}");
	line("{\"level\":\"info\",\"event\":\"egress.denied\",\"msg\":\"m\","
	     "\"target.ip\":\"203.0.113.3\",\"protocol\":\"tcp\","
	     "\"sandbox_id\":\"sb-2\"}");
	assert_string_equal(learned(NULL), "[" ALLOW("203.0.113.2") "}]");
}

static void observations_are_bounded(void **state)
{
	char ip[32];

	(void)state;
	for (unsigned i = 0; i < TRAFFIC_ADDRESSES_MAX + 5; i++) {
		snprintf(ip, sizeof(ip), "11.%u.%u.%u", i >> 16, i >> 8 & 255,
			 i & 255);
		sent(ip, "tcp", 80);
	}
	assert_int_equal(traffic.n_addresses, TRAFFIC_ADDRESSES_MAX);
	assert_int_equal(traffic.forgotten, 5);
	learned(NULL);
	assert_non_null(strstr(report, "# 5 observations were too many"));
	assert_non_null(strstr(report, "more than --max-rules 4096"));
}

static void names_are_in_canonical_order(void **state)
{
	/* RFC 4034, 6.1, of what host names can hold */
	static const char *const order[] = {"example",        "a.example",
					    "yljk.a.example", "z.a.example",
					    "zabc.a.example", "z.example"};
	struct domain_name a, b;
	const char *why;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(order) / sizeof(*order); i++) {
		domain_name_from_text(&a, order[i], &why);
		domain_name_from_text(&b, order[i + 1], &why);
		assert_true(name_order(&a, &b) < 0);
		assert_true(name_order(&b, &a) > 0);
		assert_int_equal(name_order(&a, &a), 0);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_that_were_used),
		TEST(an_address_of_two_names_is_of_both),
		TEST(an_address_before_its_name_needs_both),
		TEST(names_that_connections_gave),
		TEST(other_reasons_are_not_the_gates),
		TEST(quic_to_gated_addresses_is_reported),
		TEST(what_is_not_public_is_reported),
		TEST(resolvers_are_reported),
		TEST(ports_are_listed),
		TEST(many_names_become_a_wildcard),
		TEST(a_parent_is_not_below_itself),
		TEST(the_start_decides_first),
		TEST(a_line_that_names_a_rule_is_a_denial),
		TEST(other_lines_are_passed_over),
		TEST(one_sandbox_of_many),
		TEST(observations_are_bounded),
		TEST(names_are_in_canonical_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
