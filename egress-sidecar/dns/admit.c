/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer to an allowed question: which of its addresses are admitted, by the
 * policy of now, and what the client is told.
 */
#include "inner.h"

#include <assert.h>
#include <errno.h>

static size_t reply_limit(const struct query *query)
{
	return query->origin.client ? DNS_MESSAGE_MAX
				    : query->question.udp_size;
}

/* What one answer's addresses come to, by the policy of now. */
struct verdicts {
	const struct policy *policy;
	const struct name_match *match; /* of the question's name */
	bool keep[ANSWER_ADDRESSES_MAX];
	size_t n_kept;
	bool full; /* an address could not be admitted for want of room */
	struct admitted_ports ports; /* of the address judged last */
};

static bool is_admitted(enum admission verdict)
{
	return verdict == ADMIT || verdict == ADMIT_PORTS;
}

static enum admission judge(const struct front *front, const struct address *a,
			    struct verdicts *v)
{
	return policy_admit(v->policy, v->match, a, front->owner.private_ok,
			    &v->ports);
}

/* Which addresses the client would be told, without admitting any. */
static void preview(const struct front *front, const struct answer *answer,
		    struct verdicts *v)
{
	v->n_kept = 0;
	for (size_t i = 0; i < answer->n_addresses; i++) {
		struct address a;

		answer_address(answer, i, &a);
		v->keep[i] = front->settings.audit ||
			     is_admitted(judge(front, &a, v));
		v->n_kept += v->keep[i];
	}
}

/* The policy itself opens what its hosts give a name, and no longer than it
 * stands: a lease would outlive it. */
static bool needs_lease(const struct verdicts *v, const struct address *a)
{
	return !hosts_give(policy_rules(v->policy)->hosts, v->match->name, a);
}

/* Judge the addresses and have them admitted; fills the query's
 * list of them. cut: v->keep says which of them the client is told at all.
 * Returns the TTL that it may be told, seconds. */
static uint32_t admit_addresses(struct front *front, struct query *query,
				const struct answer *answer, uint32_t age_s,
				bool cut, struct verdicts *v)
{
	struct front_owner *owner = &front->owner;
	struct address *admitted = (struct address *)query->block;
	size_t n = cut ? v->n_kept : answer->n_addresses;
	struct address *refused = admitted + n;
	uint32_t least = ANSWER_TTL_MAX;

	v->n_kept = 0;
	v->full = false;
	for (size_t i = 0; i < answer->n_addresses; i++) {
		enum admission verdict;
		struct address a;
		uint32_t ttl = answer_address_ttl(answer, i);
		int err = 0;

		if (cut && !v->keep[i])
			continue;
		ttl = ttl > age_s ? ttl - age_s : 0;
		answer_address(answer, i, &a);
		verdict = judge(front, &a, v);
		v->keep[i] = is_admitted(verdict);
		if (v->keep[i] && needs_lease(v, &a))
			err = owner->admit(owner->arg, v->match->name, &a,
					   verdict == ADMIT_PORTS ? &v->ports
								  : NULL,
					   &ttl);
		v->keep[i] &= err == 0;
		v->full |= err == -ENOSPC;
		if (v->keep[i]) {
			if (!domain_name_equal(v->match->name,
					       &query->question.name))
				follow_led_to(front->follow,
					      &query->question.name, &a);
			*admitted++ = a;
			if (ttl < least)
				least = ttl;
		} else {
			*--refused = a;
			v->keep[i] = front->settings.audit;
		}
		v->n_kept += v->keep[i];
	}
	/* Admitted from the front, refused from the back: they meet. */
	assert(admitted == refused);
	query->n_admitted = (size_t)(admitted - query->addresses);
	query->n_refused = n - query->n_admitted;
	front->uncommitted |= query->n_admitted > 0;
	front->counts.refused_addresses += query->n_refused;
	return least;
}

static void set_fate(struct answer_fate *fate, const struct answer *answer,
		     struct verdicts *v, uint32_t ttl)
{
	fate->keep = answer->n_addresses ? v->keep : NULL;
	fate->n_kept = v->n_kept;
	fate->address_ttl = ttl;
	fate->ede = EDE_NONE;
	fate->ede_text = NULL;
	if (answer->n_addresses && !v->n_kept && !fate->truncated) {
		fate->ede = EDE_FILTERED;
		fate->ede_text = "every address of the answer was refused";
	}
}

/* Write the reply to an allowed question, its addresses admitted first: those
 * that the client is told, even if it has to ask for more over TCP. */
static void write_reply(struct front *front, struct query *query,
			const struct answer *answer,
			const struct policy *policy,
			const struct name_match *match, uint32_t age_s)
{
	struct answer_fate fate = {.age_s = age_s};
	const struct question *q = &query->question;
	size_t limit = reply_limit(query), n = answer->n_addresses;
	size_t most = answer_write_max(answer);
	struct verdicts v;
	uint32_t ttl;

	v.policy = policy;
	v.match = match;
	if (most > limit) {
		preview(front, answer, &v);
		set_fate(&fate, answer, &v, ANSWER_TTL_MAX);
		answer_fit(answer, q, &fate, limit);
		v.n_kept = fate.truncated ? fate.n_kept : v.n_kept;
		n = fate.truncated ? v.n_kept : n;
		most = limit;
	}
	if (!query_room(front, query, n, most)) {
		reply_fail(front, query, EDE_OTHER,
			   "too many bytes of answers under way");
		return;
	}
	ttl = admit_addresses(front, query, answer, age_s, fate.truncated, &v);
	if (v.full && !v.n_kept) {
		reply_fail(front, query, EDE_OTHER,
			   "no room for more addresses, and these names hold "
			   "most of it");
		return;
	}
	set_fate(&fate, answer, &v, ttl);
	query->reply_len = answer_write(answer, q, &fate, query->reply);
}

void admit_answer(struct front *front, struct query *query,
		  const struct answer *answer, uint32_t age_s,
		  enum answer_path path, const struct policy *policy,
		  const struct name_match *match)
{
	if (match->decision.action == POLICY_DENY && !front->settings.audit) {
		reply_deny(front, query, policy, match);
		return;
	}
	if (answer->rcode != RCODE_NOERROR && answer->rcode != RCODE_NXDOMAIN) {
		reply_fail(front, query, EDE_NO_REACHABLE_AUTHORITY,
			   answer->rcode == RCODE_REFUSED
				   ? "the resolver answered REFUSED"
				   : "the resolver answered SERVFAIL");
		reply_queue(front, query);
		return;
	}
	if (path == PATH_CACHED)
		front->counts.answered_cached++;
	else if (path == PATH_SHARED)
		front->counts.shared++;
	else
		front->counts.answered_fresh++;
	write_reply(front, query, answer, policy, match, age_s);
	reply_queue(front, query);
}
