/* SPDX-License-Identifier: Apache-2.0 */
/* What a sandbox's owner may write, and what not. */
#include "translate/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef int reader(struct translation *t, const char *what, const char *text);

/* What a text is taken for, as JSON of the record; NULL: it is refused. */
struct case_of {
	const char *text, *record;
};

static void check(reader *read, const struct case_of *cases, bool loopback)
{
	for (; cases->text; cases++) {
		struct translation t = {.allow_loopback = loopback};
		int err = read(&t, "the label x", cases->text);
		char *record = json_dumps(t.record, JSON_COMPACT);

		if (!cases->record) {
			if (err != -22)
				fail_msg("\"%s\" is taken", cases->text);
			assert_int_equal(strncmp(t.why, "the label x: ", 13),
					 0);
			assert_null(t.record);
		} else if (err ||
			   strcmp(record ? record : "", cases->record) != 0) {
			fail_msg("\"%s\": %s %s", cases->text, t.why, record);
		}
		free(record);
		translation_free(&t);
	}
}

static void test_ids(void **state)
{
	static const char *const bad[] = {"",  ".",   "..",   "a/b",  "a b",
					  "ä", "a_b", "a\nb", "a%20b"};
	struct translation t = {.record = NULL};
	struct feed_sandbox sandbox;
	char id[FEED_ID_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(translate_id(&t, "the name", bad[i]), -22);
	memset(id, 'a', sizeof(id) - 1);
	id[FEED_ID_MAX + 1] = '\0';
	assert_int_equal(translate_id(&t, "the name", id), -22);
	assert_string_equal(t.ids[0], "");
	id[FEED_ID_MAX] = '\0';
	assert_int_equal(translate_id(&t, "the name", id), 0);
	assert_int_equal(translate_id(&t, "the name", "Sandbox-1.X"), 0);
	assert_int_equal(translate_id(&t, "the name", "sandbox-1.x"), 0);
	sandbox = translation_sandbox(&t);
	assert_string_equal(sandbox.ids[0], id);
	assert_string_equal(sandbox.ids[1], "sandbox-1.x");
	assert_null(sandbox.ids[2]);
	assert_int_equal(translate_id(&t, "the name", "3"), 0);
	assert_int_equal(translate_id(&t, "the name", "4"), 0);
	assert_int_equal(translate_id(&t, "the name", "5"), -22);
	assert_int_equal(translate_id(&t, "the name", "4"), 0);
}

static void test_expose(void **state)
{
	static const struct case_of cases[] = {
		{"8000", "{\"expose\":[8000]}"},
		{"8000,8080-8090", "{\"expose\":[8000,\"8080-8090\"]}"},
		{" 1 , 2-65535\n", "{\"expose\":[1,\"2-65535\"]}"},
		{"5-5", "{\"expose\":[5]}"},
		{"", NULL},
		{"0", NULL},
		{"08", NULL},
		{"65536", NULL},
		{"99999999999999999999", NULL},
		{"9-8", NULL},
		{"1-", NULL},
		{"-1", NULL},
		{"1,", NULL},
		{"1 2", NULL},
		{"http", NULL},
		{NULL, NULL},
	};
	struct translation t = {.record = NULL};
	char many[257 * 2];

	(void)state;
	check(translate_expose, cases, false);
	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "1,", 2);
	many[sizeof(many) - 1] = '\0';
	assert_int_equal(translate_expose(&t, "x", many), -22);
	many[sizeof(many) - 3] = '\0';
	assert_int_equal(translate_expose(&t, "x", many), 0);
	translation_free(&t);
}

