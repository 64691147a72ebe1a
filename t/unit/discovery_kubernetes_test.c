/* SPDX-License-Identifier: Apache-2.0 */
/* Names as OpenSandbox makes them, JSON as it arrives, and what objects mean.
 */
#include "kubernetes/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Names */

#define A20 "aaaaaaaaaaaaaaaaaaaa"
#define N20 "12345678901234567890"

static void test_names(void **state)
{
	/* As _to_dns1035_label() of OpenSandbox's server has them. */
	static const struct {
		const char *id, *name;
	} cases[] = {
		{"abc", "abc"},
		{"Sb_1.x", "sb-1-x"},
		{"a--b..c", "a-b-c"},
		{"-a-", "a"},
		{"7f", "sandbox-7f"},
		{"", "sandbox-e3b0c442"},
		{"...", "sandbox-ab5df625"},
		{A20 A20 A20 "aaa", A20 A20 A20 "aaa"},
		{A20 A20 A20 "aaaa", A20 A20 "aaaaaaaaaaaaaa-ffe054fe"},
		{N20 N20 N20, "sandbox-" N20 N20 "123456-decc538c"},
		{A20 A20 "aaaaaaaaaaaa-------------", A20 A20 "aaaaaaaaaaaa"},
		{A20 A20 "aaaaaaaaaaaaa-bbbbbbbbbbbbbbb",
		 A20 A20 "aaaaaaaaaaaaa-9733a519"},
	};
	char name[NAME_LABEL_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		name_from_id(cases[i].id, name);
		assert_string_equal(name, cases[i].name);
	}
}

static void test_name_is_of(void **state)
{
	(void)state;
	assert_true(name_is_of("sandbox-7f", "7f"));
	assert_true(name_is_of("sandbox-7f", "sandbox-7f"));
	assert_true(name_is_of("sandbox-abc", "abc"));
	assert_true(name_is_of("a-b", "A.b"));
	assert_true(name_is_of("a.b", "a.b"));
	assert_false(name_is_of("abc", "sandbox-abc"));
	assert_false(name_is_of("abc", "abd"));
	assert_false(name_is_of("abc", ""));
}

/* JSON as it arrives */

static const struct scan_want names_wanted[] = {
	{.key = "name"},
	{.key = NULL},
};

static const struct scan_want item_wanted[] = {
	{.key = "a"},
	{.key = "m", .members = names_wanted},
	{.key = NULL},
};

static const struct scan_want list_wanted[] = {
	{.key = "next"},
	{.key = "items", .members = item_wanted, .each = true},
	{.key = "m", .members = item_wanted},
	{.key = NULL},
};

static char told[4096];

static int keep(const char *mark, const char *json, size_t len)
{
	size_t at = strlen(told);

	assert_int_equal(strlen(json), len);
	if (len > 1000)
		json = "(long)";
	snprintf(told + at, sizeof(told) - at, "%s%s ", mark, json);
	return strstr(json, "stop") ? -7 : 0;
}

static int keep_element(void *arg, const char *json, size_t len, uint64_t size)
{
	(void)arg;
	(void)size;
	return keep("", json, len);
}

static int keep_rest(void *arg, const char *json, size_t len, uint64_t size)
{
	(void)arg;
	(void)size;
	return keep("=", json, len);
}

/* In pieces of so many bytes. */
static int feed(const char *text, size_t piece)
{
	struct scan scan = {.wants = list_wanted,
			    .element = keep_element,
			    .rest = keep_rest};
	size_t len = strlen(text);
	int err = 0;

	told[0] = '\0';
	for (size_t at = 0; at < len && !err; at += piece)
		err = scan_feed(&scan, text + at,
				len - at < piece ? len - at : piece);
	if (!err && !scan_is_between(&scan))
		err = 1;
	scan_close(&scan);
	return err;
}

