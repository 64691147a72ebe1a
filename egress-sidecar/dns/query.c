/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"
#include "hosts.h"
#include "log/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum answer_path {
	PATH_FRESH,
	PATH_SHARED,
	PATH_CACHED
};

/* Text made of pieces; what does not fit is left out. */
struct text {
	size_t len;
	char s[EDE_TEXT_MAX + 1];
};

static void text_add(struct text *t, const char *piece)
{
	size_t n = strnlen(piece, EDE_TEXT_MAX - t->len);

	memcpy(t->s + t->len, piece, n);
	t->len += n;
	t->s[t->len] = '\0';
}

static void text_add_number(struct text *t, unsigned number)
{
	char digits[12];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	text_add(t, digits + at);
}

/* "denied by policy: rule 3 (*.example.com)"; NULL: nobody would read it. */
static const char *denial_text(struct text *t, const struct question *q,
			       const struct decision *d)
{
	if (!q->edns)
		return NULL;
	t->len = 0;
	text_add(t, "denied by ");
	if (!d->rule || d->index < 0) {
		text_add(t, "policy: default");
		return t->s;
	}
	text_add(t, d->source);
	text_add(t, ": rule ");
	text_add_number(t, (unsigned)d->index);
	text_add(t, " (");
	text_add(t, d->rule->target);
	text_add(t, ")");
	return t->s;
}

/* A resolver that asks label by label (RFC 9156) takes NXDOMAIN for an end. */
static unsigned denial_rcode(const struct policy *policy,
			     const struct name_match *match)
{
	return policy_leads_to_allowed(policy, match) ? RCODE_NOERROR
						      : RCODE_NXDOMAIN;
}

static struct query *query_new(struct front *front, const struct origin *origin,
			       const struct question *q)
{
	struct query *query = TAILQ_FIRST(&front->spare);

	if (query) {
		TAILQ_REMOVE(&front->spare, query, in_list);
		front->n_spare--;
	} else {
		query = malloc(sizeof(*query));
		if (!query)
			return NULL;
	}
	query->origin = *origin;
	query->question = *q;
	query->started_ns = front->read_ns;
	query->block = query->reply = NULL;
	query->held = 0;
	query->reply_len = 0;
	query->addresses = NULL;
	query->n_admitted = query->n_refused = 0;
	query->error = NULL;
	query->denied = false;
	front->n_queries++;
	if (origin->client)
		client_asked(origin->client, query);
	return query;
}

static void block_free(struct front *front, struct query *query)
{
	if (query->block != query->room)
		free(query->block);
	query->block = NULL;
	if (query->held)
		client_let_go(query->origin.client, front, query->held);
	query->held = 0;
}

void query_free(struct front *front, struct query *query)
{
	block_free(front, query);
	if (query->origin.client)
		client_answered(query);
	front->n_queries--;
	if (front->n_spare < FRONT_SPARE) {
		TAILQ_INSERT_HEAD(&front->spare, query, in_list);
		front->n_spare++;
	} else {
		free(query);
	}
}

/* Room for a reply; a large one is counted. False: there is none. */
static bool block_new(struct front *front, struct query *query,
		      size_t n_addresses, size_t reply_max)
{
	size_t addresses = n_addresses * sizeof(struct address);
	size_t size = addresses + 2 + reply_max;

	block_free(front, query);
	if (size <= QUERY_ROOM) {
		query->block = query->room;
	} else {
		if (!client_hold(query->origin.client, front, size))
			return false;
		query->held = size;
		query->block = malloc(size);
	}
	if (!query->block)
		return false;
	query->addresses = (struct address *)query->block;
	query->reply = query->block + addresses + 2;
	return true;
}

static void queue_reply(struct front *front, struct query *query)
{
	TAILQ_INSERT_TAIL(&front->replies, query, in_list);
	front_hurry(front);
}

/* Answer without records. reply stays NULL without memory: no reply at all. */
static void refuse(struct front *front, struct query *query, unsigned rcode,
		   int ede, const char *text)
{
	query->n_admitted = query->n_refused = 0;
	query->reply = NULL;
	if (block_new(front, query, 0, QUESTION_REFUSAL_MAX))
		query->reply_len = question_refuse(
			&query->question, query->reply, rcode, ede, text);
}

