/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
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

int option_bool(const char *value, bool *out)
{
	static const char *const yes[] = {"1", "true", "yes", "y", "on", ""};
	static const char *const no[] = {"0", "false", "no", "n", "off"};

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
	return -EINVAL;
}

int option_switch(bool *field, const char *value, char *why)
{
	return option_bool(value, field) ? option_expected(why, "true or false")
					 : 0;
}
