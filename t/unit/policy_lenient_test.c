/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What documents may leave out or say too much is taken on the refusing or the
 * literal side, shown as it is in force, and noted.
 */
#include "policy/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* JSON that stands in single quotes for reading's sake. */
static char *quoted(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
	for (char *c = to; *c; c++) {
		if (*c == '\'')
			*c = '"';
	}
	return to;
}

static struct rules *read_rules(const char *text)
{
	struct policy_error err = {.message = ""};
	struct rules *rules;
	char json[512];

	quoted(json, sizeof(json), text);
	if (rules_from_text(&rules, json, strlen(json), 0, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return rules;
}

/* The document in force and its warnings; NULL for none. */
static void assert_taken(const struct rules *rules, const char *shown,
			 const char *warnings)
{
	char want[512], *text = rules_to_text(rules, NULL);

	assert_string_equal(text, quoted(want, sizeof(want), shown));
	free(text);
	if (!warnings) {
		assert_null(rules->warnings);
		return;
	}
	text = json_dumps(rules->warnings, JSON_COMPACT);
	assert_string_equal(text, warnings);
	free(text);
}

static void slack_is_taken_and_noted(void **state)
{
	static const struct {
		const char *text, *shown, *warnings;
	} cases[] = {
		{"{'egress':[{'target':'a.test'}]}",
		 "{'defaultAction':'deny','egress':[{'target':'a.test',"
		 "'action':'deny'}]}",
		 "[\"egress[0]: no action, taken as deny\"]"},
		{"{'defaultAction':'allow','egress':[{'action':null,'target':"
		 "'a.test'},{'action':' ','target':'b.test'}]}",
		 "{'defaultAction':'allow','egress':[{'action':'deny','target':"
		 "'a.test'},{'action':'deny','target':'b.test'}]}",
		 "[\"egress[0]: no action, taken as deny\",\"egress[1]: no "
		 "action, taken as deny\"]"},
		{"{'defaultAction':' deny\\n','egress':[{'action':' Allow ',"
		 "'target':'\\t a.test '}]}",
		 "{'defaultAction':'deny','egress':[{'action':'allow','target':"
		 "'a.test'}]}",
		 NULL},
		{"{'egress':[{'action':'allow','target':'10.0.0.1/8'},"
		 "{'action':'deny','target':'2001:db8::1/32'},"
		 "{'action':'deny','target':'::ffff:10.9.0.1/112'},"
		 "{'action':'deny','target':'1.2.3.4/0'}]}",
		 "{'defaultAction':'deny','egress':[{'action':'allow','target':"
		 "'10.0.0.0/8'},{'action':'deny','target':'2001:db8::/32'},"
		 "{'action':'deny','target':'10.9.0.0/16'},{'action':'deny',"
		 "'target':'0.0.0.0/0'}]}",
		 "[\"egress[0].target: \\\"10.0.0.1/8\\\": host bits cleared, "
		 "taken as 10.0.0.0/8\","
		 "\"egress[1].target: \\\"2001:db8::1/32\\\": host bits "
		 "cleared, taken as 2001:db8::/32\","
		 "\"egress[2].target: \\\"::ffff:10.9.0.1/112\\\": host bits "
		 "cleared, taken as 10.9.0.0/16\","
		 "\"egress[3].target: \\\"1.2.3.4/0\\\": host bits cleared, "
		 "taken as 0.0.0.0/0\"]"},
		{"{'egress':[{'action':'deny','ports':[25]},"
		 "{'action':'allow','ports':[443],'target':null}]}",
		 "{'defaultAction':'deny','egress':[{'action':'deny','ports':["
		 "25],'target':'*'},{'action':'allow','ports':[443],'target':"
		 "'*'}]}",
		 "[\"egress[0]: ports without a target, taken as \\\"*\\\"\","
		 "\"egress[1]: ports without a target, taken as \\\"*\\\"\"]"},
		{"{'comment':'x','egress':[{'note':['\xc3\xbc'],'action':"
		 "'deny','target':'a.test','\xc3\xbc\\n':1}],'budget':{}}",
		 "{'defaultAction':'deny','egress':[{'action':'deny','target':"
		 "'a.test'}]}",
		 "[\"unknown key \\\"comment\\\" ignored\","
		 "\"unknown key \\\"budget\\\" ignored\","
		 "\"egress[0]: unknown key \\\"note\\\" ignored\","
		 "\"egress[0]: unknown key \\\"???\\\" ignored\"]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rules *rules = read_rules(cases[i].text);

		assert_taken(rules, cases[i].shown, cases[i].warnings);
		rules_free(rules);
	}
}

/* A key like a known one would narrow the rule, or hold all of them. */
static void mistyped_keys_are_mistakes(void **state)
{
	static const char *const texts[] = {
		"{'Egress':[]}",
		"{'egres':[],'defaultAction':'allow'}",
		"{'default_action':'deny'}",
		"{'egress':[{'action':'allow','target':'a.test','Ports':[1]}]}",
		"{'egress':[{'action':'allow','target':'a.test','protocl':"
		"'tcp'}]}",
	};
	struct policy_error err;
	struct rules *rules;
	char json[256];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		quoted(json, sizeof(json), texts[i]);
		assert_int_equal(
			rules_from_text(&rules, json, strlen(json), 0, &err),
			-EINVAL);
		assert_non_null(strstr(err.message, "; did you mean \""));
	}
}

/* What is in force says nothing more of itself. */
static void the_shown_document_is_strict(void **state)
{
	struct rules *rules = read_rules("{'x':1,'egress':[{'target':' 10.0.0."
					 "1/8 ','y':2},{'ports':[1]}]}");
	char *text = rules_to_text(rules, NULL);
	struct rules *again = read_rules(text);

	(void)state;
	assert_int_equal(json_array_size(rules->warnings), 6);
	assert_taken(again, text, NULL);
	rules_free(again);
	rules_free(rules);
	free(text);
}

static void warnings_are_bounded(void **state)
{
	json_t *document = json_object(), *keys = json_object();
	struct policy_error err;
	struct rules *rules;
	char key[32];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "unknown-%d", i);
		json_object_set_new(keys, key, json_null());
	}
	json_object_update(document, keys);
	assert_int_equal(rules_from_json(&rules, document, 0, &err), 0);
	assert_int_equal(json_array_size(rules->warnings),
			 POLICY_WARNINGS_MAX + 1);
	assert_string_equal(json_string_value(json_array_get(
				    rules->warnings, POLICY_WARNINGS_MAX)),
			    "and 968 more");
	rules_free(rules);
	json_decref(keys);
	json_decref(document);
}

