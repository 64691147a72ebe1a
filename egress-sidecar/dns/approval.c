/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that wait for approval: no rule decides them, and the default action
 * would deny them. Their questions are held until a change of the policy
 * decides, or their time is over.
 */
#include "inner.h"

#include <stdlib.h>
#include <string.h>

enum {
	APPROVAL_NAMES_MAX = 256,    /* of a front */
	APPROVAL_QUERIES_MAX = 1024, /* the same, of all names together */
	APPROVAL_ASKERS_MAX = 128    /* questions of one name */
};

struct approval {
	TAILQ_ENTRY(approval) in_list;
	struct domain_name name;
	uint64_t hash;
	uint64_t until_ms;
	time_t since; /* seconds since 1970 */
	struct query_list waiting;
	size_t n_waiting;
};

/* Denied by nothing but the default action, and not known to exist. */
static bool is_undecided(const struct policy *policy,
			 const struct name_match *match)
{
	return match->decision.action == POLICY_DENY && !match->decision.rule &&
	       !policy_leads_to_allowed(policy, match);
}

static void approval_free(struct front *front, struct approval *a)
{
	TAILQ_REMOVE(&front->approvals, a, in_list);
	front->counts.pending--;
	free(a);
}

/* The query waits for its approval no longer, which stays. */
static void take_out(struct front *front, struct query *query)
{
	struct approval *a = query->approval;

	TAILQ_REMOVE(&a->waiting, query, in_list);
	a->n_waiting--;
	share_give_back(&front->held, 1);
	query->approval = NULL;
}

/* Judge what waits for the name by the policy of now; over: its time is. */
static void judge_again(struct front *front, struct approval *a,
			const struct policy *policy, bool over)
{
	struct query *query, *next;
	bool approved = false;

	for (query = TAILQ_FIRST(&a->waiting); query; query = next) {
		struct domain_name first;
		struct name_match match;

		next = TAILQ_NEXT(query, in_list);
		pending_look_up(front, policy, &a->name, query->question.type,
				&match, &first);
		if (!over && is_undecided(policy, &match))
			continue;
		take_out(front, query);
		if (match.decision.action == POLICY_DENY) {
			reply_deny(front, query, policy, &match);
			continue;
		}
		approved = true;
		query->started_ns = uv_hrtime();
		serve_query(front, query, policy, &match);
	}
	front->counts.approved += approved;
	if (TAILQ_EMPTY(&a->waiting))
		approval_free(front, a);
}

void approval_judge_all(struct front *front, const struct policy *policy)
{
	struct approval *a, *next;

	for (a = TAILQ_FIRST(&front->approvals); a; a = next) {
		next = TAILQ_NEXT(a, in_list);
		judge_again(front, a, policy, false);
	}
}

static void on_time(uv_timer_t *timer);

/* All wait equally long, so the first to come is the first to end. */
static void start_timer(struct front *front, const struct approval *a)
{
	uint64_t now = uv_now(front->loop);

	uv_timer_start(&front->ask, on_time,
		       a->until_ms > now ? a->until_ms - now : 0, 0);
}

static void on_time(uv_timer_t *timer)
{
	struct front *front = timer->data;
	const struct policy *policy = front->owner.policy(front->owner.arg);
	uint64_t now = uv_now(front->loop);
	struct approval *a, *next;

	for (a = TAILQ_FIRST(&front->approvals); a && a->until_ms <= now;
	     a = next) {
		next = TAILQ_NEXT(a, in_list);
		judge_again(front, a, policy, true);
	}
	if (a)
		start_timer(front, a);
}

static struct approval *approval_find(const struct front *front,
				      const struct domain_name *name,
				      uint64_t hash)
{
	struct approval *a;

	TAILQ_FOREACH(a, &front->approvals, in_list)
	if (a->hash == hash && domain_name_equal(&a->name, name))
		break;
	return a;
}

static struct approval *approval_new(struct front *front,
				     const struct domain_name *name,
				     uint64_t hash)
{
	struct approval *a = malloc(sizeof(*a));
	bool first = TAILQ_EMPTY(&front->approvals);

	if (!a)
		return NULL;
	a->name.len = name->len;
	memcpy(a->name.wire, name->wire, name->len);
	a->hash = hash;
	a->until_ms =
		uv_now(front->loop) + front->settings.ask_s * UINT64_C(1000);
	a->since = time(NULL);
	TAILQ_INIT(&a->waiting);
	a->n_waiting = 0;
	TAILQ_INSERT_TAIL(&front->approvals, a, in_list);
	front->counts.pending++;
	front->counts.held++;
	if (first)
		start_timer(front, a);
	return a;
}

