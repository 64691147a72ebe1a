/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question arrives: it is refused on the spot, answered from the cache, or
 * waits for a resolver.
 */
#include "inner.h"

#include <stdlib.h>

static struct cache_key key_of(const struct question *q,
			       const struct name_match *match)
{
	return cache_key(&q->name, match->hash, q->type, q->dnssec_ok,
			 question_unchecked(q));
}

/* Does the policy answer the question by itself? Records that hold address
 * hints would contradict it. */
static const struct host *host_of(const struct policy *policy,
				  const struct question *q)
{
	switch (q->type) {
	case TYPE_A:
	case TYPE_AAAA:
	case TYPE_SVCB:
	case TYPE_HTTPS:
		return policy_host(policy, &q->name);
	default:
		return NULL;
	}
}

/* What a resolver would say of a name that the policy's hosts give. */
static void give_host(struct front *front, struct query *query,
		      const struct host *host, const struct policy *policy,
		      const struct name_match *match)
{
	const struct question *q = &query->question;
	uint8_t message[DNS_HEADER + DOMAIN_NAME_MAX + 4 +
			POLICY_HOST_ADDRESSES_MAX * HOST_RECORD_MAX];
	size_t len = host_answer(host, q, message);
	struct answer *answer;

	if (answer_read(&answer, &q->name, q->type, 0, message, len)) {
		reply_fail(front, query, EDE_OTHER, "out of memory");
		reply_queue(front, query);
		return;
	}
	admit_answer(front, query, answer, 0, PATH_CACHED, policy, match);
	free(answer);
}

/* A question that the policy lets through (or audit does). */
static size_t begin_allowed(struct front *front, const struct origin *origin,
			    const struct question *q,
			    const struct policy *policy,
			    const struct name_match *match, uint8_t *out)
{
	struct cache_key key = key_of(q, match);
	const struct answer *answer;
	const struct host *host;
	struct query *query = NULL;
	uint32_t age_s;
	bool hot;

	if (front->n_queries < front->settings.queries_max)
		query = query_new(front, origin, q);
	if (!query) {
		front->counts.failed++;
		return question_refuse(q, out, RCODE_SERVFAIL, EDE_OTHER,
				       "too many questions under way");
	}
	host = host_of(policy, q);
	if (host) {
		give_host(front, query, host, policy, match);
		return 0;
	}
	answer = cache_get(front->cache, &key, uv_now(front->loop), &age_s,
			   &hot);
	if (!answer) {
		pending_wait(front, query, &key, &match->decision);
		return 0;
	}
	admit_answer(front, query, answer, age_s, PATH_CACHED, policy, match);
	if (hot)
		pending_refresh(front, q, &key);
	return 0;
}

/* A message out of form, or one that asks for what we do not do. */
static size_t refuse_form(struct front *front, const struct question *q,
			  unsigned rcode, uint8_t *out)
{
	front->counts.malformed++;
	return question_refuse(
		q, out, rcode,
		rcode == RCODE_REFUSED ? EDE_NOT_SUPPORTED : EDE_NONE, NULL);
}

size_t judge_question(struct front *front, const struct origin *origin,
		      const uint8_t *message, size_t len, uint8_t *out)
{
	struct front_owner *owner = &front->owner;
	const struct policy *policy = owner->policy(owner->arg);
	struct domain_name first;
	struct question q;
	struct name_match match;
	struct reply_text text;
	int rcode = question_read(&q, message, len);

	front->counts.queries++;
	if (rcode < 0) {
		front->counts.malformed++;
		front->counts.dropped++;
		return 0;
	}
	if (rcode == 0 && resolvers_saw(front->resolvers, &q.name))
		return question_refuse(&q, out, RCODE_REFUSED, EDE_NONE, NULL);
	if (rcode > 0 && !(rcode == RCODE_REFUSED && q.class == CLASS_IN))
		return refuse_form(front, &q, (unsigned)rcode, out);
	pending_look_up(front, policy, &q.name, q.type, &match, &first);
	if (match.decision.action == POLICY_DENY) {
		owner->denied(owner->arg, &q.name, q.type, &match.decision,
			      &origin->peer.any);
		front->counts.denied++;
		if (!front->settings.audit)
			return question_refuse(
				&q, out, reply_denial_rcode(policy, &match),
				EDE_BLOCKED,
				reply_denial_text(&text, &q, &match.decision));
	}
	if (rcode > 0)
		return refuse_form(front, &q, (unsigned)rcode, out);
	return begin_allowed(front, origin, &q, policy, &match, out);
}
