/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/always_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"deny.always", "allow.always",
					    "log_skip.always"};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		remove(path_of(names[i]));
	return rmdir(folder);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static void lines_become_rules(void **state)
{
	static const char text[] = "# the platform's own\n"
				   "\n"
				   "  \t \n"
				   "evil.test\n"
				   "\t*.Evil.test.  # and all below\r\n"
				   "10.0.0.0/8#private\n"
				   "*";
	struct policy_error err;
	struct rules *rules;

	(void)state;
	assert_int_equal(
		always_from_text(&rules, text, strlen(text), POLICY_DENY, &err),
		0);
	assert_int_equal(rules->n_rules, 4);
	assert_string_equal(rules->rule[0].target, "evil.test");
	assert_string_equal(rules->rule[1].target, "*.Evil.test.");
	assert_int_equal(rules->rule[1].kind, TARGET_BELOW);
	assert_int_equal(rules->rule[2].kind, TARGET_RANGE);
	assert_int_equal(rules->rule[3].kind, TARGET_ANY);
	assert_int_equal(rules->rule[3].action, POLICY_DENY);
	rules_free(rules);

	assert_int_equal(always_from_text(&rules, "", 0, POLICY_ALLOW, &err),
			 0);
	assert_int_equal(rules->n_rules, 0);
	rules_free(rules);
}

static void faults_name_their_line(void **state)
{
	static const struct {
		const char *text, *message;
		size_t len;
	} faults[] = {
		{"a.test\n# b\n\nc d\n",
		 "line 4: \"c d\": a character that is not a letter, digit, "
		 "'-', '_' or '.'",
		 15},
		{"10.0.0/8", "line 1: \"10.0.0/8\": not an IP address", 8},
		{"a\n\0b\n", "line 2: a NUL character", 5},
	};
	struct policy_error err;
	struct rules *rules;
	char longer[300];

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		assert_int_equal(always_from_text(&rules, faults[i].text,
						  faults[i].len, POLICY_DENY,
						  &err),
				 -EINVAL);
		assert_string_equal(err.message, faults[i].message);
	}
	memset(longer, 'a', sizeof(longer));
	assert_int_equal(always_from_text(&rules, longer, sizeof(longer),
					  POLICY_DENY, &err),
			 -EINVAL);
	assert_string_equal(err.message, "line 1: longer than any target");
}

static void a_comment_may_be_long(void **state)
{
	struct policy_error err;
	struct rules *rules;
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "a.test #", 8);
	assert_int_equal(
		always_from_text(&rules, text, sizeof(text), POLICY_DENY, &err),
		0);
	assert_int_equal(rules->n_rules, 1);
	rules_free(rules);
}

static void absent_files_are_empty(void **state)
{
	struct always_rules *always;
	struct policy_error err;

	(void)state;
	assert_int_equal(always_load(&always, folder, &err), 0);
	assert_int_equal(always->deny->n_rules, 0);
	assert_int_equal(always->allow->n_rules, 0);
	assert_int_equal(always->log_skip->n_rules, 0);
	always_free(always);
	assert_int_equal(always_load(&always, "/nowhere/at/all", &err), 0);
	always_free(always);
	always_free(NULL);
}

static void files_are_read_into_their_lists(void **state)
{
	struct always_rules *always;
	struct policy_error err;

	(void)state;
	write_file("deny.always", "a.test\nb.test\n");
	write_file("allow.always", "c.test\n");
	write_file("log_skip.always", "*.d.test\n");
	assert_int_equal(always_load(&always, folder, &err), 0);
	assert_int_equal(always->deny->n_rules, 2);
	assert_int_equal(always->deny->rule[0].action, POLICY_DENY);
	assert_int_equal(always->allow->n_rules, 1);
	assert_int_equal(always->allow->rule[0].action, POLICY_ALLOW);
	assert_int_equal(always->log_skip->n_rules, 1);
	always_free(always);
}

static void large_files_are_read_whole(void **state)
{
	FILE *file = fopen(path_of("deny.always"), "w");
	struct always_rules *always;
	struct policy_error err;

	(void)state;
	assert_non_null(file);
	for (int i = 0; i < 5000; i++)
		fprintf(file, "host-%d.test\n", i);
	fclose(file);
	assert_int_equal(always_load(&always, folder, &err), 0);
	assert_int_equal(always->deny->n_rules, 5000);
	assert_string_equal(always->deny->rule[4999].target, "host-4999.test");
	always_free(always);
}

static void a_bad_file_is_named(void **state)
{
	struct always_rules *always;
	struct policy_error err;
	char want[256];

	(void)state;
	write_file("deny.always", "a.test\n");
	write_file("allow.always", "b.test\nno target\n");
	assert_int_equal(always_load(&always, folder, &err), -EINVAL);
	snprintf(want, sizeof(want),
		 "%s/allow.always: line 2: \"no target\": a character that is "
		 "not a letter, digit, '-', '_' or '.'",
		 folder);
	assert_string_equal(err.message, want);

	assert_int_equal(remove(path_of("allow.always")), 0);
	assert_int_equal(mkfifo(path_of("allow.always"), 0600), 0);
	assert_int_equal(always_load(&always, folder, &err), -EINVAL);
	snprintf(want, sizeof(want), "%s/allow.always: not a regular file",
		 folder);
	assert_string_equal(err.message, want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_rules),
		cmocka_unit_test(faults_name_their_line),
		cmocka_unit_test(a_comment_may_be_long),
		cmocka_unit_test(absent_files_are_empty),
		cmocka_unit_test(files_are_read_into_their_lists),
		cmocka_unit_test(large_files_are_read_whole),
		cmocka_unit_test(a_bad_file_is_named),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