static void test_token(void **state)
{
	static const struct case_of cases[] = {
		{"secret", "{\"accessToken\":\"secret\"}"},
		{"\n secret\t\r\n", "{\"accessToken\":\"secret\"}"},
		{"two words", NULL},
		{"a\"b", "{\"accessToken\":\"a\\\"b\"}"},
		{" \n", ""},
		{"", ""},
		{"line\nbreak", NULL},
		{"bell\a", NULL},
		{"caf\xc3\xa9", NULL},
		{"\x7f", NULL},
		{NULL, NULL},
	};
	struct translation t = {.record = NULL};
	char *text = malloc(10 << 20);

	(void)state;
	check(translate_token, cases, false);
	memset(text, 'a', (10 << 20) - 1);
	text[255] = '\0';
	assert_int_equal(translate_token(&t, "the label x", text), 0);
	translation_free(&t);
	text[255] = 'a';
	text[256] = '\0';
	assert_int_equal(translate_token(&t, "the label x", text), -22);
	text[256] = 'a';
	text[(10 << 20) - 1] = '\0';
	assert_int_equal(translate_token(&t, "the label x", text), -22);
	assert_int_equal(translate_policy(&t, "the label x", text), -22);
	assert_int_equal(translate_endpoint(&t, "the label x", text), -22);
	free(text);
}

static void test_expires(void **state)
{
	static const struct case_of cases[] = {
		{"2030-01-31T12:00:00Z",
		 "{\"expiresAt\":\"2030-01-31T12:00:00Z\"}"},
		{"2028-02-29t23:59:60.123456z",
		 "{\"expiresAt\":\"2028-02-29t23:59:60.123456z\"}"},
		{"2030-01-31T12:00:00-08:30",
		 "{\"expiresAt\":\"2030-01-31T12:00:00-08:30\"}"},
		{"2030-02-29T12:00:00Z", NULL},
		{"2030-13-01T12:00:00Z", NULL},
		{"2030-01-31T24:00:00Z", NULL},
		{"2030-01-31T12:00:00", NULL},
		{"2030-01-31T12:00:00.Z", NULL},
		{"2030-01-31T12:00:00+24:00", NULL},
		{"2030-01-31T12:00:00Zulu", NULL},
		{"2030-01-31 12:00:00Z", NULL},
		{"0000-01-01T00:00:00Z", NULL},
		{"0001-01-01T00:00:00+00:01", NULL},
		{"0001-01-01T00:01:00+00:01",
		 "{\"expiresAt\":\"0001-01-01T00:01:00+00:01\"}"},
		{"9999-12-31T23:59:00-00:01", NULL},
		{"9999-12-31T23:59:60Z", NULL},
		{"9999-12-31T23:59:60+00:01",
		 "{\"expiresAt\":\"9999-12-31T23:59:60+00:01\"}"},
		{"1893456000", NULL},
		{"tomorrow", NULL},
		{"", NULL},
		{NULL, NULL},
	};

	(void)state;
	check(translate_expires, cases, false);
}