static void patches_note_their_own(void **state)
{
	struct rules *old = read_rules("{'x':1,'egress':[{'action':'allow',"
				       "'target':'10.0.0.0/8'}]}");
	static const char patch[] = "[{\"target\":\" 10.1.2.3/8\",\"z\":0}]";
	static const char gone[] = "[\" 10.7.7.7/8 \"]";
	struct policy_error err;
	struct rules *rules, *without;
	size_t removed;

	(void)state;
	assert_int_equal(
		rules_patched(&rules, old, patch, strlen(patch), 0, &err), 0);
	assert_taken(
		rules,
		"{'defaultAction':'deny','egress':[{'target':'10.0.0.0/8',"
		"'action':'deny'}]}",
		"[\"rules[0]: unknown key \\\"z\\\" ignored\","
		"\"rules[0]: no action, taken as deny\","
		"\"rules[0].target: \\\"10.1.2.3/8\\\": host bits cleared, "
		"taken as 10.0.0.0/8\"]");
	assert_int_equal(rules_without(&without, rules, gone, strlen(gone),
				       &removed, &err),
			 0);
	assert_int_equal(removed, 1);
	rules_free(without);
	rules_free(rules);
	rules_free(old);
}

static void always_files_note_host_bits(void **state)
{
	static const char text[] = "a.test\n 10.0.0.1/8 # all of it\n";
	struct policy_error err;
	struct rules *rules;

	(void)state;
	assert_int_equal(
		always_from_text(&rules, text, strlen(text), POLICY_DENY, &err),
		0);
	assert_string_equal(rules->rule[1].target, "10.0.0.0/8");
	assert_string_equal(
		json_string_value(json_array_get(rules->warnings, 0)),
		"\"10.0.0.1/8\": host bits cleared, taken as 10.0.0.0/8");
	rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slack_is_taken_and_noted),
		cmocka_unit_test(mistyped_keys_are_mistakes),
		cmocka_unit_test(the_shown_document_is_strict),
		cmocka_unit_test(warnings_are_bounded),
		cmocka_unit_test(patches_note_their_own),
		cmocka_unit_test(always_files_note_host_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
