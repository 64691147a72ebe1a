/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct agent_request request;
static struct agent_fault fault;

static int read_text(const char *text)
{
	struct rules *rules = NULL;
	int err = agent_request_read(&request, &rules, text, strlen(text), 3,
				     &fault);

	if (!err) {
		rules_free(rules);
		json_decref(request.otherwise);
	}
	return err;
}

static void ids(void **state)
{
	char id[AGENT_ID_MAX + 1], text[80];

	(void)state;
	assert_int_equal(agent_id_read(id, "Ab-9.z/policy", 6), 0);
	assert_string_equal(id, "ab-9.z");
	memset(text, 'a', sizeof(text));
	assert_int_equal(agent_id_read(id, text, 63), 0);
	assert_int_equal(strlen(id), 63);
	assert_int_equal(agent_id_read(id, text, 64), -EINVAL);
	assert_int_equal(agent_id_read(id, "", 0), -EINVAL);
	for (const char *bad = "_/%\\ \n\x7f\xff:@"; *bad; bad++)
		assert_int_equal(agent_id_read(id, bad, 1), -EINVAL);
	assert_int_equal(agent_id_read(id, "a\0b", 3), -EINVAL);
}

static void right(void **state)
{
	(void)state;
	assert_int_equal(read_text("{\"netns\":\"sb\"}"), 0);
	assert_string_equal(request.place.netns, "sb");
	assert_int_equal(request.place.pid, 0);
	assert_int_equal(read_text("{\"netns\":\"/run/netns/sb\","
				   "\"policy\":null}"),
			 0);
	assert_string_equal(request.place.netns, "/run/netns/sb");
	assert_int_equal(
		read_text("{\"pid\":12,\"policy\":{\"egress\":["
			  "{\"action\":\"allow\",\"target\":\"*\"}]}}"),
		0);
	assert_int_equal(request.place.pid, 12);
	assert_string_equal(request.place.netns, "");
	assert_string_equal(request.place.policy_url, "");
	assert_int_equal(read_text("{\"pid\":12,\"policyUrl\":"
				   "\"https://gateway/p?x=1\"}"),
			 0);
	assert_string_equal(request.place.policy_url, "https://gateway/p?x=1");
}

static void attachments(void **state)
{
	char text[AGENT_ATTACHMENT_MAX + 64];

	(void)state;
	assert_int_equal(read_text("{\"pid\":1,\"policy\":null}"), 0);
	assert_string_equal(request.attachment, "");
	assert_false(request.is_default);
	assert_int_equal(read_text("{\"pid\":1,\"attachment\":\"net/eth0\"}"),
			 0);
	assert_string_equal(request.attachment, "net/eth0");
	assert_true(request.is_default);
	assert_int_equal(read_text("{\"pid\":1,\"defaultPolicy\":{}}"), 0);
	assert_true(request.is_default);
	assert_int_equal(read_text("{\"pid\":1,\"policy\":{},"
				   "\"defaultPolicy\":{}}"),
			 0);
	assert_false(request.is_default);
	assert_int_equal(read_text("{\"pid\":1,\"pod\":\"0F8F-1\"}"), 0);
	assert_string_equal(request.place.pod, "0f8f-1");
	for (int over = 0; over < 2; over++) {
		snprintf(text, sizeof(text),
			 "{\"pid\":1,\"attachment\":\"%0*d\"}",
			 AGENT_ATTACHMENT_MAX + over, 0);
		assert_int_equal(read_text(text), over ? -EINVAL : 0);
	}
}

static int patch_text(const char *text, struct rules **rules)
{
	return agent_patch_read(rules, text, strlen(text), 3, &fault);
}

static void patches(void **state)
{
	struct rules *rules;

	(void)state;
	assert_int_equal(patch_text("{\"policy\":{}}", &rules), 0);
	assert_non_null(rules);
	rules_free(rules);
	assert_int_equal(patch_text("{\"policy\":null}", &rules), 0);
	assert_null(rules);
	assert_int_equal(patch_text("{\"policy\":[]}", &rules), -EINVAL);
	assert_string_equal(fault.field, "policy");
	assert_int_equal(patch_text("{}", &rules), -EINVAL);
	assert_string_equal(fault.field, "policy");
	assert_int_equal(patch_text("{\"policy\":{},\"pid\":1}", &rules),
			 -EINVAL);
	assert_int_equal(patch_text("[]", &rules), -EINVAL);
	assert_int_equal(patch_text("", &rules), -EINVAL);
}

