/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http.h"
#include "log/log.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_expected(char *why, const char *what)
{
	snprintf(why, OPTION_WHY_MAX, "%s", what);
	return -EINVAL;
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

int option_list(const struct option_to *to, size_t *n, const char *value,
		char *why, option_reader *add)
{
	char *copy = strdup(value), *rest = copy, *item;
	int err = copy ? 0 : option_expected(why, "memory");

	*n = 0;
	while (!err && (item = strsep(&rest, ","))) {
		item = trimmed(item);
		if (item[0])
			err = add(to, item, why);
	}
	free(copy);
	return err;
}

int option_text(const struct option_to *to, const char *value, char *why)
{
	if (strlen(value) >= to->size)
		return option_expected(why, "shorter text");
	memcpy(to->field, value, strlen(value) + 1);
	return 0;
}

int option_heap_text(const struct option_to *to, const char *value, char *why)
{
	char **field = to->field;

	free(*field);
	*field = value[0] ? strdup(value) : NULL;
	return value[0] && !*field ? option_expected(why, "memory") : 0;
}

int option_url(const struct option_to *to, const char *value, char *why)
{
	if (value[0] && !url_is_web(value))
		return option_expected(why, "an http:// or https:// URL");
	return option_text(to, value, why);
}

int option_path(const struct option_to *to, const char *value, char *why)
{
	if (value[0] != '/')
		return option_expected(why, "an absolute path");
	return option_text(to, value, why);
}

int option_bool(const struct option_to *to, const char *value, char *why)
{
	static const char *const words[][2] = {
		{"0", "1"}, {"false", "true"}, {"no", "yes"},
		{"n", "y"}, {"off", "on"},     {"", "1"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		bool yes = strcasecmp(value, words[i][1]) == 0;

		if (!yes && strcasecmp(value, words[i][0]) != 0)
			continue;
		*(bool *)to->field = yes;
		return 0;
	}
	return option_expected(why, "true or false");
}

int option_switch(const struct option_to *to, const char *value, char *why)
{
	return option_bool(to, value[0] ? value : "1", why);
}

int option_log_level(const struct option_to *to, const char *value, char *why)
{
	return log_level_from_text(to->field, value)
		       ? option_expected(why, "debug, info, warn or error")
		       : 0;
}
