/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	MS = 1000,
	SIZE_MIN = 64,
	/* An end that differs by less is the same: leases are counted in whole
	 * seconds, from the event loop's iteration that admitted them. */
	SAME_END_MS = 5 * MS,
	/* The kernel's clock may go slower than ours: by 500 ppm (adjtimex(2))
	 * of a lease of a day, and more. */
	SURELY_GONE_MS = 180 * MS,
	/* Elements of a message that adds and of the next that deletes: one
	 * that ends between the two fails the batch. */
	REPLACE_STEP = 64,
	SMALL = 64 /* elements that are not worth a new set */
};

struct held_element {
	uint8_t key[SET_KEY_MAX];
	uint64_t end_ms; /* UINT64_MAX: none */
	uint32_t comment;
	enum {
		FREE = 0,
		HERE,
		GONE
	} state;
};

uint64_t held_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * MS + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t end_of(const struct set_element *e, uint64_t now_ms)
{
	return e->timeout_s ? now_ms + (uint64_t)e->timeout_s * MS : UINT64_MAX;
}

/* FNV-1a. Two names with one hash: a later process judges by the older name. */
static uint32_t comment_of(const struct set_element *e, const char *text)
{
	uint32_t h = 2166136261U;

	if (!text || !e->comment)
		return 0;
	for (text += e->comment - 1; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619U;
	return h;
}

/* The key's slot, or the free one where it would be; at is not empty. */
static struct held_element *slot(const struct held *h, const uint8_t *key)
{
	uint64_t part[SET_KEY_MAX / sizeof(uint64_t)], x = h->key;
	size_t i;

	memcpy(part, key, sizeof(part));
	for (i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		x = (x ^ part[i]) * 0x9e3779b97f4a7c15ULL;
		x ^= x >> 32 ^ h->key;
	}
	x *= 0xbf58476d1ce4e5b9ULL;
	for (i = (size_t)(x >> 32) & (h->size - 1); h->at[i].state != FREE;
	     i = (i + 1) & (h->size - 1)) {
		if (memcmp(h->at[i].key, key, SET_KEY_MAX) == 0)
			break;
	}
	return &h->at[i];
}

static struct held_element *find(const struct held *h, const uint8_t *key)
{
	struct held_element *at = h->size ? slot(h, key) : NULL;

	return at && at->state == HERE ? at : NULL;
}

static bool is_here(const struct held_element *e, uint64_t now_ms)
{
	return e->state == HERE &&
	       (e->end_ms == UINT64_MAX || e->end_ms + SURELY_GONE_MS > now_ms);
}

static void put(struct held *h, const struct held_element *e)
{
	struct held_element *at = slot(h, e->key);

	h->used += at->state == FREE;
	h->live += at->state != HERE;
	*at = *e;
	at->state = HERE;
}

int held_reserve(struct held *h, size_t more, uint64_t now_ms)
{
	struct held wider = {.size = SIZE_MIN, .key = h->key};
	size_t n = more;

	if (h->used + more <= h->size / 8 * 7)
		return 0;
	for (size_t i = 0; i < h->size; i++)
		n += is_here(&h->at[i], now_ms);
	/* Half is left free, so that it does not come to this each time. */
	while (wider.size / 4 * 3 < n)
		wider.size *= 2;
	wider.at = calloc(wider.size, sizeof(*wider.at));
	if (!wider.at)
		return -ENOMEM;
	for (size_t i = 0; i < h->size; i++)
		if (is_here(&h->at[i], now_ms))
			put(&wider, &h->at[i]);
	free(h->at);
	*h = wider;
	return 0;
}

void held_put(struct held *h, const struct set_element *e, const char *text,
	      uint64_t now_ms)
{
	struct held_element one = {
		.end_ms = end_of(e, now_ms),
		.comment = comment_of(e, text),
	};

	memcpy(one.key, e->key, sizeof(one.key));
	put(h, &one);
}

bool held_outlasts(const struct held *h, const struct set_element *e,
		   uint64_t now_ms)
{
	const struct held_element *at = find(h, e->key);

	return at && at->end_ms >= end_of(e, now_ms);
}

void held_drop(struct held *h, const struct set_element *e)
{
	struct held_element *at = find(h, e->key);

	if (!at)
		return;
	at->state = GONE;
	h->live--;
}

void held_free(struct held *h)
{
	free(h->at);
	*h = (struct held){.key = h->key};
}

/* What of to is there with this end and comment? */
static const struct held_element *same(const struct held_element *at,
				       const struct set_element *e,
				       const char *text, uint64_t now_ms)
{
	uint64_t end = end_of(e, now_ms);

	if (!at || at->comment != comment_of(e, text))
		return NULL;
	if (end == UINT64_MAX || at->end_ms == UINT64_MAX)
		return at->end_ms == end ? at : NULL;
	if (at->end_ms < now_ms + MS || at->end_ms + SAME_END_MS < end ||
	    end + SAME_END_MS < at->end_ms)
		return NULL;
	return at;
}

static int append(struct elements *list, const struct set_element *e)
{
	struct set_element *to = elements_add(list);

	if (!to)
		return -ENOMEM;
	*to = *e;
	return 0;
}

/* Is a change in parts, of so many steps, more work than all of it? */
static bool is_anew(const struct held *from, const struct elements *to,
		    uint64_t now_ms)
{
	size_t found = 0, again = 0;

	for (size_t i = 0; i < to->n; i++) {
		const struct held_element *at = find(from, to->e[i].key);

		found += at != NULL;
		again += at && !same(at, &to->e[i], to->text, now_ms);
	}
	if (to->n == 0)
		return from->live > 0;
	return 3 * again + 2 * (from->live - found) + (to->n - found) >
	       to->n + SMALL;
}

/* The parts of a change, next being filled. */
static int differ(const struct held *from, const struct held *next,
		  uint64_t now_ms, struct set_change *change)
{
	const struct elements *to = change->to;
	int ret = 0;

	for (size_t i = 0; i < to->n && ret == 0; i++) {
		const struct held_element *at = find(from, to->e[i].key);

		if (!at)
			ret = append(&change->added, &to->e[i]);
		else if (!same(at, &to->e[i], to->text, now_ms))
			ret = append(&change->taken, &to->e[i]);
	}
	change->n_again = change->taken.n;
	for (size_t i = 0; i < from->size && ret == 0; i++) {
		const struct held_element *at = &from->at[i];
		struct set_element e = {.timeout_s = 0};

		if (!is_here(at, now_ms) || find(next, at->key))
			continue;
		memcpy(e.key, at->key, sizeof(e.key));
		ret = append(&change->taken, &e);
	}
	return ret;
}

int held_change(const struct held *from, const struct elements *to, bool anew,
		uint64_t now_ms, struct set_change *change, struct held *next)
{
	int ret = 0;

	*change = (struct set_change){.to = to};
	*next = (struct held){.key = from->key};
	change->anew = anew || is_anew(from, to, now_ms);
	if (to->n)
		ret = held_reserve(next, to->n, now_ms);
	for (size_t i = 0; i < to->n && ret == 0; i++) {
		const struct set_element *e = &to->e[i];
		const struct held_element *at = NULL;

		if (!change->anew)
			at = same(find(from, e->key), e, to->text, now_ms);
		if (at)
			put(next, at);
		else
			held_put(next, e, to->text, now_ms);
	}
	if (ret == 0 && !change->anew)
		ret = differ(from, next, now_ms, change);
	if (ret < 0) {
		set_change_free(change);
		held_free(next);
	}
	return ret;
}

void set_change_free(struct set_change *change)
{
	elements_free(&change->added);
	elements_free(&change->taken);
}

void elements_replace(struct batch *b, const char *set, enum set_key key,
		      const struct elements *list, size_t n_again,
		      const char *text)
{
	for (size_t i = 0; i < list->n; i += REPLACE_STEP) {
		size_t left = list->n - i;
		size_t n = left < REPLACE_STEP ? left : REPLACE_STEP;

		batch_add_elements(b, set, key, list->e + i, n, text);
		batch_delete_elements(b, set, key, list->e + i, n);
	}
	batch_add_elements(b, set, key, list->e, n_again, text);
}

void set_change_write(struct batch *b, const char *set, enum set_key key,
		      const struct set_change *change)
{
	const struct elements *to = change->to;

	if (change->anew) {
		batch_add_elements(b, set, key, to->e, to->n, to->text);
		return;
	}
	elements_replace(b, set, key, &change->taken, change->n_again,
			 to->text);
	batch_add_elements(b, set, key, change->added.e, change->added.n,
			   to->text);
}
