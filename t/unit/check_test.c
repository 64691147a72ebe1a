/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

/* What the last run wrote, and how it ended. */
static char out[8192], err[2048];
static int status;

static const char *path_of(const char *name)
{
	static char path[4][128];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_false(fputs(text, file) < 0);
	assert_int_equal(fclose(file), 0);
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/check_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"policy.json", "deny.always", "out",
					    "err"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(path_of(names[i]));
	return rmdir(folder);
}

static int swap(int fd, FILE *stream, const char *name)
{
	int kept;

	fflush(stream);
	kept = dup(fd);
	assert_non_null(freopen(path_of(name), "w", stream));
	return kept;
}

static void unswap(int fd, FILE *stream, int kept, const char *name, char *text,
		   size_t size)
{
	FILE *file;
	size_t len;

	fflush(stream);
	assert_true(dup2(kept, fd) >= 0);
	close(kept);
	file = fopen(path_of(name), "r");
	assert_non_null(file);
	len = fread(text, 1, size - 1, file);
	text[len] = '\0';
	fclose(file);
}

/* Words behind "check", separated by single blanks. */
static void check(const char *words)
{
	char copy[512] = "check ", *argv[16], *save, *word;
	int argc = 0, kept_out, kept_err;

	strcat(copy, words);
	for (word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	kept_out = swap(STDOUT_FILENO, stdout, "out");
	kept_err = swap(STDERR_FILENO, stderr, "err");
	status = check_main(argc, argv);
	unswap(STDERR_FILENO, stderr, kept_err, "err", err, sizeof(err));
	unswap(STDOUT_FILENO, stdout, kept_out, "out", out, sizeof(out));
}

static void check_file(const char *policy, const char *words)
{
	char all[512];

	write_file("policy.json", policy);
	snprintf(all, sizeof(all), "%s %s", path_of("policy.json"), words);
	check(all);
}

static const char policy[] =
	"{\"egress\":["
	"{\"action\":\"allow\",\"target\":\"10.1.0.0/16\"},"
	"{\"action\":\"deny\",\"target\":\"10.0.0.0/8\"},"
	"{\"action\":\"allow\",\"target\":\"*.Example.com.\","
	"\"ports\":[443,\"8000-8010\"],\"protocol\":\"tcp\"},"
	"{\"action\":\"allow\",\"target\":\"192.0.2.1\",\"ports\":[22],"
	"\"priority\":-1}]}";

static void a_policy_is_told_in_order(void **state)
{
	(void)state;
	check_file(policy, "");
	assert_int_equal(status, 0);
	assert_string_equal(err, "");
	assert_string_equal(
		out,
		"rules, in the order of their decision:\n"
		"     0  egress[3]          allow  192.0.2.1, ports tcp/22 "
		"udp/22\n"
		"     1  egress[0]          allow  10.1.0.0 - "
		"10.1.255.255\n"
		"     2  egress[1]          deny   10.0.0.0 - "
		"10.255.255.255\n"
		"     3  egress[2]          allow  every name below "
		"example.com, ports tcp/443 tcp/8000-8010\n"
		"     -  default            deny   everything else\n"
		"addresses that no name led to:\n"
		"        10.0.0.0 - 10.0.255.255 deny\n"
		"        10.1.0.0 - 10.1.255.255 allow\n"
		"        10.2.0.0 - 10.255.255.255 deny\n"
		"        192.0.2.1 tcp/22 allow, udp/22 allow, else deny\n"
		"        everything else deny\n");
}

static void queries_name_the_rule(void **state)
{
	static const char *const queries[][2] = {
		{"a.example.com",
		 "a.example.com: allow, by egress[2] (every name below "
		 "example.com, ports tcp/443 tcp/8000-8010)\n"},
		{"Example.COM.", "Example.COM.: deny, by default\n"},
		{"192.0.2.1:22", "192.0.2.1:22: allow, by egress[3] "
				 "(192.0.2.1, ports tcp/22 udp/22)\n"},
		{"192.0.2.1:23", "192.0.2.1:23: deny, by default\n"},
		{"192.0.2.1",
		 "192.0.2.1 tcp/22: allow, by egress[3] (192.0.2.1, ports "
		 "tcp/22 udp/22)\n"
		 "192.0.2.1 udp/22: allow, by egress[3] (192.0.2.1, ports "
		 "tcp/22 udp/22)\n"
		 "192.0.2.1: deny, by default\n"},
		{"10.2.3.4", "10.2.3.4: deny, by egress[1] (10.0.0.0 - "
			     "10.255.255.255)\n"
			     "10.2.3.4: private; as the answer to a name it is "
			     "admitted where an address rule allows it\n"},
		{"[::ffff:192.0.2.1]:22",
		 "[::ffff:192.0.2.1]:22: allow, by egress[3] (192.0.2.1, ports "
		 "tcp/22 udp/22)\n"},
		{"::1", "::1: deny, by default\n"
			"::1: loopback; as the answer to a name it is never "
			"admitted\n"},
		{"[2001:db8::1]:443", "[2001:db8::1]:443: deny, by default\n"},
		{"[2001:db8::1]", "[2001:db8::1]: deny, by default\n"},
		{"a.example.com:443",
		 "a.example.com:443 tcp: allow, by egress[2] (every name below "
		 "example.com, ports tcp/443 tcp/8000-8010)\n"
		 "a.example.com:443 udp: deny, by default\n"},
		{"a.example.com:80", "a.example.com:80: deny, by default\n"},
		{"example.com:443", "example.com:443: deny, by default\n"},
		{"a.example.com=192.0.2.9",
		 "a.example.com=192.0.2.9: admitted, ports tcp/443 "
		 "tcp/8000-8010\n"},
		{"a.example.com=10.1.2.3",
		 "a.example.com=10.1.2.3: admitted\n"},
		{"a.example.com=10.2.2.3",
		 "a.example.com=10.2.2.3: cut from the answer: a rule before "
		 "the name's denies the address\n"},
		{"a.example.com=192.168.0.1",
		 "a.example.com=192.168.0.1: cut from the answer: private, and "
		 "no address rule allows it\n"},
		{"a.example.com=169.254.169.254",
		 "a.example.com=169.254.169.254: cut from the answer: a "
		 "link-local address\n"},
		{"b.test=192.0.2.9", "b.test=192.0.2.9: the name is denied\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		char words[128];

		snprintf(words, sizeof(words), "--query %s", queries[i][0]);
		check_file(policy, words);
		assert_int_equal(status, 0);
		assert_string_equal(out, queries[i][1]);
	}
	check_file(policy, "--query a.test --query b.test");
	assert_string_equal(out, "a.test: deny, by default\n"
				 "b.test: deny, by default\n");
}

static void queries_ask_the_gate(void **state)
{
	static const char *const queries[][2] = {
		{"a.example.com=203.0.113.9:443",
		 "allow, by egress[2] (every name below example.com, ports "
		 "tcp/443 tcp/8000-8010)"},
		{"a.example.com=[2001:db8:1::9]:443",
		 "allow, by egress[2] (every name below example.com, ports "
		 "tcp/443 tcp/8000-8010)"},
		{"a.example.com=203.0.113.9:80", "deny, by default"},
		{"a.example.com=203.0.113.9:8000",
		 "not gated, the port is none of --gate-ports: allow, by "
		 "egress[2] (every name below example.com, ports tcp/443 "
		 "tcp/8000-8010)"},
		{"a.example.com=203.0.113.9:8000 --gate-ports 80,8000",
		 "allow, by egress[2] (every name below example.com, ports "
		 "tcp/443 tcp/8000-8010)"},
		{"a.example.com=10.1.2.3:443",
		 "not gated: allow, by egress[0] (10.1.0.0 - 10.1.255.255)"},
		{"a.example.com=192.0.2.1:22 --gate-ports 22",
		 "not gated: allow, by egress[3] (192.0.2.1, ports tcp/22 "
		 "udp/22)"},
		{"a.example.com=10.2.3.4:443",
		 "deny, a rule before the name's denies the address"},
		{"a.example.com=192.168.0.1:443",
		 "deny, private, and no address rule allows it"},
		{"a.example.com=127.0.0.1:443", "deny, a loopback address"},
		{"b.test=203.0.113.9:443", "deny, by default"},
		{"a_b.example.com=203.0.113.9:443",
		 "deny, the gate reads names of letters, digits, hyphens and "
		 "dots alone"},
	};
	char words[256], told[512];

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		snprintf(words, sizeof(words), "--query %s", queries[i][0]);
		snprintf(told, sizeof(told), "%.*s: %s\n",
			 (int)strcspn(queries[i][0], " "), queries[i][0],
			 queries[i][1]);
		check_file(policy, words);
		assert_string_equal(err, "");
		assert_string_equal(out, told);
		assert_int_equal(status, 0);
	}
	check_file(policy, "--gate-ports 443,53");
	assert_int_equal(status, 2);
	assert_non_null(strstr(err, "--gate-ports 443,53: expected ports other "
				    "than 53 and 853"));
}

static void always_rules_come_first(void **state)
{
	char words[256];

	(void)state;
	write_file("deny.always", "*.example.com\n");
	snprintf(words, sizeof(words), "--always %s --query a.example.com",
		 folder);
	check_file(policy, words);
	assert_int_equal(status, 0);
	assert_string_equal(out, "a.example.com: deny, by deny.always[0] "
				 "(every name below example.com)\n");
	check_file(policy, "--always /nowhere");
	assert_int_equal(status, 1);
	assert_string_equal(err, "egress-sidecar check: --always: /nowhere: No "
				 "such file or directory\n");
	write_file("deny.always", "no target\n");
	check_file(policy, words);
	assert_int_equal(status, 1);
	assert_string_equal(out, "");
	assert_non_null(strstr(err, "deny.always: line 1: \"no target\""));
}

static void invalid_policies_are_told_in_a_line(void **state)
{
	static const char *const faults[][2] = {
		{"{\n \"egress\": [,\n",
		 "line 2, column 13: unexpected token near ','"},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"a\"},"
		 "{\"action\":\"allow\",\"target\":\"a b\"}]}",
		 "egress[1].target: \"a b\": a character that is not a letter, "
		 "digit, '-', '_' or '.'"},
		{"[]", "not a JSON object: an array"},
		{"{\"defaultAction\":\"maybe\"}",
		 "defaultAction: \"maybe\" is not \"allow\" or \"deny\""},
		{"{\"egress\":{}}", "egress: not an array: an object"},
		{"{\"egress\":[1]}", "egress[0]: not an object"},
		{"{\"egress\":[{\"action\":\"pass\",\"target\":\"a\"}]}",
		 "egress[0].action: \"pass\" is not \"allow\" or \"deny\""},
		{"{\"egress\":[{\"action\":\"allow\"}]}",
		 "egress[0].target: not a string: nothing"},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"a\",\"port\":"
		 "1}]}",
		 "egress[0]: unknown key \"port\"; did you mean \"ports\"?"},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"a\","
		 "\"ports\":[\"9-1\"]}]}",
		 "egress[0].ports: an entry is not a port of 1 to 65535 or a "
		 "range like \"8000-8010\""},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"a\","
		 "\"protocol\":\"icmp\"}]}",
		 "egress[0].protocol: not \"tcp\" or \"udp\""},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"a\","
		 "\"priority\":\"x\"}]}",
		 "egress[0].priority: not an integer of 32 bits"},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"a.*.b\"}]}",
		 "egress[0].target: \"a.*.b\": '*' may stand alone or be the "
		 "whole first label"},
		{"{\"egress\":[{\"action\":\"allow\",\"target\":\"https://a/"
		 "\"}]}",
		 "egress[0].target: \"https://a/\": a URL; give its host name "
		 "alone"},
		{"{\"egress\":[],\"egress\":[]}",
		 "line 1, column 21: duplicate object key near '\"egress\"'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		char want[512];

		check_file(faults[i][0], "");
		assert_int_equal(status, 1);
		assert_string_equal(out, "");
		snprintf(want, sizeof(want), "egress-sidecar check: %s: %s\n",
			 path_of("policy.json"), faults[i][1]);
		assert_string_equal(err, want);
	}
	check("/nowhere/at/all");
	assert_int_equal(status, 1);
	assert_string_equal(err, "egress-sidecar check: /nowhere/at/all: No "
				 "such file or directory\n");
}

