/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listeners over UDP, and the end of each turn of the loop: what was
 * learned in it is committed in one batch, then the replies leave.
 */
#include "query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read from one listener and answer at once what can be refused. */
struct batch {
	uint8_t buffer[FRONT_BATCH][FRONT_DATAGRAM_MAX];
	struct mmsghdr message[FRONT_BATCH];
	struct iovec iov[FRONT_BATCH];
	struct origin origin[FRONT_BATCH];
};

static void batch_arm(struct batch *b, int fd)
{
	memset(b->message, 0, sizeof(b->message));
	for (size_t i = 0; i < FRONT_BATCH; i++) {
		struct msghdr *h = &b->message[i].msg_hdr;

		b->origin[i].fd = fd;
		b->origin[i].client = NULL;
		b->iov[i] = (struct iovec){b->buffer[i], FRONT_DATAGRAM_MAX};
		h->msg_name = &b->origin[i].peer;
		h->msg_namelen = sizeof(b->origin[i].peer);
		h->msg_iov = &b->iov[i];
		h->msg_iovlen = 1;
	}
}

/* Send them all; what the socket does not take now is lost, as UDP may be. */
static void send_batch(struct front *front, int fd, struct mmsghdr *message,
		       size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		int done =
			sendmmsg(fd, message + sent, (unsigned)(n - sent), 0);

		if (done > 0) {
			sent += (size_t)done;
		} else if (errno != EINTR) {
			front->counts.dropped++;
			sent++;
		}
	}
}

/* Refusals are written over their questions and gathered at the start. */
static void batch_answer(struct front *front, struct batch *b, int fd, size_t n)
{
	size_t n_out = 0;

	for (size_t i = 0; i < n; i++) {
		struct mmsghdr *m = &b->message[i];
		size_t len;

		b->origin[i].peer_len = m->msg_hdr.msg_namelen;
		len = query_begin(front, &b->origin[i], b->buffer[i],
				  m->msg_len, b->buffer[i]);
		if (!len)
			continue;
		b->iov[i].iov_len = len;
		if (n_out != i)
			b->message[n_out] = *m;
		n_out++;
	}
	if (n_out)
		send_batch(front, fd, b->message, n_out);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct front *front = handle->data;
	int fd = handle == &front->udp4 ? front->settings.udp4
					: front->settings.udp6;
	struct batch b;

	(void)status;
	(void)events;
	for (int round = 0; round < FRONT_ROUNDS; round++) {
		int n;

		batch_arm(&b, fd);
		n = recvmmsg(fd, b.message, FRONT_BATCH, 0, NULL);
		if (n <= 0)
			break;
		front->read_ns = uv_hrtime();
		batch_answer(front, &b, fd, (size_t)n);
		if (n < FRONT_BATCH)
			break;
	}
}

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

/* A run of UDP replies through one listener; the others are sent one by one. */
static void send_replies(struct front *front, struct query_list *replies)
{
	struct mmsghdr message[FRONT_BATCH];
	struct iovec iov[FRONT_BATCH];
	struct query *query;
	size_t n = 0;
	int fd = -1;

	memset(message, 0, sizeof(message));
	for (query = TAILQ_FIRST(replies); query;
	     query = TAILQ_NEXT(query, in_list)) {
		struct msghdr *h;

		if (!query->reply)
			continue;
		if (query->origin.client) {
			client_send(query->origin.client, query->reply,
				    query->reply_len);
			continue;
		}
		if (query->origin.fd < 0)
			continue;
		if (n && (n == FRONT_BATCH || query->origin.fd != fd)) {
			send_batch(front, fd, message, n);
			n = 0;
		}
		fd = query->origin.fd;
		iov[n] = (struct iovec){query->reply, query->reply_len};
		h = &message[n].msg_hdr;
		h->msg_name = &query->origin.peer;
		h->msg_namelen = query->origin.peer_len;
		h->msg_iov = &iov[n];
		h->msg_iovlen = 1;
		n++;
	}
	if (n)
		send_batch(front, fd, message, n);
}

static void on_flush(uv_check_t *handle)
{
	struct front *front = handle->data;
	struct query_list replies;
	struct query *query;
	uint64_t now;

	uv_check_stop(handle);
	uv_idle_stop(&front->hurry);
	/* Making room for a TCP client's next question may queue new ones. */
	TAILQ_INIT(&replies);
	TAILQ_CONCAT(&replies, &front->replies, in_list);
	if (front->learned) {
		front->learned = false;
		if (front->owner.commit(front->owner.arg) != 0) {
			query = TAILQ_FIRST(&replies);
			for (; query; query = TAILQ_NEXT(query, in_list))
				query_uncommitted(query);
		}
	}
	send_replies(front, &replies);
	now = uv_hrtime();
	while ((query = TAILQ_FIRST(&replies))) {
		TAILQ_REMOVE(&replies, query, in_list);
		report(front, query, now);
		query_free(front, query);
	}
}

