/* SPDX-License-Identifier: Apache-2.0 */
/*
 * + allow pypi.org
 * - deny example.com ports=[443]
 * default: deny -> allow
 */
#include "inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TEXT_SIZE = 1200
};

static char *key_of(const json_t *rule)
{
	return json_dumps(rule,
			  JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

/* How often each rule is there, by its text; owned. */
static json_t *counted(const json_t *rules)
{
	json_t *counts = json_object();
	const json_t *rule;
	size_t i;

	json_array_foreach(rules, i, rule)
	{
		char *key = key_of(rule);
		const json_t *n = key ? json_object_get(counts, key) : NULL;

		if (key)
			json_object_set_new(
				counts, key,
				json_integer(json_integer_value(n) + 1));
		free(key);
	}
	return counts;
}

static void print_rule(char sign, const json_t *rule)
{
	char text[TEXT_SIZE];
	const char *key;
	json_t *value;

	printf("%c %s", sign,
	       cli_string(json_object_get(rule, "action"), text, sizeof(text)));
	printf(" %s",
	       cli_string(json_object_get(rule, "target"), text, sizeof(text)));
	json_object_foreach((json_t *)rule, key, value)
	{
		char *said;

		if (strcmp(key, "action") == 0 || strcmp(key, "target") == 0)
			continue;
		said = key_of(value);
		printf(" %s", cli_printable(key, text, sizeof(text)));
		printf("=%s",
		       cli_printable(said ? said : "", text, sizeof(text)));
		free(said);
	}
	putchar('\n');
}

/* The rules that others lack. Returns how many. */
static size_t print_lacking(char sign, const json_t *rules, json_t *others)
{
	const json_t *rule;
	size_t i, n = 0;

	json_array_foreach(rules, i, rule)
	{
		char *key = key_of(rule);
		json_int_t there =
			key ? json_integer_value(json_object_get(others, key))
			    : 0;

		if (there > 0) {
			json_object_set_new(others, key,
					    json_integer(there - 1));
		} else {
			print_rule(sign, rule);
			n++;
		}
		free(key);
	}
	return n;
}

static size_t print_default(const json_t *before, const json_t *after)
{
	const json_t *old = json_object_get(before, "defaultAction");
	const json_t *new = json_object_get(after, "defaultAction");
	char text[TEXT_SIZE];

	if (json_equal(old, new))
		return 0;
	printf("default: %s", cli_string(old, text, sizeof(text)));
	printf(" -> %s\n", cli_string(new, text, sizeof(text)));
	return 1;
}

void changes_print(const json_t *before, const json_t *after)
{
	const json_t *old = json_object_get(before, "egress");
	const json_t *new = json_object_get(after, "egress");
	json_t *counts = counted(new);
	size_t n = print_default(before, after);

	n += print_lacking('-', old, counts);
	json_decref(counts);
	counts = counted(old);
	n += print_lacking('+', new, counts);
	json_decref(counts);
	if (n > 0)
		return;
	puts(json_equal(before, after)
		     ? "nothing changed"
		     : "the same rules in another order, or other limits or "
		       "hosts");
}