static void test_endpoint(void **state)
{
	static const struct case_of cases[] = {
		{"10.88.0.5", "{\"endpoint\":\"10.88.0.5\"}"},
		{"192.0.2.1", "{\"endpoint\":\"192.0.2.1\"}"},
		{"FD12::5", "{\"endpoint\":\"[fd12::5]\"}"},
		{"[fd12::5]", "{\"endpoint\":\"[fd12::5]\"}"},
		{"::ffff:10.0.0.1", "{\"endpoint\":\"10.0.0.1\"}"},
		{"box.ns.svc.cluster.local",
		 "{\"endpoint\":\"box.ns.svc.cluster.local\"}"},
		{"a_b-c", "{\"endpoint\":\"a_b-c\"}"},
		{"notlocalhost", "{\"endpoint\":\"notlocalhost\"}"},
		{"169.254.169.254", NULL},
		{"169.254.0.1", NULL},
		{"169.254.969.254", NULL},
		{"box.254", NULL},
		{"::ffff:169.254.169.254", NULL},
		{"64:ff9b::a9fe:a9fe", NULL},
		{"100.100.100.200", NULL},
		{"::ffff:100.100.100.200", NULL},
		{"fd00:ec2::254", NULL},
		{"[fd00:ec2::254]", NULL},
		{"fe80::1", NULL},
		{"224.0.0.1", NULL},
		{"ff02::1", NULL},
		{"0.0.0.0", NULL},
		{"::", NULL},
		{"255.255.255.255", NULL},
		{"metadata.google.internal", NULL},
		{"METADATA", NULL},
		{"10.0.0.1:80", NULL},
		{"10.1", NULL},
		{"box.10", NULL},
		{"10.box", "{\"endpoint\":\"10.box\"}"},
		{"167772161", NULL},
		{"0x0a000001", NULL},
		{"0xa.0.0.1", NULL},
		{"010.0.0.1", NULL},
		{"fe80::1%eth0", NULL},
		{"unix:/run/x.sock", NULL},
		{"a..b", NULL},
		{"a.", NULL},
		{".a", NULL},
		{"-a", NULL},
		{"a-", NULL},
		{"a-.b", NULL},
		{"a b", NULL},
		{"a/b", NULL},
		{"a\nb", NULL},
		{"b\xc3\xbc", NULL},
		{"", NULL},
		{NULL, NULL},
	};
	static const struct case_of loopback[] = {
		{"127.0.0.1", "{\"endpoint\":\"127.0.0.1\"}"},
		{"127.1.2.3", "{\"endpoint\":\"127.1.2.3\"}"},
		{"::1", "{\"endpoint\":\"[::1]\"}"},
		{"::ffff:127.0.0.1", "{\"endpoint\":\"127.0.0.1\"}"},
		{"localhost", "{\"endpoint\":\"localhost\"}"},
		{"a.localhost", "{\"endpoint\":\"a.localhost\"}"},
		{NULL, NULL},
	};
	static const struct case_of names[] = {
		{"10.88.0.5", "{\"endpoint\":\"10.88.0.5\"}"},
		{"[fd12::5]", "{\"endpoint\":\"[fd12::5]\"}"},
		{"127.0.0.1.example.com", NULL},
		{"box.ns.svc.cluster.local", NULL},
		{"localhost", NULL},
		{"127.0.0.1", NULL},
		{"", NULL},
		{NULL, NULL},
	};
	struct case_of refused[sizeof(loopback) / sizeof(*loopback)];
	static const struct case_of never[] = {
		{"127.1", NULL},           {"0x7f000001", NULL},
		{"2130706433", NULL},      {"169.254.169.254", NULL},
		{"100.100.100.200", NULL}, {NULL, NULL},
	};

	(void)state;
	check(translate_endpoint, cases, false);
	check(translate_address, names, false);
	check(translate_endpoint, loopback, true);
	check(translate_endpoint, never, true);
	for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++)
		refused[i] = (struct case_of){loopback[i].text, NULL};
	check(translate_endpoint, refused, false);
}

static void test_ports(void **state)
{
	struct translation t = {.allow_loopback = true};
	char *record;

	(void)state;
	assert_int_equal(translate_port(&t, "x", 8080, "127.0.0.1", 49153), 0);
	assert_int_equal(translate_port(&t, "x", 80, "fd12::1", 1), 0);
	assert_int_equal(translate_port(&t, "x", 0, "127.0.0.1", 1), -22);
	assert_int_equal(translate_port(&t, "x", 80, "127.0.0.1", 65536), -22);
	assert_int_equal(translate_port(&t, "x", 80, "0.0.0.0", 80), -22);
	record = json_dumps(t.record, JSON_COMPACT);
	assert_string_equal(record, "{\"portMap\":{\"8080\":\"127.0.0.1:49153\""
				    ",\"80\":\"[fd12::1]:1\"}}");
	free(record);
	translation_free(&t);
	assert_int_equal(translate_port(&t, "x", 80, "127.0.0.1", 80), -22);
}

static void test_policy(void **state)
{
	static const char *const bad[] = {
		"",     "null", "[]", "\"deny\"", "{", "{\"a\":1,\"a\":2}",
		"{} {}"};
	struct translation t = {.record = NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(translate_policy(&t, "the label x", bad[i]),
				 -22);
		assert_null(t.policy);
	}
	assert_int_equal(translate_policy(&t, "the label x",
					  "{\"defaultAction\":\"deny\"}"),
			 0);
	assert_ptr_equal(translation_sandbox(&t).policy, t.policy);
	translation_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),      cmocka_unit_test(test_expose),
		cmocka_unit_test(test_token),    cmocka_unit_test(test_expires),
		cmocka_unit_test(test_endpoint), cmocka_unit_test(test_ports),
		cmocka_unit_test(test_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
