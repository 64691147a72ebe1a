/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct domain_name parse(const char *text)
{
	struct domain_name name;
	const char *why;

	if (domain_name_from_text(&name, text, &why) < 0)
		fail_msg("%s: %s", text, why);
	return name;
}

static void text_becomes_wire_form(void **state)
{
	static const uint8_t wire[] = "\3www\7example\3com";
	struct domain_name name = parse("WWW.Example.com.");

	(void)state;
	assert_int_equal(name.len, sizeof(wire));
	assert_memory_equal(name.wire, wire, sizeof(wire));
}

static void case_and_a_trailing_dot_do_not_matter(void **state)
{
	struct domain_name a = parse("Api.GitHub.COM");
	struct domain_name b = parse("api.github.com.");
	struct domain_name c = parse("api.github.co");

	(void)state;
	assert_true(domain_name_equal(&a, &b));
	assert_int_equal(domain_name_hash(&a), domain_name_hash(&b));
	assert_false(domain_name_equal(&a, &c));
	assert_int_not_equal(domain_name_hash(&a), domain_name_hash(&c));
}

/* n characters, a dot, ... up to len in all */
static void fill(char *out, size_t label, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = i % (label + 1) == label ? '.' : 'a';
	out[len] = '\0';
}

static void lengths_are_held_to(void **state)
{
	struct domain_name name;
	char text[400];
	const char *why;

	(void)state;
	fill(text, 63, 63);
	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	fill(text, 64, 64);
	assert_int_not_equal(domain_name_from_text(&name, text, &why), 0);
	assert_string_equal(why, "a label is longer than 63 characters");

	/* 253 characters are 255 octets */
	fill(text, 63, 253);
	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	assert_int_equal(name.len, 255);
	strcat(text, ".");
	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	assert_int_equal(name.len, 255);
	fill(text, 63, 254);
	assert_int_not_equal(domain_name_from_text(&name, text, &why), 0);
	assert_string_equal(why, "the name is longer than 255 octets");
	fill(text, 1, 253);
	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	assert_int_equal(name.len, 255);
	fill(text, 1, 255);
	assert_int_not_equal(domain_name_from_text(&name, text, &why), 0);
}

static void text_out_of_form_says_why(void **state)
{
	static const char *const texts[][2] = {
		{"", "the name is empty"},
		{".", "the name is empty"},
		{"..", "an empty label"},
		{"a..b", "an empty label"},
		{".a", "an empty label"},
		{"a.b..", "an empty label"},
		{"exa mple.com", "a character that is not a letter, digit, "
				 "'-', '_' or '.'"},
		{"a\\046b", "a character that is not a letter, digit, '-', "
			    "'_' or '.'"},
		{"a/b", "a character that is not a letter, digit, '-', '_' or "
			"'.'"},
		{"b\303\274cher.de", "internationalised names must be given as "
				     "A-labels (xn--...)"},
		{"a.*.b", "'*' may stand alone or be the whole first label"},
		{"*a.b", "'*' may stand alone or be the whole first label"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct domain_name name;
		const char *why = NULL;

		assert_int_not_equal(
			domain_name_from_text(&name, texts[i][0], &why), 0);
		assert_string_equal(why, texts[i][1]);
	}
}

static void wire_is_folded_and_counted(void **state)
{
	static const uint8_t wire[] = "\4GOOD\4tEsT\0and more";
	struct domain_name name, good = parse("good.test");

	(void)state;
	assert_int_equal(domain_name_from_wire(&name, wire, sizeof(wire)), 11);
	assert_true(domain_name_equal(&name, &good));
	assert_int_equal(domain_name_hash(&name), domain_name_hash(&good));
	assert_int_equal(domain_name_from_wire(&name, (const uint8_t *)"", 1),
			 1);
	assert_int_equal(name.len, 1);
}

static void wire_out_of_form_is_refused(void **state)
{
	static const struct {
		const char *wire;
		size_t len;
	} wires[] = {
		{"", 0},
		{"\1", 1},
		{"\1a", 2},
		{"\4good", 5},
		{"\5good", 5},
		{"\300\14", 2},
		{"\1a\300\0", 4},
		{"\100"
		 "aaaaaaaaaa",
		 11},
	};
	uint8_t longest[300];
	struct domain_name name;

	(void)state;
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++)
		assert_true(domain_name_from_wire(
				    &name, (const uint8_t *)wires[i].wire,
				    wires[i].len) < 0);

	/* a label of 64, and a compression pointer, with all their octets */
	memset(longest, 0, sizeof(longest));
	longest[0] = 64;
	assert_true(domain_name_from_wire(&name, longest, sizeof(longest)) < 0);
	longest[0] = 0xc0;
	assert_true(domain_name_from_wire(&name, longest, sizeof(longest)) < 0);

	memset(longest, 1, sizeof(longest));
	assert_true(domain_name_from_wire(&name, longest, sizeof(longest)) < 0);
	longest[254] = 0;
	assert_int_equal(domain_name_from_wire(&name, longest, sizeof(longest)),
			 255);
	assert_true(domain_name_from_wire(&name, longest, 254) < 0);
	memset(longest, 0, sizeof(longest));
	for (size_t at = 0; at < 256; at += 64)
		longest[at] = 63;
	assert_true(domain_name_from_wire(&name, longest, sizeof(longest)) < 0);
}

