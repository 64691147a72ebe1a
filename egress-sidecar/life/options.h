/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options: each has a name on the command line, one in the
 * environment, a parser and a line of help. settings.c walks it.
 */
#ifndef EGRESS_OPTIONS_H
#define EGRESS_OPTIONS_H

#include "settings.h"

enum {
	OPTION_WHY_MAX = 200
};

struct option_entry {
	const char *name;      /* without the dashes */
	const char *variable;  /* NULL: command line alone */
	const char *argument;  /* NULL: a switch */
	const char *otherwise; /* the default, as --help shows it */
	const char *help;
	/* Reads value ("" for a switch) into settings. 0, or -EINVAL with
	 * what was expected in why, OPTION_WHY_MAX bytes. */
	int (*read)(struct settings *settings, const char *value, char *why);
};

/* Ends with an entry whose name is NULL. */
extern const struct option_entry option_table[];

#endif
