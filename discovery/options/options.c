/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

static int apply(const struct option_table *table, const struct option_row *row,
		 const char *where, const char *value)
{
	char why[OPTION_WHY_MAX];

	if (row->read(table->settings, value, why) == 0)
		return 0;
	log_fatal("%s: \"%s\": expected %s", where, value, why);
	return -EINVAL;
}

/* A variable's value without the blanks around it, which files of variables
 * leave there. */
static int apply_variable(const struct option_table *table,
			  const struct option_row *row, const char *text)
{
	size_t len;
	char *value;
	bool on;
	int err = 0;

	text += strspn(text, BLANKS);
	len = strlen(text);
	while (len > 0 && strchr(BLANKS, text[len - 1]))
		len--;
	if (len == 0)
		return 0;
	value = strndup(text, len);
	if (!value) {
		log_fatal("%s: no memory", row->variable);
		return -ENOMEM;
	}
	if (row->takes == OPTION_VALUE || option_bool(value, &on))
		err = apply(table, row, row->variable, value);
	else if (on)
		err = apply(table, row, row->variable, "");
	free(value);
	return err;
}

static int read_environment(const struct option_table *tables, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		const struct option_row *row = tables[i].rows;

		for (; row->name && !err; row++) {
			const char *text = getenv(row->variable);

			if (text)
				err = apply_variable(&tables[i], row, text);
		}
	}
	return err;
}

/* The row of --name[=...], and its table; NULL: there is none. */
static const struct option_row *find(const struct option_table *tables,
				     size_t n, const char *name,
				     const struct option_table **table)
{
	size_t len = strcspn(name, "=");

	for (size_t i = 0; i < n; i++) {
		const struct option_row *row = tables[i].rows;

		for (; row->name; row++) {
			if (strlen(row->name) == len &&
			    strncmp(row->name, name, len) == 0) {
				*table = &tables[i];
				return row;
			}
		}
	}
	return NULL;
}

/* One option, *at in argv; *at is its last word then. */
static int read_option(const struct option_table *tables, size_t n, int argc,
		       char **argv, int *at)
{
	const struct option_table *table;
	const struct option_row *row;
	const char *word = argv[*at], *value;
	char where[64];

	if (strncmp(word, "--", 2) != 0) {
		log_fatal("%s: unexpected argument; see --help", word);
		return -EINVAL;
	}
	row = find(tables, n, word + 2, &table);
	if (!row) {
		log_fatal("%s: unknown option; see --help", word);
		return -EINVAL;
	}
	value = strchr(word, '=');
	if (value) {
		value++;
	} else if (row->takes == OPTION_VALUE && *at + 1 == argc) {
		log_fatal("%s: expected a value; see --help", word);
		return -EINVAL;
	} else if (row->takes == OPTION_VALUE ||
		   (row->takes == OPTION_OPTIONAL && *at + 1 < argc &&
		    argv[*at + 1][0] != '-')) {
		value = argv[++*at];
	} else {
		value = "";
	}
	snprintf(where, sizeof(where), "--%s", row->name);
	return apply(table, row, where, value);
}

int options_read(const struct option_table *tables, size_t n, int argc,
		 char **argv)
{
	int err = read_environment(tables, n);

	for (int i = 1; i < argc && !err; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			options_help(tables, n);
			return 1;
		}
		if (strcmp(argv[i], "--version") == 0) {
			puts("opensandbox-discovery " OPENSANDBOX_VERSION);
			return 1;
		}
		err = read_option(tables, n, argc, argv, &i);
	}
	return err;
}
