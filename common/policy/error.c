/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int policy_error_set(struct policy_error *err, int index, const char *format,
		     ...)
{
	va_list args;

	if (!err)
		return -EINVAL;
	err->index = index;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	for (char *c = err->message; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return -EINVAL;
}

const char *policy_json_shown(const json_t *json)
{
	static const char *const types[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",  [JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number",    [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",      [JSON_NULL] = "null",
	};

	if (!json)
		return "nothing";
	if (!json_is_string(json))
		return types[json_typeof(json)];
	return json_string_length(json) ? json_string_value(json)
					: "an empty string";
}
