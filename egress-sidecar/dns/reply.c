/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is answered without an answer: refusals, denials and failures, with the
 * reason that RFC 8914 has room for; and the queue in which replies wait for
 * the end of the loop's iteration.
 */
#include "inner.h"

#include <string.h>

static void text_add(struct reply_text *t, const char *piece)
{
	size_t n = strnlen(piece, EDE_TEXT_MAX - t->len);

	memcpy(t->s + t->len, piece, n);
	t->len += n;
	t->s[t->len] = '\0';
}

static void text_add_number(struct reply_text *t, unsigned number)
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

const char *reply_denial_text(struct reply_text *t, const struct question *q,
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

unsigned reply_denial_rcode(const struct policy *policy,
			    const struct name_match *match)
{
	return policy_leads_to_allowed(policy, match) ? RCODE_NOERROR
						      : RCODE_NXDOMAIN;
}

static void on_idle(uv_idle_t *handle)
{
	(void)handle;
}

/* The loop must not sleep on replies. */
static void flush_soon(struct front *front)
{
	if (uv_is_active((uv_handle_t *)&front->idle))
		return;
	uv_idle_start(&front->idle, on_idle);
	uv_check_start(&front->flush, front->on_flush);
}

void reply_queue(struct front *front, struct query *query)
{
	TAILQ_INSERT_TAIL(&front->replies, query, in_list);
	flush_soon(front);
}

void reply_refuse(struct front *front, struct query *query, unsigned rcode,
		  int ede, const char *text)
{
	query->n_admitted = query->n_refused = 0;
	query->reply = NULL;
	if (query_room(front, query, 0, QUESTION_REFUSAL_MAX))
		query->reply_len = question_refuse(
			&query->question, query->reply, rcode, ede, text);
}

void reply_fail(struct front *front, struct query *query, int ede,
		const char *why)
{
	front->counts.failed++;
	query->error = why;
	reply_refuse(front, query, RCODE_SERVFAIL, ede, why);
}

void reply_uncommitted(struct front *front, struct query *query)
{
	if (!query->n_admitted)
		return;
	query->error = "addresses could not be admitted";
	reply_refuse(front, query, RCODE_SERVFAIL, EDE_OTHER, query->error);
}

void reply_deny(struct front *front, struct query *query,
		const struct policy *policy, const struct name_match *match)
{
	const struct question *q = &query->question;
	struct reply_text text;

	front->counts.denied++;
	query->denied = true;
	front->owner.denied(front->owner.arg, &q->name, q->type,
			    &match->decision, &query->origin.peer.any);
	reply_refuse(front, query, reply_denial_rcode(policy, match),
		     EDE_BLOCKED,
		     reply_denial_text(&text, q, &match->decision));
	reply_queue(front, query);
}
