/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not a provider's: whom to feed, and how.
 */
#ifndef DISCOVERY_SETTINGS_H
#define DISCOVERY_SETTINGS_H

#include "log/log.h"
#include "options/options.h"

#include <stdbool.h>

#define OPTION_ENV(name) "OPENSANDBOX_DISCOVERY_" name

enum {
	UNIX_PATH_MAX = 108, /* bytes of sun_path */
};

/* Texts are "" where nothing was said. */
struct settings {
	char gateway[512];
	char token_file[4096];
	char agent[UNIX_PATH_MAX]; /* path of a socket */
	char node_name[256];
	bool allow_loopback;
	bool once;
	char http_addr[64]; /* "[ADDRESS]:PORT" */
	enum log_level log_level;
};

/* Into a struct settings. */
extern const struct option_row option_table[];

#endif
