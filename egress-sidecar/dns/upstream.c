/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question's way through the resolvers: attempt after attempt, until one
 * is answered or the time is over.
 */
#include "upstream.h"

#include "host/outward.h"
#include "log/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TICK_MS = 25,
	WAIT_UNMEASURED_MS = 400, /* for a resolver that never answered */
	WAIT_MIN_MS = 100,
	WAIT_MAX_MS = 2000,
	WAIT_TCP_MS = 2000,
	PAUSE_MIN_MS = 50, /* where nobody can be asked */
	PAUSE_MAX_MS = 1000,
	TRIES_ALIVE = 3, /* of a resolver that answers others meanwhile */
	TRIES_PROBE = 2,
	FAILURES_DOWN = 3, /* in a row */
	SAY_MS = 10000,    /* between log lines about one resolver */
	PROBE_TIMEOUT_MS = 2000
};

uint16_t upstream_random16(struct resolvers *r)
{
	uint16_t value;

	if (r->random_left < sizeof(value)) {
		/* Not interrupted up to 256 bytes, getrandom(2). */
		if (getrandom(r->random, sizeof(r->random), 0) !=
		    sizeof(r->random))
			abort();
		r->random_left = sizeof(r->random);
	}
	r->random_left -= sizeof(value);
	memcpy(&value, r->random + r->random_left, sizeof(value));
	return value;
}

static struct attempt **bucket_of(struct resolvers *r, uint16_t id)
{
	return &r->bucket[id % ATTEMPT_BUCKETS];
}

void upstream_enter(struct resolvers *r, struct attempt *a)
{
	struct attempt *other;

	do {
		a->id = upstream_random16(r);
		other = *bucket_of(r, a->id);
		while (other &&
		       (other->id != a->id || other->socket != a->socket ||
			other->link != a->link))
			other = other->next;
	} while (other);
	a->next = *bucket_of(r, a->id);
	*bucket_of(r, a->id) = a;
	a->live = true;
	a->question->n_live++;
}

/* The attempt is over, whatever came of it. */
static void attempt_end(struct resolvers *r, struct attempt *a)
{
	struct attempt **at = bucket_of(r, a->id);

	if (!a->live)
		return;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->live = false;
	a->question->n_live--;
	if (a->socket)
		upstream_udp_release(a);
	else
		upstream_tcp_release(a);
}

/* Does the message repeat our question (RFC 5452, 9.1)? Ours is in lower
 * case; label lengths are below 'A' and fold to themselves. */
static bool same_question(const struct resolver_question *q,
			  const uint8_t *message, size_t len)
{
	uint8_t name[DOMAIN_NAME_MAX];
	size_t name_len = q->question_end - DNS_HEADER - 4U;

	if (len < q->question_end || !(message[2] & FLAG2_QR) ||
	    wire_get16(message + 4) != 1)
		return false;
	domain_octets_fold(name, message + DNS_HEADER, name_len);
	return memcmp(name, q->message + DNS_HEADER, name_len) == 0 &&
	       memcmp(message + DNS_HEADER + name_len,
		      q->message + DNS_HEADER + name_len, 4) == 0;
}

struct attempt *upstream_match(struct resolvers *r,
			       const struct udp_socket *socket,
			       const struct tcp_link *link,
			       const uint8_t *message, size_t len)
{
	struct attempt *a = NULL;
	uint16_t id;

	if (len >= DNS_HEADER) {
		id = wire_get16(message);
		for (a = *bucket_of(r, id); a; a = a->next)
			if (a->id == id && a->socket == socket &&
			    a->link == link &&
			    same_question(a->question, message, len))
				break;
	}
	if (!a)
		r->counts.spoofed++;
	return a;
}