static void urls(void **state)
{
	char text[AGENT_URL_MAX + 64];

	(void)state;
	for (int over = 0; over < 2; over++) {
		snprintf(text, sizeof(text),
			 "{\"pid\":1,\"policyUrl\":\"http://%0*d\"}",
			 AGENT_URL_MAX - 8 + over, 0);
		assert_int_equal(read_text(text), over ? -EINVAL : 0);
	}
	assert_string_equal(fault.field, "policyUrl");
	assert_int_equal(read_text("{\"pid\":1,\"policyUrl\":\"ftp://x\"}"),
			 -EINVAL);
	assert_int_equal(read_text("{\"pid\":1,\"policyUrl\":7}"), -EINVAL);
	assert_int_equal(read_text("{\"pid\":1,\"policyUrl\":\"\"}"), -EINVAL);
	assert_int_equal(
		read_text("{\"pid\":1,\"policyUrl\":\"http://a\\u0000b\"}"),
		-EINVAL);
}

static void wrong(void **state)
{
	static const struct {
		const char *text, *field;
	} cases[] = {
		{"", NULL},
		{"{", NULL},
		{"[]", NULL},
		{"null", NULL},
		{"{}", "netns"},
		{"{\"netns\":1}", "netns"},
		{"{\"netns\":\"\"}", "netns"},
		{"{\"netns\":\"../x\"}", "netns"},
		{"{\"netns\":\"a/b\"}", "netns"},
		{"{\"netns\":null}", "netns"},
		{"{\"pid\":\"1\"}", "pid"},
		{"{\"pid\":0}", "pid"},
		{"{\"pid\":-1}", "pid"},
		{"{\"pid\":1.0}", "pid"},
		{"{\"pid\":4294967297}", "pid"},
		{"{\"pid\":1,\"netns\":\"x\"}", "pid"},
		{"{\"pid\":1,\"pid\":2}", NULL},
		{"{\"pid\":1,\"polices\":{}}", NULL},
		{"{\"pid\":1,\"policy\":[]}", "policy"},
		{"{\"pid\":1,\"policy\":{\"egress\":[{\"action\":\"x\","
		 "\"target\":\"*\"}]}}",
		 "policy"},
		{"{\"pid\":1,\"policy\":{},\"defaultPolicy\":7}",
		 "defaultPolicy"},
		{"{\"pid\":1,\"policy\":7,\"defaultPolicy\":{}}", "policy"},
		{"{\"pid\":1,\"pod\":\"\"}", "pod"},
		{"{\"pid\":1,\"pod\":\"a_b\"}", "pod"},
		{"{\"pid\":1,\"pod\":5}", "pod"},
		{"{\"pid\":1,\"defaultPolicy\":[]}", "defaultPolicy"},
		{"{\"pid\":1,\"attachment\":\"\"}", "attachment"},
		{"{\"pid\":1,\"attachment\":5}", "attachment"},
		{"{\"pid\":1,\"attachment\":\"a b\"}", "attachment"},
		{"{\"pid\":1,\"attachment\":\"a\\u0000b\"}", NULL},
		{"{\"pid\":1,\"attachment\":\"\\u00e9\"}", "attachment"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_text(cases[i].text), -EINVAL);
		assert_true(fault.message[0] != '\0');
		if (cases[i].field)
			assert_string_equal(fault.field, cases[i].field);
		else
			assert_null(fault.field);
	}
}

/* The rule is named by its place. */
static void rule_named(void **state)
{
	(void)state;
	assert_int_equal(
		read_text("{\"pid\":1,\"policy\":{\"egress\":["
			  "{\"action\":\"allow\",\"target\":\"a.test\"},"
			  "{\"action\":\"allow\",\"target\":\"a b\"}]}}"),
		-EINVAL);
	assert_non_null(strstr(fault.message, "egress[1]"));
}

static void over_the_cap(void **state)
{
	(void)state;
	assert_int_equal(
		read_text("{\"pid\":1,\"policy\":{\"egress\":["
			  "{\"action\":\"allow\",\"target\":\"a.test\"},"
			  "{\"action\":\"allow\",\"target\":\"b.test\"},"
			  "{\"action\":\"allow\",\"target\":\"c.test\"},"
			  "{\"action\":\"allow\",\"target\":\"d.test\"}]}}"),
		-E2BIG);
	assert_string_equal(fault.field, "policy");
}

static void there_and_back(void **state)
{
	static const char *const texts[] = {"{\"netns\":\"sb\"}",
					    "{\"pid\":7}"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		json_t *json = json_loads(texts[i], 0, NULL), *again;

		assert_int_equal(agent_place_read(&request.place, json, &fault),
				 0);
		again = agent_place_json(&request.place);
		assert_true(json_equal(json, again));
		json_decref(json);
		json_decref(again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),
		cmocka_unit_test(right),
		cmocka_unit_test(attachments),
		cmocka_unit_test(patches),
		cmocka_unit_test(urls),
		cmocka_unit_test(wrong),
		cmocka_unit_test(rule_named),
		cmocka_unit_test(over_the_cap),
		cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
