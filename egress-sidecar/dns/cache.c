/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS_FIRST = 16
};

struct entry {
	struct entry *next;          /* in its bucket */
	struct entry *newer, *older; /* by use */
	struct answer *answer;
	uint64_t hash;
	uint64_t stored_ms;
	uint64_t ends_ms;
	uint32_t hits;
	uint16_t type;
	bool dnssec_ok;
	bool checking_disabled;
	bool refreshing;
	uint8_t name_len;
	uint8_t name[];
};

struct cache {
	struct entry **bucket;
	size_t n_buckets; /* a power of two, or 0 */
	struct entry *newest, *oldest;
	size_t n;
	size_t bytes;
	size_t bytes_max;
};

static size_t entry_bytes(const struct entry *e)
{
	return sizeof(*e) + e->name_len + answer_size(e->answer) +
	       2 * sizeof(void *);
}

struct cache_key cache_key(const struct domain_name *name, uint64_t name_hash,
			   uint16_t type, bool dnssec_ok,
			   bool checking_disabled)
{
	return (struct cache_key){
		.name = name,
		.hash = name_hash ^
			(uint64_t)type * UINT64_C(0x9e3779b97f4a7c15),
		.type = type,
		.dnssec_ok = dnssec_ok,
		.checking_disabled = checking_disabled,
	};
}

bool cache_key_equal(const struct cache_key *a, const struct cache_key *b)
{
	return a->hash == b->hash && a->type == b->type &&
	       a->dnssec_ok == b->dnssec_ok &&
	       a->checking_disabled == b->checking_disabled &&
	       domain_name_equal(a->name, b->name);
}

static bool key_is(const struct entry *e, const struct cache_key *key)
{
	return e->hash == key->hash && e->type == key->type &&
	       e->dnssec_ok == key->dnssec_ok &&
	       e->checking_disabled == key->checking_disabled &&
	       e->name_len == key->name->len &&
	       memcmp(e->name, key->name->wire, e->name_len) == 0;
}

static void unlink_use(struct cache *c, struct entry *e)
{
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static struct entry **place_of(struct cache *c, uint64_t hash)
{
	return &c->bucket[hash & (c->n_buckets - 1)];
}

static void drop(struct cache *c, struct entry *e)
{
	struct entry **at = place_of(c, e->hash);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_use(c, e);
	c->n--;
	c->bytes -= entry_bytes(e);
	free(e->answer);
	free(e);
}

static struct entry *find(struct cache *c, const struct cache_key *key)
{
	struct entry *e = c->n_buckets ? *place_of(c, key->hash) : NULL;

	while (e && !key_is(e, key))
		e = e->next;
	return e;
}

/* Room for one more; without it the chains only grow longer. */
static int grow(struct cache *c)
{
	size_t n = c->n_buckets ? c->n_buckets * 2 : BUCKETS_FIRST;
	struct entry **bucket;

	if (c->n < c->n_buckets)
		return 0;
	bucket = calloc(n, sizeof(struct entry *));
	if (!bucket)
		return c->n_buckets ? 0 : -ENOMEM;
	free(c->bucket);
	c->bucket = bucket;
	c->n_buckets = n;
	for (struct entry *e = c->oldest; e; e = e->newer) {
		struct entry **at = place_of(c, e->hash);

		e->next = *at;
		*at = e;
	}
	return 0;
}

int cache_new(struct cache **out, size_t bytes)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->bytes_max = bytes ? bytes : CACHE_BYTES_DEFAULT;
	*out = c;
	return 0;
}

void cache_free(struct cache *cache)
{
	while (cache->oldest)
		drop(cache, cache->oldest);
	free(cache->bucket);
	free(cache);
}

const struct answer *cache_get(struct cache *cache, const struct cache_key *key,
			       uint64_t now_ms, uint32_t *age_s, bool *refresh)
{
	struct entry *e = find(cache, key);
	uint64_t life;

	*refresh = false;
	if (!e)
		return NULL;
	if (now_ms >= e->ends_ms) {
		drop(cache, e);
		return NULL;
	}
	if (e != cache->newest) {
		unlink_use(cache, e);
		link_newest(cache, e);
	}
	*age_s = (uint32_t)((now_ms - e->stored_ms) / 1000);
	life = e->ends_ms - e->stored_ms;
	if (++e->hits >= CACHE_HOT_HITS && !e->refreshing &&
	    life >= CACHE_HOT_TTL_MIN * UINT64_C(1000) &&
	    (e->ends_ms - now_ms) * 10 < life)
		*refresh = e->refreshing = true;
	return e->answer;
}

void cache_put(struct cache *cache, const struct cache_key *key,
	       struct answer *answer, uint64_t now_ms)
{
	struct entry *e = find(cache, key);
	struct entry **at;

	if (e)
		drop(cache, e);
	if (!answer->ttl || grow(cache) != 0)
		goto refused;
	e = calloc(1, sizeof(*e) + key->name->len);
	if (!e)
		goto refused;
	e->answer = answer;
	e->hash = key->hash;
	e->stored_ms = now_ms;
	e->ends_ms = now_ms + answer->ttl * UINT64_C(1000);
	e->type = key->type;
	e->dnssec_ok = key->dnssec_ok;
	e->checking_disabled = key->checking_disabled;
	e->name_len = key->name->len;
	memcpy(e->name, key->name->wire, e->name_len);
	if (entry_bytes(e) > cache->bytes_max) {
		free(e);
		goto refused;
	}
	while (cache->bytes + entry_bytes(e) > cache->bytes_max)
		drop(cache, cache->oldest);
	at = place_of(cache, key->hash);
	e->next = *at;
	*at = e;
	link_newest(cache, e);
	cache->n++;
	cache->bytes += entry_bytes(e);
	return;
refused:
	free(answer);
}

void cache_refresh_failed(struct cache *cache, const struct cache_key *key)
{
	struct entry *e = find(cache, key);

	if (e)
		e->refreshing = false;
}

void cache_forget(struct cache *cache,
		  bool (*gone)(void *arg, const struct domain_name *name),
		  void *arg)
{
	struct entry *e = cache->oldest;

	while (e) {
		struct entry *newer = e->newer;
		struct domain_name name;

		name.len = e->name_len;
		memcpy(name.wire, e->name, e->name_len);
		if (gone(arg, &name))
			drop(cache, e);
		e = newer;
	}
}

size_t cache_count(const struct cache *cache)
{
	return cache->n;
}

size_t cache_bytes(const struct cache *cache)
{
	return cache->bytes;
}
