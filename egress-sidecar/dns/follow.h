/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that the answers of allowed names lead to. Stub resolvers that follow
 * aliases themselves, and clients of SRV records (RFC 2782), ask for the
 * target by itself; it is then judged, and leased, as the name that led to it.
 * A rule that denies the target by name still wins. Bounded; time is an
 * argument, in milliseconds of any clock that only rises.
 */
#ifndef EGRESS_DNS_FOLLOW_H
#define EGRESS_DNS_FOLLOW_H

#include "answer.h"
#include "policy/policy.h"

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

#endif
