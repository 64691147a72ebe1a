/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "log/log.h"
#include "version.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANKS " \t\r\n"

enum {
	OPTIONS_MAX = 128,
	OPTION_HELP = 'h',
	OPTION_VERSION = 1000,
	PLACE_FIRST = 2000, /* of the rows */
};

/* What is called TOKEN is not to be seen. */
static bool is_secret(const struct option_row *row)
{
	return row->argument && strcmp(row->argument, "TOKEN") == 0;
}

static int apply(const struct option_table *table, const struct option_row *row,
		 const char *where, const char *value)
{
	const char *before = table->before ? table->before : "";
	const struct option_to to = {
		.settings = table->settings,
		.field = (char *)table->settings + row->offset,
		.size = row->size,
	};
	char why[OPTION_WHY_MAX];

	if (row->read(&to, value, why) == 0)
		return 0;
	if (is_secret(row))
		log_fatal("%s%s: expected %s", before, where, why);
	else
		log_fatal("%s%s: \"%s\": expected %s", before, where, value,
			  why);
	return -EINVAL;
}

/* Call read for all rows until one fails. */
static int each(const struct options *options,
		int (*read)(const struct option_table *table,
			    const struct option_row *row))
{
	int err = 0;

	for (size_t i = 0; i < options->n; i++) {
		const struct option_row *row = options->tables[i].rows;

		for (; row->name && !err; row++)
			err = read(&options->tables[i], row);
	}
	return err;
}

static int read_default(const struct option_table *table,
			const struct option_row *row)
{
	if (!row->otherwise || row->optional)
		return 0;
	return apply(table, row, row->name, row->otherwise);
}

int options_defaults(const struct options *options)
{
	return each(options, read_default);
}

/* A variable's value without the blanks around it, which files of variables
 * leave there; those of a secret count. */
static char *value_of(const struct option_row *row, const char *value)
{
	size_t len;

	if (is_secret(row))
		return strdup(value);
	value += strspn(value, BLANKS);
	len = strlen(value);
	while (len > 0 && strchr(BLANKS, value[len - 1]))
		len--;
	return strndup(value, len);
}

static int read_variable(const struct option_table *table,
			 const struct option_row *row)
{
	const char *text = row->variable ? getenv(row->variable) : NULL;
	bool on;
	const struct option_to to = {.field = &on};
	char why[OPTION_WHY_MAX], *value;
	int err = 0;

	if (!text)
		return 0;
	value = value_of(row, text);
	if (!value) {
		log_fatal("%s: no memory", row->variable);
		return -ENOMEM;
	}
	if (value[0] && (!row->optional || option_bool(&to, value, why)))
		err = apply(table, row, row->variable, value);
	else if (value[0] && on)
		err = apply(table, row, row->variable, "");
	free(value);
	return err;
}

int options_environment(const struct options *options)
{
	return each(options, read_variable);
}

static bool is_variable(const struct options *options, const char *name,
			size_t len)
{
	for (size_t i = 0; i < options->n; i++) {
		const struct option_row *row = options->tables[i].rows;

		for (; row->name; row++)
			if (row->variable && strlen(row->variable) == len &&
			    strncmp(row->variable, name, len) == 0)
				return true;
	}
	return false;
}

const char *options_unknown(const struct options *options, const char *prefix,
			    size_t i, size_t *len)
{
	for (char **entry = environ; *entry; entry++) {
		*len = strcspn(*entry, "=");
		if (strncmp(*entry, prefix, strlen(prefix)) == 0 &&
		    !is_variable(options, *entry, *len) && i-- == 0)
			return *entry;
	}
	return NULL;
}

/* As getopt_long(3) wants them: each one's val is its place among all rows. */
static void long_options(const struct options *options, struct option *out)
{
	size_t n = 0;

	for (size_t i = 0; i < options->n; i++) {
		const struct option_row *row = options->tables[i].rows;

		for (; row->name; row++, n++) {
			assert(n + 3 < OPTIONS_MAX);
			out[n] = (struct option){row->name,
						 row->argument && !row->optional
							 ? required_argument
							 : optional_argument,
						 NULL, PLACE_FIRST + (int)n};
		}
	}
	out[n] = (struct option){"help", no_argument, NULL, OPTION_HELP};
	out[n + 1] =
		(struct option){"version", no_argument, NULL, OPTION_VERSION};
	out[n + 2] = (struct option){NULL, 0, NULL, 0};
}

/* Read the option at that place, whose value getopt_long() has found or not. */
static int read_argument(const struct options *options, int place, int argc,
			 char **argv)
{
	const struct option_table *table = options->tables;
	const struct option_row *row = table->rows;
	const char *value = optarg;
	char where[64];

	while (!row->name || place-- > PLACE_FIRST)
		row = row->name ? row + 1 : (++table)->rows;
	/* "-" is a value. */
	if (!value && row->optional && optind < argc &&
	    (argv[optind][0] != '-' || !argv[optind][1]))
		value = argv[optind++];
	snprintf(where, sizeof(where), "--%s", row->name);
	return apply(table, row, where, value ? value : "");
}

int options_arguments(const struct options *options, int argc, char **argv)
{
	struct option all[OPTIONS_MAX];
	int c, err = 0;

	long_options(options, all);
	opterr = 0;
	optind = 0; /* start anew, whoever has parsed options before */
	while (!err && (c = getopt_long(argc, argv, ":h", all, NULL)) > 0) {
		if (c == OPTION_HELP) {
			options->help(options);
			return 1;
		}
		if (c == OPTION_VERSION) {
			printf("%s " OPENSANDBOX_VERSION "\n",
			       options->program);
			return 1;
		}
		if (c == '?' || c == ':') {
			log_fatal("%s: %s; see --help", argv[optind - 1],
				  c == '?' ? "unknown option"
					   : "expected a value");
			return -EINVAL;
		}
		err = read_argument(options, c, argc, argv);
	}
	if (!err && options->operands)
		*options->operands = optind;
	else if (!err && optind < argc) {
		log_fatal("%s: unexpected argument; see --help", argv[optind]);
		return -EINVAL;
	}
	return err;
}

static int row_help(const struct option_table *table,
		    const struct option_row *row)
{
	const char *argument = row->argument ? row->argument : "";

	(void)table;
	if (row->optional)
		printf("  --%s [%s]\n", row->name, argument);
	else
		printf("  --%s%s%s\n", row->name, row->argument ? " " : "",
		       argument);
	if (row->variable)
		printf("      %s\n", row->variable);
	printf("      %s", row->help);
	if (row->otherwise)
		printf(" (default: %s)", row->otherwise);
	putchar('\n');
	return 0;
}

void options_help(const struct options *options)
{
	each(options, row_help);
	puts("  --help\n  --version");
}