int upstream_socket(const struct resolvers *r, const struct resolver *to,
		    int type)
{
	int fd = socket(to->address.ss_family,
			type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = outward_prepare(fd, r->settings.mark,
			      (const struct sockaddr *)&to->address);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* The attempts that are remembered. */
static size_t n_known(const struct resolver_question *q)
{
	return q->n_attempts < ATTEMPTS_MAX ? q->n_attempts : ATTEMPTS_MAX;
}

static void question_unlink(struct resolvers *r, struct resolver_question *q)
{
	for (size_t i = 0; i < n_known(q); i++)
		attempt_end(r, &q->attempt[i]);
	*(q->newer ? &q->newer->older : &r->newest) = q->older;
	*(q->older ? &q->older->newer : &r->oldest) = q->newer;
	if (--r->n_questions == 0)
		uv_timer_stop(&r->tick);
}

static struct resolver_question *question_new(struct resolvers *r)
{
	struct resolver_question *q = r->spare;

	if (!q)
		return malloc(sizeof(*q));
	r->spare = q->older;
	r->n_spare--;
	return q;
}

static void question_free(struct resolvers *r, struct resolver_question *q)
{
	if (r->n_spare == QUESTIONS_SPARE || r->closing) {
		free(q);
		return;
	}
	q->older = r->spare;
	r->spare = q;
	r->n_spare++;
}

static void question_end(struct resolver_question *q,
			 enum resolver_result result, const uint8_t *message,
			 size_t len)
{
	struct resolvers *r = q->resolvers;
	resolver_done done = q->done;
	void *arg = q->arg;

	question_unlink(r, q);
	question_free(r, q);
	done(arg, result, message, len);
}

/* How long to wait for this resolver before another gets its turn: twice as
 * long with each, once all of them had one. */
static uint32_t wait_of(const struct resolvers *r, const struct resolver *to,
			unsigned n_attempts)
{
	unsigned first = r->settings.n > 2 ? (unsigned)r->settings.n : 2;
	uint32_t wait = to->rtt_ms ? to->rtt_ms * 4 : WAIT_UNMEASURED_MS;

	if (wait < WAIT_MIN_MS)
		wait = WAIT_MIN_MS;
	for (; n_attempts >= first && wait < WAIT_MAX_MS; n_attempts--)
		wait *= 2;
	return wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS;
}

/* Asked in vain, a resolver that answers others is at work on it, or will not
 * answer; one that has been silent altogether may have missed it. */
static bool worth_asking(const struct resolvers *r,
			 const struct resolver_question *q, size_t resolver)
{
	const struct resolver *to = &r->resolver[resolver];
	unsigned since = 0;

	if (to->loops)
		return false;
	for (size_t i = 0; i < n_known(q); i++)
		since += q->attempt[i].resolver == resolver &&
			 q->attempt[i].sent_ms >= to->back_ms;
	return to->failures > 0 || since < TRIES_ALIVE;
}

/* Among those that may be asked the least tried; among those one that is up;
 * among those the first. -1: none. */
static int next_resolver(const struct resolvers *r,
			 const struct resolver_question *q)
{
	int best = -1;

	if (q->only >= 0)
		return q->n_attempts < TRIES_PROBE ? q->only : -1;
	for (size_t i = 0; i < r->settings.n; i++) {
		const struct resolver *to = &r->resolver[i];

		if (!worth_asking(r, q, i))
			continue;
		if (best < 0 || q->tried[i] < q->tried[best] ||
		    (q->tried[i] == q->tried[best] && !to->down &&
		     r->resolver[best].down))
			best = (int)i;
	}
	return best;
}

/* Room for one more attempt; the oldest is given up for it. */
static struct attempt *attempt_new(struct resolvers *r,
				   struct resolver_question *q)
{
	struct attempt *oldest = &q->attempt[0];

	if (q->n_attempts < ATTEMPTS_MAX)
		return &q->attempt[q->n_attempts];
	for (size_t i = 0; i < ATTEMPTS_MAX; i++) {
		struct attempt *a = &q->attempt[i];

		if (!a->live)
			return a;
		if (a->sent_ms < oldest->sent_ms)
			oldest = a;
	}
	attempt_end(r, oldest);
	return oldest;
}

/* Ask one of the resolvers. 0, or -errno: no attempt could be started. */
static int attempt_start(struct resolvers *r, struct resolver_question *q,
			 size_t resolver)
{
	struct attempt *a = attempt_new(r, q);
	struct resolver *to = &r->resolver[resolver];
	uint64_t now = uv_now(r->loop);
	uint32_t wait =
		q->over_tcp ? WAIT_TCP_MS : wait_of(r, to, q->n_attempts);

	a->question = q;
	a->resolver = (uint8_t)resolver;
	a->sent_ms = now;
	a->list = NULL;
	a->live = false;
	to->tried_ms = now;
	if (q->n_attempts < UINT16_MAX)
		q->n_attempts++;
	if (q->tried[resolver] < UINT8_MAX)
		q->tried[resolver]++;
	q->retry_ms = now + wait;
	return q->over_tcp ? upstream_tcp_send(r, a) : upstream_udp_send(r, a);
}

static bool untried_left(const struct resolvers *r,
			 const struct resolver_question *q)
{
	for (size_t i = 0; i < r->settings.n; i++)
		if (q->tried[i] == 0 && !r->resolver[i].loops)
			return q->only < 0;
	return false;
}

/* Nobody can be asked now: a resolver that starts anew, a link that is down,
 * or one resolver that is at work on it. */
static void pause_asking(struct resolvers *r, struct resolver_question *q)
{
	uint64_t now = uv_now(r->loop);
	uint32_t pause = PAUSE_MIN_MS;

	for (size_t i = r->settings.n; i && i <= q->n_attempts;
	     i += r->settings.n)
		if (pause < PAUSE_MAX_MS)
			pause *= 2;
	q->retry_ms = now + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
	/* A probe ends; that is said from the timer, not from within ask. */
	if (q->only >= 0)
		q->retry_ms = q->deadline_ms = q->n_live ? q->deadline_ms : now;
}

static void go_on(struct resolvers *r, struct resolver_question *q)
{
	for (size_t i = 0; i < r->settings.n; i++) {
		int next = next_resolver(r, q);

		if (next < 0)
			break;
		if (q->n_attempts && q->last_asked != next)
			r->counts.failed_over++;
		q->last_asked = (uint8_t)next;
		if (attempt_start(r, q, (size_t)next) == 0)
			return;
	}
	pause_asking(r, q);
}

static void say(const struct resolvers *r, const struct resolver *to,
		enum log_level level, const char *what)
{
	const struct resolver_address *address =
		&r->settings.address[to - r->resolver];
	char text[ADDRESS_TEXT_MAX];

	log_event(level, NULL, what, "sresolver",
		  address_to_text(&address->a, text), "iport",
		  (long long)address->port, NULL);
}

/* What becomes of a resolver is said once, and of one that comes and goes, as
 * names with slow servers make it seem, now and then. */
static void set_down(struct resolvers *r, struct resolver *to, bool down)
{
	uint64_t now = uv_now(r->loop);

	if (to->down == down)
		return;
	to->down = down;
	if (!down && to->said_down) {
		say(r, to, LOG_INFO, "a resolver answers again");
		to->said_down = false;
	} else if (down && (!to->said_ms || now - to->said_ms >= SAY_MS)) {
		say(r, to, LOG_WARN,
		    "a resolver does not answer; others are asked first");
		to->said_down = true;
		to->said_ms = now;
	}
}

void upstream_loops(struct resolvers *r, size_t resolver)
{
	struct resolver *to = &r->resolver[resolver];

	if (to->loops)
		return;
	to->loops = true;
	say(r, to, LOG_ERROR,
	    "a resolver sends our questions back to us: it forwards from "
	    "inside the sandbox's network namespace; name the resolver behind "
	    "it with --dns-upstream (OPENSANDBOX_EGRESS_DNS_UPSTREAM)");
}

/* Is there nobody to be asked? */
static bool nobody_left(const struct resolvers *r)
{
	for (size_t i = 0; i < r->settings.n; i++)
		if (!r->resolver[i].loops)
			return false;
	return true;
}

static void no_answer(struct resolvers *r, struct resolver *to)
{
	if (++to->failures >= FAILURES_DOWN)
		set_down(r, to, true);
}

/* Go on with a question of which an attempt failed. */
static void go_on_after(struct resolvers *r, struct resolver_question *q)
{
	if (untried_left(r, q))
		go_on(r, q);
	else if (!q->n_live && q->only >= 0)
		question_end(q, RESOLVER_UNREACHABLE, NULL, 0);
	else if (!q->n_live)
		pause_asking(r, q);
}

void upstream_failed(struct attempt *a)
{
	struct resolver_question *q = a->question;
	struct resolvers *r = q->resolvers;
	size_t resolver = a->resolver;
	/* RFC 7766, 6.2.4: what was not answered is asked again. */
	bool again = a->link && upstream_tcp_served(a->link);

	if (!again)
		no_answer(r, &r->resolver[resolver]);
	attempt_end(r, a);
	if (!again || attempt_start(r, q, resolver) != 0)
		go_on_after(r, q);
}

void upstream_carrier_failed(struct resolvers *r,
			     const struct udp_socket *socket,
			     const struct tcp_link *link)
{
	struct resolver_question *q = r->oldest;

	while (q) {
		struct resolver_question *newer = q->newer;
		struct attempt *failed = NULL;

		/* All that wait on it end; the last of them goes on. */
		for (size_t i = 0; i < n_known(q); i++) {
			struct attempt *a = &q->attempt[i];

			if (!a->live || a->socket != socket || a->link != link)
				continue;
			if (failed)
				attempt_end(r, failed);
			failed = a;
		}
		if (failed)
			upstream_failed(failed);
		q = newer;
	}
}

static void alive(struct resolvers *r, const struct attempt *a)
{
	struct resolver *to = &r->resolver[a->resolver];
	uint64_t now = uv_now(r->loop);
	uint32_t took = (uint32_t)(now - a->sent_ms);

	to->answered_ms = now;
	if (to->failures)
		to->back_ms = now;
	to->failures = 0;
	set_down(r, to, false);
	if (took > WAIT_MAX_MS)
		took = WAIT_MAX_MS;
	to->rtt_ms = to->rtt_ms ? (7 * to->rtt_ms + took + 7) / 8 : took + 1;
}

/* Another resolver may do better: this one failed or would not. */
static bool is_failure(const uint8_t *message)
{
	unsigned rcode = message[3] & FLAG3_RCODE;

	return rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN;
}

/* A resolver of old, which does not know EDNS (RFC 6891, 7). */
static bool is_without_edns(const uint8_t *message)
{
	unsigned rcode = message[3] & FLAG3_RCODE;

	return rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP;
}

void upstream_answered(struct attempt *a, const uint8_t *message, size_t len)
{
	struct resolver_question *q = a->question;
	struct resolvers *r = q->resolvers;
	size_t resolver = a->resolver;

	alive(r, a);
	if (message[2] & FLAG2_TC && a->socket) {
		bool asked = q->over_tcp && q->n_live > 1;

		attempt_end(r, a);
		q->over_tcp = true;
		r->counts.retried_tcp += !asked;
		if (!asked && attempt_start(r, q, resolver) != 0)
			go_on_after(r, q);
		return;
	}
	if (is_without_edns(message) && q->len > q->question_end) {
		attempt_end(r, a);
		q->len = q->question_end;
		q->message[11] = 0;
		if (attempt_start(r, q, resolver) != 0)
			go_on_after(r, q);
		return;
	}
	if (is_failure(message) && untried_left(r, q)) {
		attempt_end(r, a);
		go_on(r, q);
		return;
	}
	r->counts.answered++;
	question_end(q, RESOLVER_ANSWERED, message, len);
}

/* Attempts that were waited for in vain, with no other sign of life. */
static void count_silence(struct resolvers *r,
			  const struct resolver_question *q)
{
	for (size_t i = 0; i < n_known(q); i++) {
		const struct attempt *a = &q->attempt[i];

		if (a->live &&
		    r->resolver[a->resolver].answered_ms < a->sent_ms)
			no_answer(r, &r->resolver[a->resolver]);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct resolvers *r = timer->data;
	struct resolver_question *q = r->oldest;
	uint64_t now = uv_now(r->loop);

	while (q) {
		struct resolver_question *newer = q->newer;

		if (now >= q->deadline_ms || (q->only < 0 && nobody_left(r))) {
			enum resolver_result result =
				!r->settings.n   ? RESOLVER_NONE
				: nobody_left(r) ? RESOLVER_LOOPS
				: q->n_live      ? RESOLVER_TIMED_OUT
						 : RESOLVER_UNREACHABLE;

			count_silence(r, q);
			if (result == RESOLVER_TIMED_OUT)
				r->counts.timed_out++;
			question_end(q, result, NULL, 0);
		} else if (now >= q->retry_ms) {
			count_silence(r, q);
			go_on(r, q);
		}
		q = newer;
	}
}

int upstream_ask(struct resolvers *r, const void *asker,
		 const uint8_t *question, size_t len, int only,
		 resolver_done done, void *arg, struct resolver_question **out)
{
	struct resolver_question *q;
	uint64_t now = uv_now(r->loop);

	if (r->closing || r->n_questions >= QUESTIONS_MAX)
		return -EAGAIN;
	assert(len > DNS_HEADER && len <= QUESTION_UPSTREAM_MAX);
	q = question_new(r);
	if (!q)
		return -ENOMEM;
	q->resolvers = r;
	q->done = done;
	q->arg = arg;
	q->asker = asker;
	q->deadline_ms =
		now + (only >= 0 ? PROBE_TIMEOUT_MS : r->settings.timeout_ms);
	q->n_attempts = q->n_live = q->last_asked = 0;
	memset(q->tried, 0, sizeof(q->tried));
	q->only = (int8_t)only;
	q->over_tcp = false;
	q->len = (uint16_t)len;
	q->question_end = (uint16_t)(len - DNS_OPT_FIXED);
	memcpy(q->message, question, len);
	q->newer = NULL;
	q->older = r->newest;
	*(r->newest ? &r->newest->newer : &r->oldest) = q;
	r->newest = q;
	if (r->n_questions++ == 0)
		uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
	r->counts.asked++;
	*out = q;
	go_on(r, q);
	return 0;
}

void resolvers_cancel(struct resolver_question *question)
{
	struct resolvers *r = question->resolvers;

	question_unlink(r, question);
	question_free(r, question);
}

void upstream_start_over(struct resolvers *r)
{
	struct resolver_question *q = r->oldest;

	while (q) {
		struct resolver_question *newer = q->newer;

		if (q->only >= 0) {
			question_end(q, RESOLVER_CANCELED, NULL, 0);
		} else {
			for (size_t i = 0; i < n_known(q); i++)
				attempt_end(r, &q->attempt[i]);
			q->n_attempts = q->last_asked = 0;
			memset(q->tried, 0, sizeof(q->tried));
			q->retry_ms = uv_now(r->loop);
		}
		q = newer;
	}
}

void upstream_end_all(struct resolvers *r)
{
	struct resolver_question *q = r->oldest;

	while (q) {
		struct resolver_question *newer = q->newer;

		question_end(q, RESOLVER_CANCELED, NULL, 0);
		q = newer;
	}
	while ((q = r->spare)) {
		r->spare = q->older;
		free(q);
	}
	r->n_spare = 0;
}
