/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISCOVERY_OPTIONS_INNER_H
#define DISCOVERY_OPTIONS_INNER_H

#include "options.h"

/* options/values.c */

/* 1, true, yes, y, on, "", and their opposites. 0 or -EINVAL. */
int option_bool(const char *value, bool *out);

/* options/help.c */

void options_help(const struct option_table *tables, size_t n);

#endif
