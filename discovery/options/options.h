/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: tables of them, read from the environment and the command line.
 * --help is made of the tables.
 */
#ifndef DISCOVERY_OPTIONS_H
#define DISCOVERY_OPTIONS_H

#include "log/log.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	OPTION_WHY_MAX = 200,
};

#define OPTION_ENV(name) "OPENSANDBOX_DISCOVERY_" name

enum option_takes {
	OPTION_SWITCH,   /* no value */
	OPTION_VALUE,    /* --name VALUE, --name=VALUE */
	OPTION_OPTIONAL, /* --name alone as well */
};

/* An option; a table of them ends with a NULL name. */
struct option_row {
	const char *name;     /* without the dashes */
	const char *variable; /* OPTION_ENV("...") */
	enum option_takes takes;
	const char *argument;  /* as --help shows it; NULL: a switch */
	const char *otherwise; /* the default, as --help shows it; NULL: none */
	const char *help;
	/*
	 * Read value into the settings of the table; "" where an option was
	 * given without one. Of a variable, "true" and the like are read as "",
	 * "false" and the like not at all, unless the option must have a value.
	 * 0, or -EINVAL with what was expected in why, OPTION_WHY_MAX bytes.
	 */
	int (*read)(void *settings, const char *value, char *why);
};

/* A table and what it is read into. */
struct option_table {
	const struct option_row *rows;
	void *settings;
};

/* What is not a provider's. Texts are "" where nothing was said. */
struct settings {
	char gateway[512];
	char token_file[4096];
	char agent[108]; /* path of a socket */
	char node_name[256];
	bool allow_loopback;
	bool once;
	char http_addr[64]; /* "[ADDRESS]:PORT" */
	enum log_level log_level;
};

/* options/table.c: into a struct settings */
extern const struct option_row option_table[];

/* options/options.c */

/*
 * Read the n tables from the environment, then from the command line, which
 * wins. 0; 1 after --help or --version, which it has answered; or -EINVAL with
 * the reason said by log_fatal().
 */
int options_read(const struct option_table *tables, size_t n, int argc,
		 char **argv);

/* options/values.c: for readers */

/* Put what into why; -EINVAL. */
int option_expected(char *why, const char *what);
/* A copy into a field of size bytes. */
int option_text(char *field, size_t size, const char *value, char *why);
/* true or false; "" is true. */
int option_switch(bool *field, const char *value, char *why);

#endif