static bool same_host(const union peer *a, const union peer *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->any.sa_family != AF_INET6 ||
	       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr,
		      sizeof(a->in6.sin6_addr)) == 0;
}

/* A stub resolver repeats its question over UDP: with the same id, from the
 * same port or another one. */
static struct query *find_repeated(const struct approval *a,
				   const struct origin *origin,
				   const struct question *q)
{
	struct query *query;

	if (origin->client)
		return NULL;
	TAILQ_FOREACH(query, &a->waiting, in_list)
	if (!query->origin.client && query->question.id == q->id &&
	    query->question.type == q->type &&
	    same_host(&query->origin.peer, &origin->peer))
		break;
	return query;
}

/* Is there room for one question more, of this name (NULL: a new one)? It is
 * taken. */
static bool take_room(struct front *front, const struct approval *a)
{
	if (a ? a->n_waiting == APPROVAL_ASKERS_MAX
	      : front->counts.pending == APPROVAL_NAMES_MAX)
		return false;
	return front->held.used < APPROVAL_QUERIES_MAX &&
	       share_take(&front->held, 1);
}

/* One question more, of this name (NULL: a new one). */
static bool hold_new(struct front *front, struct approval *a,
		     const struct origin *origin, const struct question *q,
		     uint64_t hash)
{
	bool is_new = !a;
	struct query *query;

	if (!take_room(front, a))
		return false;
	query = query_new(front, origin, q);
	if (query && !a)
		a = approval_new(front, &q->name, hash);
	if (!query || !a) {
		share_give_back(&front->held, 1);
		if (query)
			query_free(front, query);
		return false;
	}
	query->approval = a;
	TAILQ_INSERT_TAIL(&a->waiting, query, in_list);
	a->n_waiting++;
	if (is_new)
		front->owner.held(front->owner.arg, &q->name,
				  &origin->peer.any);
	return true;
}

bool approval_hold(struct front *front, const struct origin *origin,
		   const struct question *q, const struct policy *policy,
		   const struct name_match *match)
{
	struct approval *a;
	struct query *repeated;

	if (!front->settings.ask_s || front->settings.audit ||
	    !is_undecided(policy, match))
		return false;
	a = approval_find(front, &q->name, match->hash);
	repeated = a ? find_repeated(a, origin, q) : NULL;
	if (repeated) {
		repeated->origin = *origin;
		repeated->question = *q;
		return true;
	}
	if (hold_new(front, a, origin, q, match->hash))
		return true;
	front->counts.not_held++;
	return false;
}

void approval_drop(struct front *front, struct query *query)
{
	struct approval *a = query->approval;

	take_out(front, query);
	query_free(front, query);
	if (TAILQ_EMPTY(&a->waiting))
		approval_free(front, a);
}

void approval_open(struct front *front)
{
	TAILQ_INIT(&front->approvals);
	uv_timer_init(front->loop, &front->ask);
	front->ask.data = front;
	front->handles++;
}

void approval_end_all(struct front *front)
{
	struct approval *a;

	while ((a = TAILQ_FIRST(&front->approvals)))
		approval_drop(front, TAILQ_FIRST(&a->waiting));
}

static void add_type(struct held_name *held, uint16_t type)
{
	for (size_t i = 0; i < held->n_types; i++)
		if (held->type[i] == type)
			return;
	if (held->n_types < HELD_TYPES_MAX)
		held->type[held->n_types++] = type;
}

void front_each_held(const struct front *front,
		     void (*each)(void *arg, const struct held_name *held),
		     void *arg)
{
	const struct approval *a;
	const struct query *query;

	TAILQ_FOREACH(a, &front->approvals, in_list)
	{
		struct held_name held = {
			.name = &a->name,
			.since = a->since,
			.until = a->since + (time_t)front->settings.ask_s,
			.n_askers = a->n_waiting,
		};

		TAILQ_FOREACH(query, &a->waiting, in_list)
		add_type(&held, query->question.type);
		each(arg, &held);
	}
}
