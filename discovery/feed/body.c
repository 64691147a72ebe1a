/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGINNING "{\"id\":\""
#define AMBIGUITY ",\"state\":\"ambiguous\"}"

/* What follows the id. */
static const char *rest_of(const struct claim *claim)
{
	const struct object *owner = claim_owner(claim);

	return owner ? object_record(owner) + 1 : NULL;
}

/* Write the record to out, NULL: nowhere. Returns its length. */
static size_t write_record(char *out, const struct claim *claim)
{
	const char *rest = rest_of(claim);
	const char *piece[] = {
		BEGINNING,
		claim->id,
		"\"",
		!rest || rest[0] == '}' ? "" : ",",
		rest ? rest : AMBIGUITY,
	};
	size_t at = 0;

	for (size_t i = 0; i < sizeof(piece) / sizeof(*piece); i++) {
		size_t len = strlen(piece[i]);

		if (out)
			memcpy(out + at, piece[i], len);
		at += len;
	}
	return at;
}

char *body_of_claim(const struct claim *claim)
{
	size_t len = write_record(NULL, claim);
	char *body = malloc(len + 1);

	if (!body)
		return NULL;
	write_record(body, claim);
	body[len] = '\0';
	return body;
}

struct writer {
	char *out; /* NULL: measure */
	size_t len;
};

static bool is_told(const struct claim *claim)
{
	return claim->verdict != ABSENT && !claim->left_out;
}

/* A record, a comma and a newline: JSON text has no other newlines, so that
 * the lines of the body can be counted. */
static void write_one(const void *node, VISIT visit, void *arg)
{
	struct claim *claim = *(struct claim *const *)node;
	struct writer *w = arg;

	if ((visit != postorder && visit != leaf) || !is_told(claim))
		return;
	w->len += write_record(w->out ? w->out + w->len : NULL, claim);
	if (w->out) {
		memcpy(w->out + w->len, ",\n", 2);
		claim->fed = true;
	}
	w->len += 2;
}

char *body_of_source(const struct source *source, size_t *len)
{
	struct writer w = {.len = 1};
	char *body;

	twalk_r(source->claims, write_one, &w);
	body = malloc(w.len + 2);
	if (!body)
		return NULL;
	body[0] = '[';
	w = (struct writer){.out = body, .len = 1};
	twalk_r(source->claims, write_one, &w);
	if (w.len > 1)
		w.len -= 2; /* the last comma */
	memcpy(body + w.len, "]", 2);
	*len = w.len + 1;
	return body;
}

struct claim *body_claim(const struct source *source, size_t index)
{
	const char *line = source->body + 1, *end;
	char id[FEED_ID_MAX + 1], *now;
	struct claim *claim;
	size_t len;
	bool same;

	for (; index > 0; index--) {
		line = strchr(line, '\n');
		if (!line)
			return NULL;
		line++;
	}
	if (sscanf(line, BEGINNING "%63[a-z0-9.-]", id) != 1)
		return NULL;
	claim = claim_find(source, id);
	if (!claim || !is_told(claim))
		return NULL;
	now = body_of_claim(claim);
	if (!now)
		return NULL;
	len = strlen(now);
	end = line + len;
	same = strncmp(line, now, len) == 0 && (*end == ',' || *end == ']');
	free(now);
	return same ? claim : NULL;
}
