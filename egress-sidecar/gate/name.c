/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <string.h>

static bool in_form(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.';
}

int gate_name_read(struct domain_name *name, const uint8_t *text, size_t len)
{
	char copy[GATE_NAME_TEXT_MAX + 1];
	struct domain_name read;
	const char *why;

	if (len == 0 || len > GATE_NAME_TEXT_MAX || text[len - 1] == '.')
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!in_form(text[i]))
			return -EINVAL;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (domain_name_from_text(&read, copy, &why) < 0 ||
	    domain_name_ends_in_number(&read))
		return -EINVAL;
	memcpy(name, &read, offsetof(struct domain_name, wire) + read.len);
	return 0;
}
