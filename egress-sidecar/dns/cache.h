/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sandbox's answers: bounded in bytes, least recently used ones leave
 * first, none outlives its TTL. Keeps answers as values; what may be given is
 * judged anew each time they are. Pure: time is an argument, in milliseconds
 * of any clock that only rises.
 */
#ifndef EGRESS_DNS_CACHE_H
#define EGRESS_DNS_CACHE_H

#include "answer.h"

enum {
	CACHE_BYTES_DEFAULT = 1 << 20,
	CACHE_HOT_HITS = 2,    /* so often asked: worth refreshing */
	CACHE_HOT_TTL_MIN = 10 /* seconds; shorter ones are not refreshed */
};

struct cache;

/* What an answer depends on; made by cache_key(). */
struct cache_key {
	const struct domain_name *name;
	uint64_t hash;
	uint16_t type;
	bool dnssec_ok;
	bool checking_disabled;
};

/* name is borrowed; name_hash is domain_name_hash() of it. */
struct cache_key cache_key(const struct domain_name *name, uint64_t name_hash,
			   uint16_t type, bool dnssec_ok,
			   bool checking_disabled);
bool cache_key_equal(const struct cache_key *a, const struct cache_key *b);

/* bytes 0: the default. Allocates little until there are entries. */
int cache_new(struct cache **out, size_t bytes);
void cache_free(struct cache *cache);

/*
 * The answer under key, with its age in seconds, or NULL. It is the cache's,
 * until the next call that changes it. *refresh: it is asked for often and in
 * the last tenth of its time; said once, the caller should ask anew.
 */
const struct answer *cache_get(struct cache *cache, const struct cache_key *key,
			       uint64_t now_ms, uint32_t *age_s, bool *refresh);

/* Keep answer for its ttl, in place of an older one. Takes it over in every
 * case; one that may not be kept, or is larger than the cache, is freed. */
void cache_put(struct cache *cache, const struct cache_key *key,
	       struct answer *answer, uint64_t now_ms);

/* The refreshing that cache_get() asked for failed: it may ask again. */
void cache_refresh_failed(struct cache *cache, const struct cache_key *key);

/* Drop the answers to the names for which gone(arg, name) is true. */
void cache_forget(struct cache *cache,
		  bool (*gone)(void *arg, const struct domain_name *name),
		  void *arg);

size_t cache_count(const struct cache *cache);
size_t cache_bytes(const struct cache *cache);

#endif
