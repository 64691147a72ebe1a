/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question arrives: it is refused on the spot, held for approval, or served.
 */
#include "inner.h"

/* A question that the policy lets through (or audit does). */
static size_t begin_allowed(struct front *front, const struct origin *origin,
			    const struct question *q,
			    const struct policy *policy,
			    const struct name_match *match, uint8_t *out)
{
	struct query *query = NULL;

	if (front->n_queries - front->held.used < front->settings.queries_max)
		query = query_new(front, origin, q);
	if (!query) {
		front->counts.failed++;
		return question_refuse(q, out, RCODE_SERVFAIL, EDE_OTHER,
				       "too many questions under way");
	}
	serve_query(front, query, policy, match);
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

/* Is it one too many of the policy's limit? */
static bool is_over(struct front *front, const struct origin *origin,
		    const struct question *q, const struct policy *policy)
{
	uint32_t most = (uint32_t)policy_limits(policy)->most[LIMIT_DNS];
	struct bucket *bucket = &front->asked;
	uint64_t now = uv_now(front->loop);

	if (bucket->rate != most)
		bucket_start(bucket, most, 1, now);
	if (!most || bucket_take(bucket, 1, now))
		return false;
	front->counts.limited++;
	front->owner.limited(front->owner.arg, q->whole ? &q->name : NULL,
			     &origin->peer.any);
	return !front->settings.audit;
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
	/* Stub resolvers take this for a moment's failure; REFUSED is for good
	 * to glibc, and to musl no answer at all. */
	if (is_over(front, origin, &q, policy))
		return question_refuse(&q, out, RCODE_SERVFAIL, EDE_OTHER,
				       "over limits.dnsPerSecond of the "
				       "policy");
	if (rcode > 0 && !(rcode == RCODE_REFUSED && q.class == CLASS_IN))
		return refuse_form(front, &q, (unsigned)rcode, out);
	pending_look_up(front, policy, &q.name, q.type, &match, &first);
	if (match.decision.action == POLICY_DENY) {
		if (rcode == 0 &&
		    approval_hold(front, origin, &q, policy, &match))
			return 0;
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
