/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inner.h"
#include "sandbox/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void name_of(struct domain_name *name, const char *text)
{
	const char *why;

	assert_int_equal(domain_name_from_text(name, text, &why), 0);
}

static void plain_text_stays(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(cli_printable("a b~\\", out, sizeof(out)),
			    "a b~\\");
	assert_string_equal(cli_printable("", out, sizeof(out)), "");
}

static void other_bytes_are_named(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(
		cli_printable("\033[2J\r\n\x7f\xc2\x9b", out, sizeof(out)),
		"\\x1b[2J\\x0d\\x0a\\x7f\\xc2\\x9b");
}

static void long_text_is_cut_whole(void **state)
{
	char out[8];

	(void)state;
	assert_string_equal(cli_printable("abcdefghi", out, sizeof(out)),
			    "abcdefg");
	assert_string_equal(cli_printable("abcde\033", out, sizeof(out)),
			    "abcde");
}

static void rows_hold_what_is_strange(void **state)
{
	struct sandbox_row row;
	json_t *status = json_pack(
		"{ss ss ss s[] s{s[[]]} si}", "id", "\033[31m", "mode",
		"a mode that is longer than its column", "health", "ok",
		"rules", "deniedLastMinute", "latest", "gate", 3);

	(void)state;
	assert_non_null(status);
	sandbox_row_read(&row, status);
	assert_string_equal(row.id, "\\x1b[31m");
	assert_string_equal(row.mode, "a mode that is ");
	assert_string_equal(row.last, "-");
	assert_int_equal(row.rules, 0);
	assert_false(row.gate);
	sandbox_row_read(&row, NULL);
	assert_string_equal(row.id, "-");
	json_decref(status);
}

static void denials_end_after_a_minute(void **state)
{
	struct denials d = {.order = 0};

	(void)state;
	for (uint64_t s = 100; s < 200; s++)
		denials_add(&d, DENIED_NAME, NULL, s, 0);
	denials_add(&d, DENIED_PACKET, NULL, 199, 0);
	assert_int_equal(denials_in_minute(&d, DENIED_NAME, 199), 60);
	assert_int_equal(denials_in_minute(&d, DENIED_NAME, 219), 40);
	assert_int_equal(denials_in_minute(&d, DENIED_NAME, 258), 1);
	assert_int_equal(denials_in_minute(&d, DENIED_NAME, 259), 0);
	assert_int_equal(denials_in_minute(&d, DENIED_PACKET, 199), 1);
	assert_int_equal(denials_in_minute(&d, DENIED_CONNECTION, 199), 0);
}

static void nothing_was_denied_at_the_start(void **state)
{
	struct denials d = {.order = 0};

	(void)state;
	assert_int_equal(denials_in_minute(&d, DENIED_NAME, 5), 0);
	assert_null(denials_latest(&d, 0));
}

static void the_latest_names_stay(void **state)
{
	struct denials d = {.order = 0};
	struct domain_name name;
	char text[] = "a.test";

	(void)state;
	for (int i = 0; i < 12; i++) {
		text[0] = (char)('a' + i);
		name_of(&name, text);
		denials_add(&d, DENIED_NAME, &name, 1, i);
	}
	name_of(&name, "f.test");
	denials_add(&d, DENIED_NAME, &name, 1, 99);
	assert_true(domain_name_equal(&denials_latest(&d, 0)->name, &name));
	assert_int_equal(denials_latest(&d, 0)->count, 2);
	assert_int_equal(denials_latest(&d, 0)->at, 99);
	name_of(&name, "l.test");
	assert_true(domain_name_equal(&denials_latest(&d, 1)->name, &name));
	name_of(&name, "e.test");
	assert_true(domain_name_equal(&denials_latest(&d, 7)->name, &name));
	assert_null(denials_latest(&d, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_stays),
		cmocka_unit_test(other_bytes_are_named),
		cmocka_unit_test(long_text_is_cut_whole),
		cmocka_unit_test(rows_hold_what_is_strange),
		cmocka_unit_test(denials_end_after_a_minute),
		cmocka_unit_test(nothing_was_denied_at_the_start),
		cmocka_unit_test(the_latest_names_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