static void fail(struct front *front, struct query *query, int ede,
		 const char *why)
{
	front->counts.failed++;
	query->error = why;
	refuse(front, query, RCODE_SERVFAIL, ede, why);
	queue_reply(front, query);
}

void query_uncommitted(struct front *front, struct query *query)
{
	if (!query->n_admitted)
		return;
	query->error = "addresses could not be admitted";
	refuse(front, query, RCODE_SERVFAIL, EDE_OTHER, query->error);
}

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
	bool full; /* an address could not be learned for want of room */
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

/* Which addresses the client would be told, without learning any. */
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

/* Judge the addresses and have the admitted ones learned; fills the query's
 * list of them. cut: v->keep says which of them the client is told at all.
 * Returns the TTL that it may be told, seconds. */
static uint32_t learn(struct front *front, struct query *query,
		      const struct answer *answer, uint32_t age_s, bool cut,
		      struct verdicts *v)
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
			err = owner->learn(owner->arg, v->match->name, &a,
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
	front->learned |= query->n_admitted > 0;
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

/* The reply is that there is none, and why. */
static void fail_reply(struct front *front, struct query *query,
		       const char *why)
{
	front->counts.failed++;
	query->error = why;
	refuse(front, query, RCODE_SERVFAIL, EDE_OTHER, why);
}

/* Write the reply to an allowed question, its addresses learned first: those
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
	if (!block_new(front, query, n, most)) {
		fail_reply(front, query, "too many bytes of answers under way");
		return;
	}
	ttl = learn(front, query, answer, age_s, fate.truncated, &v);
	if (v.full && !v.n_kept) {
		fail_reply(front, query,
			   "no room for more addresses, and these names hold "
			   "most of it");
		return;
	}
	set_fate(&fate, answer, &v, ttl);
	query->reply_len = answer_write(answer, q, &fate, query->reply);
}

/* A question that was let through, until its rule was revoked. */
static void deny_late(struct front *front, struct query *query,
		      const struct policy *policy,
		      const struct name_match *match)
{
	const struct question *q = &query->question;
	struct text text;

	front->counts.denied++;
	query->denied = true;
	front->owner.denied(front->owner.arg, &q->name, q->type,
			    &match->decision, &query->origin.peer.any);
	refuse(front, query, denial_rcode(policy, match), EDE_BLOCKED,
	       denial_text(&text, q, &match->decision));
	queue_reply(front, query);
}

/* An answer is there: judge the name by the policy of now, in which match was
 * looked up, then give it. */
static void give(struct front *front, struct query *query,
		 const struct answer *answer, uint32_t age_s,
		 enum answer_path path, const struct policy *policy,
		 const struct name_match *match)
{
	if (match->decision.action == POLICY_DENY && !front->settings.audit) {
		deny_late(front, query, policy, match);
		return;
	}
	if (answer->rcode != RCODE_NOERROR && answer->rcode != RCODE_NXDOMAIN) {
		fail(front, query, EDE_NO_REACHABLE_AUTHORITY,
		     answer->rcode == RCODE_REFUSED
			     ? "the resolver answered REFUSED"
			     : "the resolver answered SERVFAIL");
		return;
	}
	if (path == PATH_CACHED)
		front->counts.answered_cached++;
	else if (path == PATH_SHARED)
		front->counts.shared++;
	else
		front->counts.answered_fresh++;
	write_reply(front, query, answer, policy, match, age_s);
	queue_reply(front, query);
}

/* first has room for the name that led to this one. */
static void look_up(struct front *front, const struct policy *policy,
		    const struct domain_name *name, uint16_t type,
		    struct name_match *match, struct domain_name *first)
{
	follow_look_up(front->follow, policy, name, type, uv_now(front->loop),
		       front->owner.leased, front->owner.arg, match, first);
}

static struct cache_key key_of(const struct question *q,
			       const struct name_match *match)
{
	return cache_key(&q->name, match->hash, q->type, q->dnssec_ok,
			 question_unchecked(q));
}

static struct lookup_list *bucket_of(struct front *front,
				     const struct cache_key *key)
{
	return &front->lookups[key->hash % FRONT_LOOKUP_BUCKETS];
}

static struct lookup *lookup_find(struct front *front,
				  const struct cache_key *key)
{
	struct lookup *lookup;

	LIST_FOREACH (lookup, bucket_of(front, key), in_bucket)
		if (cache_key_equal(&lookup->key, key))
			break;
	return lookup;
}

static const char *result_text(enum resolver_result result)
{
	if (result == RESOLVER_TIMED_OUT)
		return "no resolver answered in time";
	if (result == RESOLVER_LOOPS)
		return "the resolver sends questions back; set --dns-upstream";
	if (result == RESOLVER_NONE)
		return "no resolver is known: /etc/resolv.conf names none";
	if (result == RESOLVER_UNREACHABLE)
		return "no resolver can be reached";
	return "the question was cancelled";
}

static const char *read_error_text(int err)
{
	if (err == -ELOOP)
		return "the answer's chain of aliases loops or is too long";
	if (err == -E2BIG)
		return "the answer has too many records";
	if (err == -ENOMEM)
		return "out of memory";
	return "the answer is malformed";
}

static void lookup_free(struct front *front, struct lookup *lookup)
{
	if (front->n_spare_lookups == FRONT_SPARE) {
		free(lookup);
		return;
	}
	LIST_INSERT_HEAD(&front->spare_lookups, lookup, in_bucket);
	front->n_spare_lookups++;
}

static void on_asked(void *arg, enum resolver_result result,
		     const uint8_t *message, size_t len)
{
	struct lookup *lookup = arg;
	struct front *front = lookup->front;
	const struct policy *policy = front->owner.policy(front->owner.arg);
	enum answer_path path = PATH_FRESH;
	struct answer *answer = NULL;
	struct domain_name first;
	struct name_match match;
	struct query *query;
	const char *why = NULL;
	int ede = EDE_NETWORK_ERROR;

	LIST_REMOVE(lookup, in_bucket);
	share_give_back(&front->questions, 1);
	if (result == RESOLVER_ANSWERED) {
		int err = answer_read(&answer, &lookup->name, lookup->key.type,
				      lookup->key.dnssec_ok, message, len);

		if (err)
			why = read_error_text(err);
	} else {
		why = result_text(result);
		if (result == RESOLVER_TIMED_OUT)
			ede = EDE_NO_REACHABLE_AUTHORITY;
	}
	if (answer)
		look_up(front, policy, &lookup->name, lookup->key.type, &match,
			&first);
	if (answer && match.decision.action == POLICY_ALLOW)
		follow_note(front->follow, policy, match.name, answer,
			    uv_now(front->loop));
	while ((query = TAILQ_FIRST(&lookup->waiting))) {
		TAILQ_REMOVE(&lookup->waiting, query, in_list);
		if (answer)
			give(front, query, answer, 0, path, policy, &match);
		else
			fail(front, query, ede, why);
		path = PATH_SHARED;
	}
	if (answer && (answer->rcode == RCODE_NOERROR ||
		       answer->rcode == RCODE_NXDOMAIN)) {
		cache_put(front->cache, &lookup->key, answer,
			  uv_now(front->loop));
	} else {
		cache_refresh_failed(front->cache, &lookup->key);
		free(answer);
	}
	lookup_free(front, lookup);
}

static struct lookup *lookup_new(struct front *front)
{
	struct lookup *lookup = LIST_FIRST(&front->spare_lookups);

	if (!lookup)
		return malloc(sizeof(*lookup));
	LIST_REMOVE(lookup, in_bucket);
	front->n_spare_lookups--;
	return lookup;
}

/* Ask a resolver, on behalf of nobody yet. 0, -ENOMEM, -EAGAIN. */
static int lookup_start(struct front *front, const struct question *q,
			const struct cache_key *key, struct lookup **out)
{
	uint8_t message[QUESTION_UPSTREAM_MAX];
	size_t len = question_upstream(q, message);
	struct lookup *lookup;
	int err;

	if (!share_take(&front->questions, 1))
		return -EAGAIN;
	lookup = lookup_new(front);
	if (!lookup) {
		share_give_back(&front->questions, 1);
		return -ENOMEM;
	}
	lookup->front = front;
	lookup->name = q->name;
	lookup->key = *key;
	lookup->key.name = &lookup->name;
	TAILQ_INIT(&lookup->waiting);
	err = resolvers_ask(front->resolvers, front, message, len, on_asked,
			    lookup, &lookup->asked);
	if (err) {
		share_give_back(&front->questions, 1);
		lookup_free(front, lookup);
		return err;
	}
	LIST_INSERT_HEAD(bucket_of(front, key), lookup, in_bucket);
	*out = lookup;
	return 0;
}

/* A hot answer ends soon: ask anew while it is still given. */
static void refresh(struct front *front, const struct question *q,
		    const struct cache_key *key)
{
	struct lookup *lookup;

	if (!lookup_find(front, key) &&
	    lookup_start(front, q, key, &lookup) != 0)
		cache_refresh_failed(front->cache, key);
}

/* Is the question one too many under its wildcard? */
static bool over_limit(struct front *front, const struct question *q,
		       const struct decision *decision)
{
	uint64_t now = uv_now(front->loop);
	uint64_t n;

	if (limit_take(&front->limit, decision->rule, &q->name, q->type, now))
		return false;
	n = limit_report(&front->limit, now);
	if (n)
		log_event(LOG_WARN, "egress.dns_limit",
			  "too many new names a second below a wildcard",
			  "starget", decision->rule->target, "irefused",
			  (long long)n, NULL);
	return true;
}

/* Wait for a resolver, along with those who ask the same. */
static void wait_for_lookup(struct front *front, struct query *query,
			    const struct cache_key *key,
			    const struct decision *decision)
{
	const struct question *q = &query->question;
	struct lookup *lookup = lookup_find(front, key);

	if (!lookup && over_limit(front, q, decision)) {
		front->counts.failed++;
		query->error = "too many new names a second below a wildcard";
		refuse(front, query, RCODE_REFUSED, EDE_OTHER, query->error);
		queue_reply(front, query);
		return;
	}
	if (!lookup && lookup_start(front, q, key, &lookup) != 0) {
		fail(front, query, EDE_OTHER, "too many questions under way");
		return;
	}
	TAILQ_INSERT_TAIL(&lookup->waiting, query, in_list);
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

	if (answer_read(&answer, &q->name, q->type, false, message, len)) {
		fail(front, query, EDE_OTHER, "out of memory");
		return;
	}
	give(front, query, answer, 0, PATH_CACHED, policy, match);
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
		wait_for_lookup(front, query, &key, &match->decision);
		return 0;
	}
	give(front, query, answer, age_s, PATH_CACHED, policy, match);
	if (hot)
		refresh(front, q, &key);
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

size_t query_begin(struct front *front, const struct origin *origin,
		   const uint8_t *message, size_t len, uint8_t *out)
{
	struct front_owner *owner = &front->owner;
	const struct policy *policy = owner->policy(owner->arg);
	struct domain_name first;
	struct question q;
	struct name_match match;
	struct text text;
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
	look_up(front, policy, &q.name, q.type, &match, &first);
	if (match.decision.action == POLICY_DENY) {
		owner->denied(owner->arg, &q.name, q.type, &match.decision,
			      &origin->peer.any);
		front->counts.denied++;
		if (!front->settings.audit)
			return question_refuse(
				&q, out, denial_rcode(policy, &match),
				EDE_BLOCKED,
				denial_text(&text, &q, &match.decision));
	}
	if (rcode > 0)
		return refuse_form(front, &q, (unsigned)rcode, out);
	return begin_allowed(front, origin, &q, policy, &match, out);
}

static void end_list(struct front *front, struct query_list *list)
{
	struct query *query;

	while ((query = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, query, in_list);
		query_free(front, query);
	}
}

void query_end_all(struct front *front)
{
	struct lookup *lookup;
	struct query *query;

	for (size_t i = 0; i < FRONT_LOOKUP_BUCKETS; i++)
		while ((lookup = LIST_FIRST(&front->lookups[i]))) {
			LIST_REMOVE(lookup, in_bucket);
			share_give_back(&front->questions, 1);
			resolvers_cancel(lookup->asked);
			end_list(front, &lookup->waiting);
			free(lookup);
		}
	while ((lookup = LIST_FIRST(&front->spare_lookups))) {
		LIST_REMOVE(lookup, in_bucket);
		free(lookup);
	}
	front->n_spare_lookups = 0;
	end_list(front, &front->replies);
	while ((query = TAILQ_FIRST(&front->spare))) {
		TAILQ_REMOVE(&front->spare, query, in_list);
		free(query);
	}
	front->n_spare = 0;
}
