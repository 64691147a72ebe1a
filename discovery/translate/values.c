/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLANKS " \t\r\n"

enum {
	TOKEN_MAX = 255,      /* bytes, as the gateway takes them */
	POLICY_MAX = 1 << 20, /* bytes, as the agent takes them */
	RANGES_MAX = 256,
};

int translate_id(struct translation *t, const char *what, const char *text)
{
	size_t len = strlen(text), at = 0;
	char id[FEED_ID_MAX + 1];

	if (len == 0 || len > FEED_ID_MAX)
		return translation_refuse(
			t, "%s: expected an id of 1 to %d characters", what,
			FEED_ID_MAX);
	for (size_t i = 0; i <= len; i++) {
		id[i] = text[i];
		if (id[i] >= 'A' && id[i] <= 'Z')
			id[i] = (char)(id[i] - 'A' + 'a');
	}
	if (id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789.-")] ||
	    strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return translation_refuse(
			t,
			"%s: expected an id of letters, digits, \".\", \"-\"",
			what);
	while (at < FEED_IDS_MAX && t->ids[at][0] && strcmp(t->ids[at], id))
		at++;
	if (at == FEED_IDS_MAX)
		return translation_refuse(t, "%s: expected at most %d ids",
					  what, FEED_IDS_MAX);
	memcpy(t->ids[at], id, len + 1);
	return 0;
}

/* A port and what follows it; 0: there is none. */
static unsigned read_port(const char **text)
{
	unsigned port = 0;

	if (**text == '0')
		return 0;
	while (isdigit((unsigned char)**text) && port <= 65535)
		port = port * 10 + (unsigned)(*(*text)++ - '0');
	return port <= 65535 ? port : 0;
}

/* The next of "8000,8080-8090", blanks around each; NULL: it is none. */
static json_t *read_range(const char **text)
{
	unsigned first, last;

	*text += strspn(*text, BLANKS);
	first = read_port(text);
	if (first == 0)
		return NULL;
	last = first;
	if (**text == '-') {
		(*text)++;
		last = read_port(text);
	}
	*text += strspn(*text, BLANKS);
	if (last < first || (**text && **text != ','))
		return NULL;
	return last == first ? json_integer(first)
			     : json_sprintf("%u-%u", first, last);
}

int translate_expose(struct translation *t, const char *what, const char *text)
{
	json_t *ranges = json_array();
	bool more = true;

	for (size_t n = 0; more; n++) {
		json_t *range = n < RANGES_MAX ? read_range(&text) : NULL;

		if (!range) {
			json_decref(ranges);
			return translation_refuse(
				t,
				"%s: expected at most %d ports or ranges "
				"like 8000,8080-8090",
				what, RANGES_MAX);
		}
		json_array_append_new(ranges, range);
		more = *text == ',';
		text += more;
	}
	return translation_set(t, "expose", ranges);
}

int translate_token(struct translation *t, const char *what, const char *text)
{
	size_t len;

	text += strspn(text, BLANKS);
	len = strlen(text);
	while (len > 0 && strchr(BLANKS, text[len - 1]))
		len--;
	if (len == 0)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || len > TOKEN_MAX)
			return translation_refuse(
				t,
				"%s: expected at most %d printable ASCII "
				"characters without spaces",
				what, TOKEN_MAX);
	return translation_set(t, "accessToken", json_stringn(text, len));
}

int translate_expires(struct translation *t, const char *what, const char *text)
{
	if (!time_is_valid(text))
		return translation_refuse(
			t, "%s: expected a time like 2030-01-31T12:00:00Z",
			what);
	return translation_set(t, "expiresAt", json_string(text));
}

int translate_policy(struct translation *t, const char *what, const char *text)
{
	size_t len = strlen(text);
	json_error_t error;
	json_t *policy;

	if (len > POLICY_MAX)
		return translation_refuse(t, "%s: expected at most 1 MiB",
					  what);
	policy = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(policy)) {
		json_decref(policy);
		return translation_refuse(
			t, "%s: expected a policy, a JSON object (%s)", what,
			policy ? "this is another value" : error.text);
	}
	json_decref(t->policy);
	t->policy = policy;
	return 0;
}
