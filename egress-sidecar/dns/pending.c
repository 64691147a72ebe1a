/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions that a resolver has to answer, each asked once for all who wait
 * for it.
 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <stdlib.h>

void pending_look_up(struct front *front, const struct policy *policy,
		     const struct domain_name *name, uint16_t type,
		     struct name_match *match, struct domain_name *first)
{
	follow_look_up(front->follow, policy, name, type, uv_now(front->loop),
		       front->owner.leased, front->owner.arg, match, first);
}

static struct pending_list *bucket_of(struct front *front,
				      const struct cache_key *key)
{
	return &front->pending[key->hash % FRONT_PENDING_BUCKETS];
}

static struct pending *pending_find(struct front *front,
				    const struct cache_key *key)
{
	struct pending *pending;

	LIST_FOREACH (pending, bucket_of(front, key), in_bucket)
		if (cache_key_equal(&pending->key, key))
			break;
	return pending;
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

static void pending_free(struct front *front, struct pending *pending)
{
	if (front->n_spare_pending == FRONT_SPARE) {
		free(pending);
		return;
	}
	LIST_INSERT_HEAD(&front->spare_pending, pending, in_bucket);
	front->n_spare_pending++;
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
	struct pending *pending = arg;
	struct front *front = pending->front;
	const struct policy *policy = front->owner.policy(front->owner.arg);
	enum answer_path path = PATH_FRESH;
	struct answer *answer = NULL;
	struct domain_name first;
	struct name_match match;
	struct query *query;
	const char *why = NULL;
	int ede = EDE_NETWORK_ERROR;

	LIST_REMOVE(pending, in_bucket);
	share_give_back(&front->questions, 1);
	if (result == RESOLVER_ANSWERED) {
		unsigned wishes =
			(pending->key.dnssec_ok ? ANSWER_SIGNATURES : 0) |
			(front->settings.without_ech ? ANSWER_WITHOUT_ECH : 0);
		int err = answer_read(&answer, &pending->name,
				      pending->key.type, wishes, message, len);

		if (err)
			why = read_error_text(err);
	} else {
		why = result_text(result);
		if (result == RESOLVER_TIMED_OUT)
			ede = EDE_NO_REACHABLE_AUTHORITY;
	}
	if (answer)
		pending_look_up(front, policy, &pending->name,
				pending->key.type, &match, &first);
	if (answer && match.decision.action == POLICY_ALLOW)
		follow_note(front->follow, policy, match.name, answer,
			    uv_now(front->loop));
	while ((query = TAILQ_FIRST(&pending->waiting))) {
		TAILQ_REMOVE(&pending->waiting, query, in_list);
		if (answer)
			admit_answer(front, query, answer, 0, path, policy,
				     &match);
		else
			fail(front, query, ede, why);
		path = PATH_SHARED;
	}
	if (answer && (answer->rcode == RCODE_NOERROR ||
		       answer->rcode == RCODE_NXDOMAIN)) {
		cache_put(front->cache, &pending->key, answer,
			  uv_now(front->loop));
	} else {
		cache_refresh_failed(front->cache, &pending->key);
		free(answer);
	}
	pending_free(front, pending);
}

static struct pending *pending_new(struct front *front)
{
	struct pending *pending = LIST_FIRST(&front->spare_pending);

	if (!pending)
		return malloc(sizeof(*pending));
	LIST_REMOVE(pending, in_bucket);
	front->n_spare_pending--;
	return pending;
}

/* Ask a resolver, on behalf of nobody yet. 0, -ENOMEM, -EAGAIN. */
static int pending_start(struct front *front, const struct question *q,
			 const struct cache_key *key, struct pending **out)
{
	uint8_t message[QUESTION_UPSTREAM_MAX];
	size_t len = question_upstream(q, message);
	struct pending *pending;
	int err;

	if (!share_take(&front->questions, 1))
		return -EAGAIN;
	pending = pending_new(front);
	if (!pending) {
		share_give_back(&front->questions, 1);
		return -ENOMEM;
	}
	pending->front = front;
	pending->name = q->name;
	pending->key = *key;
	pending->key.name = &pending->name;
	TAILQ_INIT(&pending->waiting);
	err = resolvers_ask(front->resolvers, front, message, len, on_asked,
			    pending, &pending->asked);
	if (err) {
		share_give_back(&front->questions, 1);
		pending_free(front, pending);
		return err;
	}
	LIST_INSERT_HEAD(bucket_of(front, key), pending, in_bucket);
	*out = pending;
	return 0;
}

void pending_refresh(struct front *front, const struct question *q,
		     const struct cache_key *key)
{
	struct pending *pending;

	if (!pending_find(front, key) &&
	    pending_start(front, q, key, &pending) != 0)
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
		log_event(EVENT(event_dns_limit),
			  "too many new names a second below a wildcard",
			  "starget", decision->rule->target, "irefused",
			  (long long)n, NULL);
	return true;
}

void pending_wait(struct front *front, struct query *query,
		  const struct cache_key *key, const struct decision *decision)
{
	const struct question *q = &query->question;
	struct pending *pending = pending_find(front, key);

	if (!pending && over_limit(front, q, decision)) {
		front->counts.failed++;
		query->error = "too many new names a second below a wildcard";
		reply_refuse(front, query, RCODE_REFUSED, EDE_OTHER,
			     query->error);
		reply_queue(front, query);
		return;
	}
	if (!pending && pending_start(front, q, key, &pending) != 0) {
		fail(front, query, EDE_OTHER, "too many questions under way");
		return;
	}
	TAILQ_INSERT_TAIL(&pending->waiting, query, in_list);
}

void pending_end_all(struct front *front)
{
	struct pending *pending;

	for (size_t i = 0; i < FRONT_PENDING_BUCKETS; i++)
		while ((pending = LIST_FIRST(&front->pending[i]))) {
			LIST_REMOVE(pending, in_bucket);
			share_give_back(&front->questions, 1);
			resolvers_cancel(pending->asked);
			query_end_list(front, &pending->waiting);
			free(pending);
		}
	while ((pending = LIST_FIRST(&front->spare_pending))) {
		LIST_REMOVE(pending, in_bucket);
		free(pending);
	}
	front->n_spare_pending = 0;
}
