/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What options' values are made of. A reader returns 0, or -EINVAL with what
 * was expected in why, OPTION_WHY_MAX bytes, where it has one.
 */
#ifndef EGRESS_OPTION_VALUES_H
#define EGRESS_OPTION_VALUES_H

#include "settings.h"

/* Put what into why; -EINVAL. */
int option_expected(char *why, const char *what);

/* A copy into a field of size bytes. */
int option_text(char *field, size_t size, const char *value, char *why);

/* Decimal digits, at most max. */
int option_number(const char *value, unsigned long max, unsigned long *out);

/* 1, true, yes, y, on, and their opposites; "" is false. */
int option_bool(const char *value, bool *out);

/* A comma-separated list, blanks trimmed, in place of the *n items that were
 * there; add puts one more. */
int option_list(struct settings *s, size_t *n, const char *value, char *why,
		int (*add)(struct settings *s, const char *item, char *why));

#endif
