/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
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

int gate_names_add(struct gate_names *names, const struct domain_name *name)
{
	struct domain_name **at;

	for (size_t i = 0; i < names->n; i++) {
		if (domain_name_equal(names->at[i], name))
			return 0;
	}
	if (names->n == GATE_NAMES_MAX)
		return -ENOSPC;
	at = reallocarray(names->at, names->n + 1,
			  sizeof(struct domain_name *));
	if (!at)
		return -ENOMEM;
	names->at = at;
	at[names->n] = domain_name_copy(name);
	if (!at[names->n])
		return -ENOMEM;
	names->n++;
	return 0;
}

void gate_names_free(struct gate_names *names)
{
	while (names->n > 0)
		free(names->at[--names->n]);
	free(names->at);
	names->at = NULL;
}
