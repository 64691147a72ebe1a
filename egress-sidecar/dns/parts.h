/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a front is made of: parts that know nothing of it, nor of each other,
 * and read no clock. Time is an argument, in milliseconds of any clock that
 * only rises.
 */
#ifndef EGRESS_DNS_PARTS_H
#define EGRESS_DNS_PARTS_H

#include "dns.h"

/*
 * cache.c: one sandbox's answers: bounded in bytes, least recently used ones
 * leave first, none outlives its TTL. Keeps answers as values; what may be
 * given is judged anew each time they are.
 */
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

/*
 * follow.c: names that the answers of allowed names lead to. Stub resolvers
 * that follow aliases themselves, and clients of SRV records (RFC 2782), ask
 * for the target by itself; it is then judged, and leased, as the name that led
 * to it. A rule that denies the target by name still wins. Bounded.
 */
enum {
	FOLLOW_MAX = 1024,    /* targets of one sandbox; the oldest go */
	FOLLOW_SLACK_S = 30,  /* a target outlives its record's TTL ... */
	FOLLOW_MIN_S = 60,    /* ... and lives for so long at least, ... */
	FOLLOW_CAP_S = 3600,  /* at most for so long, ... */
	FOLLOW_ADDRESSES = 4, /* and as long as so many of its addresses are
				 leased */
};

struct follow;

int follow_new(struct follow **out);
void follow_free(struct follow *follow);
size_t follow_count(const struct follow *follow);

/* Is a still open because name led to it? */
typedef bool (*follow_leased)(void *arg, const struct domain_name *name,
			      const struct address *a);

/*
 * The answer to an allowed question: keep the targets of its CNAME and SRV
 * records that the policy would deny, as led to by first. Without memory they
 * are not.
 */
void follow_note(struct follow *follow, const struct policy *policy,
		 const struct domain_name *first, const struct answer *answer,
		 uint64_t now_ms);

/* The target led to an address, which was leased to the name that led there. */
void follow_led_to(struct follow *follow, const struct domain_name *target,
		   const struct address *a);

/*
 * Look a name up in the policy. One that no rule denies by name, and to which
 * an allowed name led, is given that name's match; so is the SRV question for
 * a service of an allowed host ("_service._tcp.host"). *first holds the name
 * then, and match->name points to it; match->hash is always name's. follow NULL
 * looks up and no more.
 */
void follow_look_up(struct follow *follow, const struct policy *policy,
		    const struct domain_name *name, uint16_t type,
		    uint64_t now_ms, follow_leased leased, void *arg,
		    struct name_match *match, struct domain_name *first);

/* Another policy: drop what names led to that it denies. */
void follow_sweep(struct follow *follow, const struct policy *policy);

/*
 * limit.c: a brake on names as a way out: data can leave in the labels below an
 * allowed wildcard. New names there pay, the longer the more, from a bucket
 * that fills at a steady rate.
 */
enum {
	LIMIT_RATE_DEFAULT = 1000, /* short names a second */
	LIMIT_BURST_SECONDS = 4,
	LIMIT_FREE_OCTETS = 16 /* below the wildcard; each such lot costs one */
};

/* Fills at a steady rate, up to what comes in so many seconds. */
struct bucket {
	uint32_t rate, seconds;
	uint64_t milli; /* thousandths of what is left in it */
	uint64_t last_ms;
};

/* It is full. */
void bucket_start(struct bucket *bucket, uint32_t rate, uint32_t seconds,
		  uint64_t now_ms);
/* Take n out; false: there is less. */
bool bucket_take(struct bucket *bucket, uint64_t n, uint64_t now_ms);

struct limit {
	struct bucket names;
	uint64_t said_ms; /* the last log line */
	uint64_t refused; /* since then */
};

/* rate 0: the default. */
void limit_start(struct limit *limit, uint32_t rate, uint64_t now_ms);

/*
 * May name be asked for, which rule lets through (NULL: the default action)?
 * Only what is below a rule "*.…", or leads from the name of a rule and is not
 * that name, costs anything. Types other than A, AAAA and HTTPS cost four times
 * as much.
 */
bool limit_take(struct limit *limit, const struct rule *rule,
		const struct domain_name *name, uint16_t type, uint64_t now_ms);

/* How many were refused, if that is to be said now (once a second), else 0. */
uint64_t limit_report(struct limit *limit, uint64_t now_ms);

/*
 * outbox.c: replies over UDP on their way out. Replies of one length that
 * follow each other to the same client, the last of which may be shorter, are
 * handed to the kernel as the segments of one datagram (UDP_SEGMENT, udp(7)):
 * they cross the packet filter once, and reach the client's socket as if they
 * had been sent one by one.
 */
enum {
	OUTBOX_MAX = 32,               /* replies under way */
	OUTBOX_SEGMENTS_BYTES = 16384, /* of one datagram, at the most */
};

union outbox_control {
	struct cmsghdr head;
	uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct outbox {
	int fd;           /* the socket of what is in it */
	size_t n_replies; /* one iovec each */
	size_t n_messages;
	uint64_t lost; /* replies that the socket did not take, so far */
	struct iovec iov[OUTBOX_MAX];
	struct mmsghdr message[OUTBOX_MAX];
	union outbox_control control[OUTBOX_MAX];
};

void outbox_init(struct outbox *box);

/* Add a reply to peer through the socket fd; sends what is there already where
 * it does not fit. bytes and peer stay the caller's, and what they are, until
 * outbox_send(). */
void outbox_add(struct outbox *box, int fd, const struct sockaddr *peer,
		socklen_t peer_len, const uint8_t *bytes, size_t len);

/* Send them all; what the socket does not take now is lost, as UDP may be. */
void outbox_send(struct outbox *box);

#endif