static void what_is_not_taken_as_written_is_told(void **state)
{
	(void)state;
	check_file("{\"egress\":[{\"target\":\"10.0.0.1/8\",\"x\":1}]}",
		   "--query 10.2.3.4");
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "10.2.3.4: deny, by egress[0] (10.0.0.0 - "
				    "10.255.255.255)\n"));
	assert_non_null(strstr(err, "policy.json: warning: egress[0]: unknown "
				    "key \"x\" ignored\n"));
	assert_non_null(strstr(err, "policy.json: warning: egress[0]: no "
				    "action, taken as deny\n"));
	assert_non_null(strstr(err, "warning: egress[0].target: "
				    "\"10.0.0.1/8\": host bits cleared, taken "
				    "as 10.0.0.0/8\n"));
}

static void nat64_addresses_are_those_inside(void **state)
{
	static const char document[] =
		"{\"egress\":[{\"action\":\"deny\",\"target\":\"10.0.0.0/8\"},"
		"{\"action\":\"allow\",\"target\":\"*\"}]}";

	(void)state;
	check_file(document, "--nat64-prefix 2001:db8:1::/48 --query "
			     "2001:db8:1:a01:2:300::");
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "2001:db8:1:a01:2:300::: deny, by "
				    "egress[0] (10.0.0.0 - 10.255.255.255)\n"));
	assert_non_null(strstr(out, ": private; "));
	check_file(document, "--query 2001:db8:1:a01:2:300::");
	assert_non_null(strstr(out, ": allow, by egress[1]"));
	check_file(document, "--nat64-prefix 2001:db8::/33");
	assert_int_equal(status, 2);
	assert_non_null(strstr(err, "--nat64-prefix 2001:db8::/33: a prefix "
				    "has 32, 40, 48, 56, 64 or 96 bits"));
}