static void test_scan(void **state)
{
	static const struct {
		int err; /* 1: it goes on */
		const char *text, *told;
	} cases[] = {
		{0, "{\"next\":\"n\",\"x\":[1,{\"next\":2}]}",
		 "={\"next\":\"n\"} "},
		{0, " {\n} {}\n\n{}", "={} ={} ={} "},
		{0,
		 "{\"items\":[{\"a\":1,\"b\":2},{\"m\":{\"o\":0,\"name\":[]}}],"
		 "\"next\":null}",
		 "{\"a\":1} {\"m\":{\"name\":[]}} ={\"next\":null} "},
		{0, "{\"items\":[]}", "={} "},
		{0, "{\"items\":null,\"m\":7}", "={\"items\":null,\"m\":7} "},
		{0, "{\"items\":[7,\"s\",null,[]]}", "7 \"s\" null [] ={} "},
		{0, "{\"x\":\"}\\\"\\\\\",\"next\":\"\\\"}\"}",
		 "={\"next\":\"\\\"}\"} "},
		{0, "{\"m\":{\"m\":{\"name\":{\"deep\":[{}]}}}}",
		 "={\"m\":{\"m\":{\"name\":{\"deep\":[{}]}}}} "},
		{0, "{\"ne\\u0078t\":1}", "={} "},
		{0, "\"text\"\n5\n", "=\"text\" =5 "},
		{-7, "{\"next\":\"stop\"} {}", "={\"next\":\"stop\"} "},
		{1, "{\"next\":", ""},
		{1, "{\"items\":[{\"a\":1}", "{\"a\":1} "},
		{-22, "{]", ""},
		{-22, "{\"items\":[}", ""},
		{-22, "{\"items\":[{},]", "{} "},
		{-22, "{5:1}", ""},
		{-22, "{\"a\" 1}", ""},
		{-22, "}", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t piece = 1; piece < 80; piece += 13) {
			int err = feed(cases[i].text, piece);

			if (err != cases[i].err ||
			    strcmp(told, cases[i].told) != 0)
				fail_msg("%s: %d \"%s\"", cases[i].text, err,
					 told);
		}
	}
}

/* As a text that is endless in one place. */
static int feed_long(const char *before, const char *again, size_t times,
		     const char *after)
{
	size_t len = strlen(again) * times;
	char *text = malloc(strlen(before) + len + strlen(after) + 1);
	int err;

	strcpy(text, before);
	for (size_t i = 0; i < times; i++)
		memcpy(text + strlen(before) + i * strlen(again), again,
		       strlen(again));
	strcpy(text + strlen(before) + len, after);
	err = feed(text, 65536);
	free(text);
	return err;
}

static void test_scan_bounds(void **state)
{
	(void)state;
	assert_int_equal(
		feed_long("{\"x\":\"", "y", 20 << 20, "\",\"next\":1}"), 0);
	assert_string_equal(told, "={\"next\":1} ");
	assert_int_equal(
		feed_long("{\"m\":1,\"next\":\"", "y", 20 << 20, "\"}"), 0);
	assert_string_equal(told, "={\"m\":1,\"next\":false} ");
	assert_int_equal(feed_long("{\"next\":", "[", 1 << 20, "]"), 1);
	assert_int_equal(feed_long("{\"x\":", "[", 100, ""), 1);
	assert_int_equal(feed_long("{\"", "k", 1 << 20, "\":1}"), 0);
	assert_string_equal(told, "={} ");
	/* Wanted again and again: no JSON of anybody's. */
	assert_int_equal(feed_long("{\"m\":0", ",\"next\":1", 1 << 20, "}"),
			 -22);
}

/* Objects */

typedef int translate(struct translation *t, const json_t *object);

struct case_of {
	const char *object; /* with ' for " */
	const char *means;  /* ids and record; NULL: see why */
	const char *why;    /* NULL: it is no sandbox */
};

