/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: tables of them, read from the environment and the command line.
 * --help is made of the tables.
 */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum {
	OPTION_WHY_MAX = 200,
};

/* Where a value goes: into the row's field, or where the reader likes. */
struct option_to {
	void *settings; /* of the table */
	void *field;    /* in the settings */
	size_t size;    /* of the field, bytes */
};

/* Reads value. 0, or -EINVAL with what was expected in why, OPTION_WHY_MAX
 * bytes. */
typedef int option_reader(const struct option_to *to, const char *value,
			  char *why);

/* An option; a table of them ends with a NULL name. */
struct option_row {
	const char *name;      /* without the dashes */
	const char *variable;  /* NULL: command line alone */
	const char *argument;  /* NULL: a switch; "TOKEN": a secret */
	const char *otherwise; /* the default, read at the start; NULL: none */
	const char *help;
	option_reader *read; /* "": the option stood alone */
	size_t offset, size; /* OPTION_INTO() */
	/* The argument may be left out, and the default is what it is then;
	 * nothing is read at the start. A variable that is true leaves it
	 * out, one that is false is not read. */
	bool optional;
};

/* A reader and the field that it fills but for the last spare bytes. */
#define OPTION_INTO(reader, type, member, spare)            \
	.read = (reader), .offset = offsetof(type, member), \
	.size = sizeof(((type *)0)->member) - (spare)

/* A table and what it is read into. */
struct option_table {
	const struct option_row *rows;
	void *settings;
	const char *before; /* its options in errors; NULL: nothing */
};

/* All that a program takes. */
struct options {
	const char *program;
	const struct option_table *tables;
	size_t n; /* tables */
	void (*help)(const struct options *options);
	/* The place in argv of what follows the options, into which
	 * options_arguments() sorts it; NULL: none is taken. */
	int *operands;
};

/* options.c: each returns 0, or -EINVAL with the reason said by log_fatal(). */

/* What holds where nothing is said. */
int options_defaults(const struct options *options);
/* A variable that is empty is one that is not set. */
int options_environment(const struct options *options);
/* 1: --help or --version, which it has answered. */
int options_arguments(const struct options *options, int argc, char **argv);
/* --help of each row, on standard output. */
void options_help(const struct options *options);
/* The i-th variable of the environment that begins with prefix and is no row's,
 * and its name's length; NULL: there are no more. */
const char *options_unknown(const struct options *options, const char *prefix,
			    size_t i, size_t *len);

/* values.c: what readers are made of. */

/* Put what into why; -EINVAL. */
int option_expected(char *why, const char *what);
/* Decimal digits, at most max. 0 or -EINVAL. */
int option_number(const char *value, unsigned long max, unsigned long *out);
/* A comma-separated list, blanks trimmed, in place of the *n items that were
 * there; add puts one more. */
int option_list(const struct option_to *to, size_t *n, const char *value,
		char *why, option_reader *add);

/* Readers for OPTION_INTO(). */

option_reader option_text; /* into an array */
/* Into a pointer to the heap, whose text it replaces; "": NULL. */
option_reader option_heap_text;
option_reader option_url;  /* http:// or https://, or "", into an array */
option_reader option_path; /* an absolute one, into an array */
/* 1, true, yes, y, on, and their opposites, into a bool; "" is false. */
option_reader option_bool;
option_reader option_switch; /* the same, but "" is true */
option_reader option_log_level;

#endif
