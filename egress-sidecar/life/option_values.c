/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_expected(char *why, const char *what)
{
	snprintf(why, OPTION_WHY_MAX, "%s", what);
	return -EINVAL;
}

int option_text(char *field, size_t size, const char *value, char *why)
{
	if (strlen(value) >= size)
		return option_expected(why, "shorter text");
	memcpy(field, value, strlen(value) + 1);
	return 0;
}

int option_number(const char *value, unsigned long max, unsigned long *out)
{
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoul(value, &end, 10);
	return errno || *end || *out > max ? -EINVAL : 0;
}

int option_copy(char **field, const char *value, char *why)
{
	free(*field);
	*field = value[0] ? strdup(value) : NULL;
	return value[0] && !*field ? option_expected(why, "memory") : 0;
}

int option_url(char *field, size_t size, const char *value, char *why)
{
	if (value[0] && strncmp(value, "http://", 7) != 0 &&
	    strncmp(value, "https://", 8) != 0)
		return option_expected(why, "an http:// or https:// URL");
	return option_text(field, size, value, why);
}

int option_path(char *field, size_t size, const char *value, char *why)
{
	if (value[0] != '/')
		return option_expected(why, "an absolute path");
	return option_text(field, size, value, why);
}

int option_bool(bool *out, const char *value, char *why)
{
	static const char *const yes[] = {"1", "true", "yes", "y", "on"};
	static const char *const no[] = {"0", "false", "no", "n", "off", ""};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (strcasecmp(value, yes[i]) == 0) {
			*out = true;
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		if (strcasecmp(value, no[i]) == 0) {
			*out = false;
			return 0;
		}
	}
	return option_expected(why, "true or false");
}

static char *trimmed(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	text[len] = '\0';
	return text;
}

int option_list(struct settings *s, size_t *n, const char *value, char *why,
		int (*add)(struct settings *s, const char *item, char *why))
{
	char *copy = strdup(value), *rest = copy, *item;
	int err = copy ? 0 : option_expected(why, "memory");

	*n = 0;
	while (!err && (item = strsep(&rest, ","))) {
		item = trimmed(item);
		if (item[0])
			err = add(s, item, why);
	}
	free(copy);
	return err;
}