static void on_hurry(uv_idle_t *handle)
{
	(void)handle;
}

void front_hurry(struct front *front)
{
	if (uv_is_active((uv_handle_t *)&front->hurry))
		return;
	uv_idle_start(&front->hurry, on_hurry);
	uv_check_start(&front->flush, on_flush);
}

void front_handle_closed(struct front *front)
{
	struct front_settings *s = &front->settings;

	if (--front->handles > 0)
		return;
	if (!s->keep_sockets) {
		if (s->udp4 >= 0)
			close(s->udp4);
		if (s->udp6 >= 0)
			close(s->udp6);
		if (s->tcp4 >= 0)
			close(s->tcp4);
		if (s->tcp6 >= 0)
			close(s->tcp6);
	}
	cache_free(front->cache);
	free(front);
}

static void on_handle_closed(uv_handle_t *handle)
{
	front_handle_closed(handle->data);
}

static int listen_udp(struct front *front, uv_poll_t *poll, int fd)
{
	int err;

	if (fd < 0)
		return 0;
	err = uv_poll_init(front->loop, poll, fd);
	if (err)
		return err;
	poll->data = front;
	front->handles++;
	return uv_poll_start(poll, UV_READABLE, on_readable);
}

static int listen_all(struct front *front)
{
	const struct front_settings *s = &front->settings;
	int err = listen_udp(front, &front->udp4, s->udp4);

	if (!err)
		err = listen_udp(front, &front->udp6, s->udp6);
	if (!err && s->tcp4 >= 0)
		err = clients_listen(front, &front->tcp4, s->tcp4);
	if (!err && s->tcp6 >= 0)
		err = clients_listen(front, &front->tcp6, s->tcp6);
	return err;
}

int front_open(struct front **out, uv_loop_t *loop, struct resolvers *resolvers,
	       const struct front_settings *settings,
	       const struct front_owner *owner)
{
	struct front *front = calloc(1, sizeof(*front));
	int err;

	if (!front)
		return -ENOMEM;
	front->loop = loop;
	front->resolvers = resolvers;
	front->settings = *settings;
	front->owner = *owner;
	if (!front->settings.queries_max)
		front->settings.queries_max = FRONT_QUERIES_DEFAULT;
	for (size_t i = 0; i < FRONT_LOOKUP_BUCKETS; i++)
		LIST_INIT(&front->lookups[i]);
	TAILQ_INIT(&front->replies);
	TAILQ_INIT(&front->spare);
	LIST_INIT(&front->spare_lookups);
	LIST_INIT(&front->clients);
	limit_start(&front->limit, settings->names_per_second, uv_now(loop));
	err = cache_new(&front->cache, settings->cache_bytes);
	if (err) {
		free(front);
		return err;
	}
	uv_check_init(loop, &front->flush);
	uv_idle_init(loop, &front->hurry);
	front->flush.data = front->hurry.data = front;
	front->handles = 2;
	err = listen_all(front);
	if (err) {
		/* The caller keeps its sockets. */
		front->settings.keep_sockets = true;
		front_close(front);
		return err;
	}
	*out = front;
	return 0;
}

static void close_handle(uv_handle_t *handle)
{
	/* Those that were never started have no loop. */
	if (handle->loop && !uv_is_closing(handle))
		uv_close(handle, on_handle_closed);
}

void front_close(struct front *front)
{
	if (front->closing)
		return;
	front->closing = true;
	clients_close(front);
	query_end_all(front);
	close_handle((uv_handle_t *)&front->udp4);
	close_handle((uv_handle_t *)&front->udp6);
	close_handle((uv_handle_t *)&front->tcp4);
	close_handle((uv_handle_t *)&front->tcp6);
	close_handle((uv_handle_t *)&front->flush);
	close_handle((uv_handle_t *)&front->hurry);
}

static bool is_denied(void *arg, const struct domain_name *name)
{
	struct decision decision;

	policy_match_name(arg, name, &decision);
	return decision.action == POLICY_DENY;
}

void front_policy_changed(struct front *front)
{
	const struct policy *policy = front->owner.policy(front->owner.arg);

	if (!front->settings.audit)
		cache_forget(front->cache, is_denied, (void *)policy);
}

void front_counts(const struct front *front, struct front_counts *counts)
{
	*counts = front->counts;
}
