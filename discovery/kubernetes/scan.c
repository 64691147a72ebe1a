/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of
 *
 *   {"type": "ADDED", "object": {"metadata": {"name": "a", "uid": "1"}, ...}}
 *
 * where {type, object: {metadata: {name}}} is wanted,
 *
 *   {"type":"ADDED","object":{"metadata":{"name":"a"}}}
 *
 * is told. Whether what is told is JSON in every byte, jansson says; what is
 * skipped is followed by its brackets and quotes alone.
 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEPT_MAX = 1 << 20, /* bytes, beyond which values are false */
	NESTED_MAX = 32,
	ROOM_FIRST = 4096,
};

static int put(struct scan *s, const char *text, size_t len)
{
	size_t room = s->room ? s->room : ROOM_FIRST;
	char *out;

	/* The keys alone, again and again. */
	if (s->len + len > 2 * KEPT_MAX)
		return -EINVAL;
	while (room < s->len + len + 1)
		room *= 2;
	if (room > s->room) {
		out = realloc(s->out, room);
		if (!out)
			return -ENOMEM;
		s->out = out;
		s->room = room;
	}
	memcpy(s->out + s->len, text, len);
	s->len += len;
	return 0;
}

static struct scan_level *top(struct scan *s)
{
	return &s->levels[s->depth - 1];
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Values */

/* The name of the member whose value begins. */
static int put_key(struct scan *s)
{
	struct scan_level *level = s->depth ? top(s) : NULL;
	int err = 0;

	if (!level || level->each)
		return 0;
	if (level->any)
		err = put(s, ",", 1);
	level->any = true;
	if (!err)
		err = put(s, s->key, s->key_len);
	return err ? err : put(s, ":", 1);
}

/* Tell of what a value that ends here has left in out. */
static int tell(struct scan *s, bool element, size_t start, uint64_t began)
{
	int err = put(s, "", 1); /* its NUL */

	if (err)
		return err;
	s->len--;
	err = (element ? s->element : s->rest)(s->arg, s->out + start,
					       s->len - start, s->seen - began);
	s->len = start;
	return err;
}

/* The value that a level is, or the whole value in s, has ended. */
static int value_end(struct scan *s, bool element, size_t start, uint64_t began)
{
	if (s->depth == 0) {
		s->state = SCAN_VALUE;
		return tell(s, false, start, began);
	}
	s->state = SCAN_AFTER;
	return element ? tell(s, true, start, began) : 0;
}

static int level_open(struct scan *s, const struct scan_want *wants, bool each)
{
	bool element = s->depth && top(s)->each;
	int err;

	if (s->depth == SCAN_LEVELS)
		return -EINVAL;
	if (!each) {
		err = put_key(s);
		if (err)
			return err;
	}
	s->levels[s->depth++] = (struct scan_level){
		.wants = wants,
		.each = each,
		.element = element,
		.start = s->len,
		.began = s->seen,
	};
	s->state = each ? SCAN_VALUE : SCAN_KEY;
	return each ? 0 : put(s, "{", 1);
}

static int level_close(struct scan *s, char c)
{
	struct scan_level level = *top(s);
	int err;

	if (c != (level.each ? ']' : '}'))
		return -EINVAL;
	s->depth--;
	if (!level.each) {
		err = put(s, "}", 1);
		if (err)
			return err;
	}
	return value_end(s, level.element, level.start, level.began);
}

static int whole_end(struct scan *s)
{
	bool element = s->depth && top(s)->each;

	return value_end(s, element, s->value_start, s->value_began);
}

/* Too much of it. */
static int whole_cut(struct scan *s)
{
	s->copies = false;
	s->len = s->value_start;
	return put(s, "false", 5);
}

static int whole_byte(struct scan *s, char c)
{
	int err = 0;

	if (s->scalar && (c == ',' || c == ']' || c == '}' || is_space(c))) {
		err = whole_end(s);
		/* It belongs to what comes next. */
		return err ? err : 1;
	}
	if (s->copies)
		err = s->len >= KEPT_MAX ? whole_cut(s) : put(s, &c, 1);
	if (err)
		return err;
	if (s->string) {
		s->string = s->escaped || c != '"';
		s->escaped = !s->escaped && c == '\\';
	} else if (c == '"') {
		s->string = true;
	} else if (c == '{' || c == '[') {
		if (++s->nested == NESTED_MAX && s->copies)
			err = whole_cut(s);
	} else if (c == '}' || c == ']') {
		s->nested--;
	}
	if (err || s->scalar || s->nested > 0 || s->string)
		return err;
	return whole_end(s);
}

/* A value that is told whole, or skipped. */
static int whole_begin(struct scan *s, char c)
{
	int err;

	s->copies = s->want != NULL;
	s->value_began = s->seen;
	if (s->copies) {
		err = put_key(s);
		if (err)
			return err;
	}
	s->value_start = s->len;
	s->nested = 0;
	s->string = s->escaped = false;
	s->scalar = c != '{' && c != '[' && c != '"';
	s->state = SCAN_WHOLE;
	return whole_byte(s, c);
}

static int value_begin(struct scan *s, char c)
{
	bool outside = s->depth == 0, in_each = s->depth && top(s)->each;
	const struct scan_want element = {
		.key = "", .members = in_each ? top(s)->wants : s->wants};
	const struct scan_want *want = outside || in_each ? &element : s->want;

	if (is_space(c))
		return 0;
	if (in_each && c == ']' && !top(s)->any)
		return level_close(s, c);
	if (strchr(",:]}", c))
		return -EINVAL;
	if (in_each)
		top(s)->any = true;
	if (want && want->each && c == '[')
		return level_open(s, want->members, true);
	if (want && want->members && !want->each && c == '{')
		return level_open(s, want->members, false);
	if (outside || in_each) {
		static const struct scan_want whole = {.key = ""};

		s->want = &whole;
	}
	return whole_begin(s, c);
}

/* Members */

static const struct scan_want *want_find(const struct scan_want *wants,
					 const char *key, size_t len)
{
	for (; wants->key; wants++)
		if (strlen(wants->key) == len &&
		    memcmp(wants->key, key, len) == 0)
			return wants;
	return NULL;
}

static int key_byte(struct scan *s, char c)
{
	bool ends = c == '"' && !s->escaped;

	s->escaped = !s->escaped && c == '\\';
	if (s->key_len < SCAN_KEY_MAX)
		s->key[s->key_len] = c;
	s->key_len++;
	if (!ends)
		return 0;
	s->want = s->key_len <= SCAN_KEY_MAX
			  ? want_find(top(s)->wants, s->key + 1, s->key_len - 2)
			  : NULL;
	s->state = SCAN_COLON;
	return 0;
}

static int between_byte(struct scan *s, char c)
{
	if (is_space(c))
		return 0;
	switch (s->state) {
	case SCAN_KEY:
		if (c == '}')
			return level_close(s, c);
		if (c != '"')
			return -EINVAL;
		s->state = SCAN_IN_KEY;
		s->key[0] = c;
		s->key_len = 1;
		s->escaped = false;
		return 0;
	case SCAN_COLON:
		s->state = SCAN_VALUE;
		return c == ':' ? 0 : -EINVAL;
	default: /* SCAN_AFTER */
		if (c != ',')
			return level_close(s, c);
		s->state = top(s)->each ? SCAN_VALUE : SCAN_KEY;
		return 0;
	}
}

static int byte(struct scan *s, char c)
{
	switch (s->state) {
	case SCAN_VALUE:
		return value_begin(s, c);
	case SCAN_WHOLE:
		return whole_byte(s, c);
	case SCAN_IN_KEY:
		return key_byte(s, c);
	default:
		return between_byte(s, c);
	}
}

/* Most of an object is skipped, so without a call for each byte: up to where
 * the value may end. How much of it that was. */
static size_t skip(struct scan *s, const char *at, size_t len)
{
	bool string = s->string, escaped = s->escaped;
	unsigned nested = s->nested;
	size_t n = 0;

	for (; n < len; n++) {
		char c = at[n];

		if (string) {
			if (!escaped && c == '"') {
				if (nested == 0)
					break;
				string = false;
			}
			escaped = !escaped && c == '\\';
		} else if (c == '"') {
			string = true;
		} else if (c == '{' || c == '[') {
			nested++;
		} else if (c == '}' || c == ']') {
			if (nested == 1)
				break;
			nested--;
		}
	}
	s->string = string;
	s->escaped = escaped;
	s->nested = nested;
	s->seen += n;
	return n;
}

int scan_feed(struct scan *s, const char *piece, size_t len)
{
	for (size_t i = 0; i < len;) {
		int ret;

		if (s->state == SCAN_WHOLE && !s->copies && !s->scalar) {
			i += skip(s, piece + i, len - i);
			if (i == len)
				break;
		}
		ret = byte(s, piece[i]);
		if (ret < 0)
			return ret;
		if (ret == 0) {
			i++;
			s->seen++;
		}
	}
	return 0;
}

bool scan_is_between(const struct scan *s)
{
	return s->depth == 0 && s->state == SCAN_VALUE;
}

void scan_reset(struct scan *s)
{
	s->state = SCAN_VALUE;
	s->depth = 0;
	s->want = NULL;
	s->len = 0;
	s->seen = 0;
}

void scan_close(struct scan *s)
{
	free(s->out);
	s->out = NULL;
	s->room = 0;
	scan_reset(s);
}