static void odd_octets_are_shown_as_numbers(void **state)
{
	static const uint8_t wire[] = "\4a\0.\\\3com";
	char out[DOMAIN_NAME_TEXT_MAX];
	struct domain_name name;

	(void)state;
	assert_int_equal(domain_name_from_wire(&name, wire, sizeof(wire)),
			 sizeof(wire));
	assert_string_equal(domain_name_to_text(&name, out),
			    "a\\000\\046\\092.com");
	name = parse("_dmarc.xn--bcher-kva.de.");
	assert_string_equal(domain_name_to_text(&name, out),
			    "_dmarc.xn--bcher-kva.de");
	assert_int_equal(domain_name_from_wire(&name, (const uint8_t *)"", 1),
			 1);
	assert_string_equal(domain_name_to_text(&name, out), ".");
}

static void the_longest_text_fits(void **state)
{
	uint8_t wire[DOMAIN_NAME_MAX];
	char out[DOMAIN_NAME_TEXT_MAX];
	struct domain_name name;

	(void)state;
	memset(wire, 0xff, sizeof(wire));
	wire[0] = wire[64] = wire[128] = 63;
	wire[192] = 61;
	wire[254] = 0;
	assert_int_equal(domain_name_from_wire(&name, wire, sizeof(wire)), 255);
	assert_int_equal(strlen(domain_name_to_text(&name, out)), 250 * 4 + 3);
}

static void every_suffix_has_its_own_hash_on_the_way(void **state)
{
	struct domain_name name = parse("a.b.example.com");
	uint8_t offset[DOMAIN_LABELS_MAX];
	struct domain_name suffix = parse("example.com");
	size_t n = domain_name_labels(&name, offset);
	uint64_t hash;

	(void)state;
	assert_int_equal(n, 4);
	assert_int_equal(offset[0], 0);
	assert_int_equal(offset[2], 4);
	hash = domain_name_hash_label(0, name.wire + offset[3]);
	hash = domain_name_hash_label(hash, name.wire + offset[2]);
	assert_int_equal(hash, domain_name_hash(&suffix));
}

static void label_boundaries_count_in_the_hash(void **state)
{
	struct domain_name a = parse("ab.c"), b = parse("a.bc");
	struct domain_name c = parse("aaaaaaaa"), d = parse("aaaaaaaaa");

	(void)state;
	assert_int_not_equal(domain_name_hash(&a), domain_name_hash(&b));
	assert_int_not_equal(domain_name_hash(&c), domain_name_hash(&d));
	assert_false(domain_name_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_wire_form),
		cmocka_unit_test(case_and_a_trailing_dot_do_not_matter),
		cmocka_unit_test(lengths_are_held_to),
		cmocka_unit_test(text_out_of_form_says_why),
		cmocka_unit_test(wire_is_folded_and_counted),
		cmocka_unit_test(wire_out_of_form_is_refused),
		cmocka_unit_test(odd_octets_are_shown_as_numbers),
		cmocka_unit_test(the_longest_text_fits),
		cmocka_unit_test(every_suffix_has_its_own_hash_on_the_way),
		cmocka_unit_test(label_boundaries_count_in_the_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