static void check(translate *meaning, const struct case_of *cases)
{
	for (; cases->object; cases++) {
		struct translation t = {.record = NULL};
		char text[2048], means[2048] = "", *record;
		json_t *object;
		int ret;

		snprintf(text, sizeof(text), "%s", cases->object);
		for (char *c = text; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		object = json_loads(text, JSON_ALLOW_NUL, NULL);
		assert_non_null(object);
		ret = meaning(&t, object);
		record = json_dumps(t.record, JSON_COMPACT | JSON_SORT_KEYS);
		for (size_t i = 0; i < FEED_IDS_MAX && t.ids[i][0]; i++)
			snprintf(means + strlen(means), 100, "%s ", t.ids[i]);
		snprintf(means + strlen(means), 1000, "%s",
			 record ? record : "");
		for (char *c = means; *c; c++)
			*c = *c == '"' ? '\'' : *c;
		if (cases->means ? ret || strcmp(means, cases->means) != 0
		    : cases->why ? ret != -22 || !strstr(t.why, cases->why)
				 : ret != 1)
			fail_msg("%s: %d %s %s", cases->object, ret, means,
				 t.why);
		free(record);
		json_decref(object);
		translation_free(&t);
	}
}

#define ENDPOINTS "'sandbox.opensandbox.io/endpoints'"

static void test_batchsandbox(void **state)
{
	static const struct case_of cases[] = {
		{"{'metadata':{'name':'b','annotations':{" ENDPOINTS
		 ":'[\\'10.0.0.1\\',\\'10.0.0.2\\']'}},'status':{'ready':1}}",
		 "b {'endpoint':'10.0.0.1','ready':true}", NULL},
		{"{'metadata':{'name':'b','annotations':{" ENDPOINTS
		 ":'[\\'fd00::1\\']'}},'status':{'ready':0}}",
		 "b {'endpoint':'[fd00::1]','ready':false}", NULL},
		{"{'metadata':{'name':'b'},'status':{'ready':1}}",
		 "b {'ready':false}", NULL},
		{"{'metadata':{'name':'b','annotations':null},'status':null}",
		 "b {'ready':false}", NULL},
		{"{'metadata':{'name':'b','annotations':{"
		 "'opensandbox.io/secure-access-token':' t ',"
		 "'opensandbox.io/expose':'80'}}}",
		 "b {'accessToken':'t','expose':[80],'ready':false}", NULL},
		{"{'metadata':{}}", NULL, "it has no name"},
		{"{}", NULL, "it has no name"},
		{"[]", NULL, "it has no name"},
		{"{'metadata':{'name':'b'},'status':{'ready':'1'}}", NULL,
		 "status.ready: expected a number"},
		{"{'metadata':{'name':'b','annotations':{" ENDPOINTS
		 ":'[\\'169.254.169.254\\']'}}}",
		 NULL, "link-local"},
		{"{'metadata':{'name':'b','annotations':{"
		 "'opensandbox.io/secure-access-token':'a\\u0000b'}}}",
		 NULL, "expected a text"},
		{NULL, NULL, NULL},
	};

	(void)state;
	check(translate_batchsandbox, cases);
}

#define READY "'conditions':[{'type':'X'},{'type':'Ready','status':'True'}]"

static void test_agent_sandbox(void **state)
{
	static const struct case_of cases[] = {
		{"{'metadata':{'name':'sandbox-7f','labels':{"
		 "'opensandbox.io/id':'7F'}},'status':{" READY
		 ",'podIPs':['10.0.0.1'],'serviceFQDN':'s.svc'}}",
		 "sandbox-7f 7f {'endpoint':'10.0.0.1','ready':true}", NULL},
		{"{'metadata':{'name':'a-b','labels':{"
		 "'opensandbox.io/id':'a.b'}},'status':{" READY
		 ",'serviceFQDN':'s.svc'}}",
		 "a-b a.b sandbox-a.b {'endpoint':'s.svc','ready':true}", NULL},
		{"{'metadata':{'name':'sandbox-a','labels':{"
		 "'opensandbox.io/id':'victim'}},'status':{'podIPs':[{'ip':"
		 "'10.0.0.1'}],'conditions':[{'type':'Ready','status':"
		 "'False'}]}}",
		 "sandbox-a a {'endpoint':'10.0.0.1','ready':false}", NULL},
		{"{'metadata':{'name':'a'},'status':{" READY "}}",
		 "a sandbox-a {'ready':false}", NULL},
		{"{'metadata':{'name':'a'},'status':{'podIPs':[7]}}", NULL,
		 "status.podIPs"},
		{"{'metadata':{'name':'a'},'status':{'conditions':{}}}", NULL,
		 "status.conditions: expected an array"},
		{"{'metadata':{'name':'a'},'status':{'conditions':[{'type':7}]"
		 "}}",
		 NULL, "status.conditions.type: expected a text"},
		{NULL, NULL, NULL},
	};

	(void)state;
	check(translate_agent_sandbox, cases);
}

static void test_pod(void **state)
{
	static const struct case_of cases[] = {
		{"{'metadata':{'name':'p','labels':{'opensandbox.io/id':'S'},"
		 "'annotations':{'opensandbox.io/expires-at':"
		 "'2030-01-31T12:00:00Z'}},'status':{" READY
		 ",'phase':'Running','podIP':'10.0.0.1'}}",
		 "s {'endpoint':'10.0.0.1','expiresAt':"
		 "'2030-01-31T12:00:00Z','ready':true}",
		 NULL},
		{"{'metadata':{'name':'p'}}", NULL, NULL},
		{"{'metadata':{'name':'p','labels':{'opensandbox.io/id':'s'}},"
		 "'status':{'phase':'Failed','podIP':'10.0.0.1'}}",
		 NULL, NULL},
		{"{'metadata':{'name':'p','labels':{'opensandbox.io/id':'s'},"
		 "'annotations':{'opensandbox.io/egress-policy':'[]'}}}",
		 NULL, "egress-policy: expected a policy"},
		{"{'metadata':{'name':'p','labels':{'opensandbox.io/id':''}}}",
		 NULL, "the label opensandbox.io/id"},
		{NULL, NULL, NULL},
	};

	(void)state;
	check(translate_pod, cases);
}

/* For the agent: its id there, and the policy. */
static int node_pod(struct translation *t, const json_t *object)
{
	int ret = translate_node_pod(t, object);
	char *policy;

	if (ret)
		return ret;
	assert_null(t->record);
	policy = json_dumps(t->policy, JSON_COMPACT | JSON_ENCODE_ANY);
	snprintf(t->ids[0], sizeof(t->ids[0]), "%s", t->agent_id);
	snprintf(t->ids[1], sizeof(t->ids[1]), "%s", policy);
	free(policy);
	return 0;
}

#define POLICY "'opensandbox.io/egress-policy'"

static void test_node_pod(void **state)
{
	static const struct case_of cases[] = {
		{"{'metadata':{'name':'p','uid':'0f8f-1','annotations':{" POLICY
		 ":'{\\'egress\\':[]}'}}}",
		 "0f8f-1 {'egress':[]} ", NULL},
		{"{'metadata':{'name':'p','uid':'0f8f-1'}}", "0f8f-1 null ",
		 NULL},
		{"{'metadata':{'uid':'a'},'status':{'phase':'Succeeded'}}",
		 NULL, NULL},
		{"{'metadata':{'uid':'a'},'spec':{'hostNetwork':true}}", NULL,
		 NULL},
		{"{'metadata':{'uid':'a','annotations':{" POLICY
		 ":'{}'}},'spec':{'hostNetwork':true}}",
		 NULL, "the node's network"},
		{"{'metadata':{'uid':'a','annotations':{" POLICY ":'['}}}",
		 NULL, "egress-policy: expected a policy"},
		{"{'metadata':{'uid':'a','annotations':{" POLICY ":7}}}", NULL,
		 "egress-policy: expected a text"},
		{"{'metadata':{'name':'p'}}", NULL, "metadata.uid"},
		{"{'metadata':{'uid':''}}", NULL, "metadata.uid"},
		{"{'metadata':{'uid':'../x'}}", NULL, "metadata.uid"},
		{"{'metadata':{'uid':'0123456789012345678901234567890123456789"
		 "012345678901234567890123'}}",
		 NULL, "metadata.uid"},
		{"{'metadata':[]}", NULL, "metadata: expected an object"},
		{"{'spec':[]}", NULL, "spec: expected an object"},
		{NULL, NULL, NULL},
	};

	(void)state;
	check(node_pod, cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_name_is_of),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_scan_bounds),
		cmocka_unit_test(test_batchsandbox),
		cmocka_unit_test(test_agent_sandbox),
		cmocka_unit_test(test_pod),
		cmocka_unit_test(test_node_pod),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
