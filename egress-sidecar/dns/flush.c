/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the loop's iteration: what was admitted in it is committed in one
 * batch, then the replies leave.
 */
#include "inner.h"

static void report(struct front *front, const struct query *query,
		   uint64_t now_ns)
{
	if (query->denied)
		return;
	front->owner.answered(
		front->owner.arg, &query->question.name, query->question.type,
		query->addresses, query->n_admitted,
		query->n_refused ? query->addresses + query->n_admitted : NULL,
		query->n_refused, query->error,
		(now_ns - query->started_ns) / 1000, &query->origin.peer.any);
}

static void send_replies(struct front *front, struct query_list *replies)
{
	struct outbox box;
	struct query *query;

	outbox_init(&box);
	for (query = TAILQ_FIRST(replies); query;
	     query = TAILQ_NEXT(query, in_list)) {
		const struct origin *to = &query->origin;

		if (!query->reply)
			continue;
		if (to->client)
			client_send(to->client, query->reply, query->reply_len);
		else if (to->fd >= 0)
			outbox_add(&box, to->fd, &to->peer.any, to->peer_len,
				   query->reply, query->reply_len);
	}
	outbox_send(&box);
	front->counts.dropped += box.lost;
}

static void on_flush(uv_check_t *handle)
{
	struct front *front = handle->data;
	struct query_list replies;
	struct tcp_client *client;
	struct query *query;
	uint64_t now;

	uv_check_stop(handle);
	uv_idle_stop(&front->idle);
	/* Making room for a TCP client's next question may queue new ones. */
	TAILQ_INIT(&replies);
	TAILQ_CONCAT(&replies, &front->replies, in_list);
	if (front->uncommitted) {
		front->uncommitted = false;
		if (front->owner.commit(front->owner.arg) != 0) {
			query = TAILQ_FIRST(&replies);
			for (; query; query = TAILQ_NEXT(query, in_list))
				reply_uncommitted(front, query);
		}
	}
	send_replies(front, &replies);
	now = uv_hrtime();
	while ((query = TAILQ_FIRST(&replies))) {
		TAILQ_REMOVE(&replies, query, in_list);
		report(front, query, now);
		client = query->origin.client;
		query_free(front, query);
		if (client)
			client_answered(client);
	}
}

/* Making room for TCP clients' questions takes those that are read already, so
 * that this ends. */
void front_settle(struct front *front)
{
	while (uv_is_active((uv_handle_t *)&front->flush))
		on_flush(&front->flush);
}

void flush_open(struct front *front)
{
	uv_check_init(front->loop, &front->flush);
	uv_idle_init(front->loop, &front->idle);
	front->flush.data = front->idle.data = front;
	front->handles += 2;
	front->on_flush = on_flush;
}