static void wrong_usage_is_status_2(void **state)
{
	static const char *const words[] = {"", "--query a.test", "a b",
					    "--nonsense a", "a --query"};
	static const char *const queries[][2] = {
		{"a..b", "an empty label"},
		{"http://a.test/", "a URL; expected the name in it"},
		{"10.0.0.0/8", "a range; expected an address of it"},
		{"*.a.test", "a rule's target; expected a name below it"},
		{"a.test:0", "the port is not 1 to 65535"},
		{"a.test:443x", "the port is not 1 to 65535"},
		{"a.test=b.test", "expected an IP address after '='"},
		{"a..b=192.0.2.1", "an empty label"},
		{"a.test=192.0.2.1:0", "the port is not 1 to 65535"},
		{"a.test=192.0.2.1:x", "the port is not 1 to 65535"},
		{"203.0.113.60-203.0.113.70", "neither an address nor a name, "
					      "for its last label is a number"},
		{"0x7f.1:80", "neither an address nor a name, for its last "
			      "label is a number"},
		{"10.1=192.0.2.1", "neither an address nor a name, for its "
				   "last label is a number"},
		{"[::1]443", "a character that is not a letter, digit, '-', "
			     "'_' or '.'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		check(words[i]);
		assert_int_equal(status, 2);
		assert_string_equal(out, "");
		assert_non_null(strstr(err, "usage: "));
	}
	check_file(policy, "--query 1.2.3.4:0");
	assert_int_equal(status, 2);
	assert_string_equal(err, "egress-sidecar check: --query 1.2.3.4:0: "
				 "the port is not 1 to 65535\n");
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		char all[128], want[256];

		snprintf(all, sizeof(all), "--query %s", queries[i][0]);
		check_file(policy, all);
		assert_int_equal(status, 2);
		assert_string_equal(out, "");
		snprintf(want, sizeof(want),
			 "egress-sidecar check: --query %s: %s\n",
			 queries[i][0], queries[i][1]);
		assert_string_equal(err, want);
	}
	check("--help");
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "usage: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_is_told_in_order),
		cmocka_unit_test(queries_name_the_rule),
		cmocka_unit_test(queries_ask_the_gate),
		cmocka_unit_test(always_rules_come_first),
		cmocka_unit_test(invalid_policies_are_told_in_a_line),
		cmocka_unit_test(what_is_not_taken_as_written_is_told),
		cmocka_unit_test(nat64_addresses_are_those_inside),
		cmocka_unit_test(wrong_usage_is_status_2),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
