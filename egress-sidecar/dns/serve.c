/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question that is let through: the policy's hosts answer it, the cache, or a
 * resolver.
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

void serve_query(struct front *front, struct query *query,
		 const struct policy *policy, const struct name_match *match)
{
	const struct question *q = &query->question;
	struct cache_key key = key_of(q, match);
	const struct host *host = host_of(policy, q);
	const struct answer *answer;
	uint32_t age_s;
	bool hot;

	if (host) {
		give_host(front, query, host, policy, match);
		return;
	}
	answer = cache_get(front->cache, &key, uv_now(front->loop), &age_s,
			   &hot);
	if (!answer) {
		pending_wait(front, query, &key, &match->decision);
		return;
	}
	admit_answer(front, query, answer, age_s, PATH_CACHED, policy, match);
	if (hot)
		pending_refresh(front, q, &key);
}
