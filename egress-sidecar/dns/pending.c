/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that a resolver has to answer, each asked once for all who wait
 * for it.
 */
#include "query.h"

#include "log/events.h"

#include <errno.h>
#include <stdlib.h>

/* first has room for the name that led to this one. */
void pending_look_up(struct front *front, const struct policy *policy,
		     const struct domain_name *name, uint16_t type,
		     struct name_match *match, struct domain_name *first)
{
	follow_look_up(front->follow, policy, name, type, uv_now(front->loop),
		       front->owner.leased, front->owner.arg, match, first);
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

static void fail(struct front *front, struct query *query, int ede,
		 const char *why)
{
	reply_fail(front, query, ede, why);
	reply_queue(front, query);
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
		pending_look_up(front, policy, &lookup->name, lookup->key.type,
				&match, &first);
	if (answer && match.decision.action == POLICY_ALLOW)
		follow_note(front->follow, policy, match.name, answer,
			    uv_now(front->loop));
	while ((query = TAILQ_FIRST(&lookup->waiting))) {
		TAILQ_REMOVE(&lookup->waiting, query, in_list);
		if (answer)
			admit_answer(front, query, answer, 0, path, policy,
				     &match);
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
void pending_refresh(struct front *front, const struct question *q,
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
		log_event(EVENT(DNS_LIMIT),
			  "too many new names a second below a wildcard",
			  "starget", decision->rule->target, "irefused",
			  (long long)n, NULL);
	return true;
}

/* Wait for a resolver, along with those who ask the same. */
void pending_wait(struct front *front, struct query *query,
		  const struct cache_key *key, const struct decision *decision)
{
	const struct question *q = &query->question;
	struct lookup *lookup = lookup_find(front, key);

	if (!lookup && over_limit(front, q, decision)) {
		front->counts.failed++;
		query->error = "too many new names a second below a wildcard";
		reply_refuse(front, query, RCODE_REFUSED, EDE_OTHER,
			     query->error);
		reply_queue(front, query);
		return;
	}
	if (!lookup && lookup_start(front, q, key, &lookup) != 0) {
		fail(front, query, EDE_OTHER, "too many questions under way");
		return;
	}
	TAILQ_INSERT_TAIL(&lookup->waiting, query, in_list);
}

void pending_end_all(struct front *front)
{
	struct lookup *lookup;

	for (size_t i = 0; i < FRONT_LOOKUP_BUCKETS; i++)
		while ((lookup = LIST_FIRST(&front->lookups[i]))) {
			LIST_REMOVE(lookup, in_bucket);
			share_give_back(&front->questions, 1);
			resolvers_cancel(lookup->asked);
			query_end_list(front, &lookup->waiting);
			free(lookup);
		}
	while ((lookup = LIST_FIRST(&front->spare_lookups))) {
		LIST_REMOVE(lookup, in_bucket);
		free(lookup);
	}
	front->n_spare_lookups = 0;
}
