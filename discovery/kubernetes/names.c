/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "sandbox"

enum {
	SUFFIX = 8,          /* hexadecimal digits */
	FORM_MAX = 2 * 1024, /* bytes of an id that are looked at */
};

static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_kept(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9');
}

/* The first digits of an id's SHA-256. */
static void suffix_of(const char *id, char suffix[SUFFIX + 1])
{
	unsigned char hash[32];

	gnutls_hash_fast(GNUTLS_DIG_SHA256, id, strlen(id), hash);
	for (size_t i = 0; i < SUFFIX / 2; i++)
		snprintf(suffix + 2 * i, 3, "%02x", hash[i]);
}

/* Lower case; what is neither letter nor digit is one hyphen, none at the
 * ends. */
static size_t normalize(const char *id, char form[FORM_MAX + 1])
{
	size_t n = 0;

	for (; *id && n < FORM_MAX; id++) {
		char c = *id;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (is_kept(c))
			form[n++] = c;
		else if (n > 0 && form[n - 1] != '-')
			form[n++] = '-';
	}
	while (n > 0 && form[n - 1] == '-')
		n--;
	form[n] = '\0';
	return n;
}

void name_from_id(const char *id, char name[NAME_LABEL_MAX + 1])
{
	char form[FORM_MAX + 1], base[sizeof(PREFIX) + FORM_MAX + 1],
		suffix[SUFFIX + 1];
	size_t len = normalize(id, form);

	suffix_of(id, suffix);
	snprintf(base, sizeof(base), "%s%s",
		 len && is_letter(form[0]) ? "" : PREFIX "-",
		 len ? form : suffix);
	len = strlen(base);
	if (len <= NAME_LABEL_MAX) {
		memcpy(name, base, len + 1);
		return;
	}
	len = NAME_LABEL_MAX - SUFFIX - 1;
	while (len > 0 && base[len - 1] == '-')
		len--;
	snprintf(name, NAME_LABEL_MAX + 1, "%.*s-%s", (int)len, base, suffix);
}

bool name_is_of(const char *name, const char *id)
{
	char form[NAME_LABEL_MAX + 1];

	name_from_id(id, form);
	return strcmp(name, form) == 0 || strcmp(name, id) == 0 ||
	       (strncmp(name, PREFIX "-", strlen(PREFIX "-")) == 0 &&
		strcmp(name + strlen(PREFIX "-"), id) == 0);
}
