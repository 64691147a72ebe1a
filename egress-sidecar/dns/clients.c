/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients over TCP (RFC 7766): several questions on a connection, answered in
 * the order in which their answers come.
 */
#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLIENT_QUESTIONS_MAX = 64,     /* under way; then we stop reading */
	CLIENT_HELD_MAX = 16 * 1024,   /* bytes for it; the same */
	CLIENT_KERNEL_MAX = 64 * 1024, /* bytes of its socket's buffer */
	CLIENT_IDLE_MS = 10000,        /* without progress */
	LISTEN_BACKLOG = 64
};

struct client_write {
	uv_write_t write;
	size_t size;
	uint8_t bytes[];
};

static void read_questions(struct tcp_client *c);

static void on_handle_closed(uv_handle_t *handle)
{
	struct tcp_client *c = handle->data;
	struct front *front = c->front;

	if (--c->handles == 0) {
		free(c);
		front_handle_closed(front);
	}
}

/* Nobody waits for approval any longer. */
static void drop_held(struct tcp_client *c)
{
	struct query *query, *next;

	for (query = LIST_FIRST(&c->queries); query; query = next) {
		next = LIST_NEXT(query, of_client);
		if (query->approval)
			approval_drop(c->front, query);
	}
}

/* Its questions go on, for the cache's sake and for those who share them, but
 * for those that are held. */
static void client_close(struct tcp_client *c)
{
	struct query *query;

	if (c->closing)
		return;
	c->closing = true;
	drop_held(c);
	while ((query = LIST_FIRST(&c->queries))) {
		LIST_REMOVE(query, of_client);
		query->origin.client = NULL;
	}
	LIST_REMOVE(c, in_list);
	c->front->n_clients--;
	uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
	uv_close((uv_handle_t *)&c->idle, on_handle_closed);
}

static size_t unsent(const struct tcp_client *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static void restart_idle(struct tcp_client *c);

/* Ends a client that neither reads nor asks; not one that we let wait. */
static void on_idle(uv_timer_t *timer)
{
	struct tcp_client *c = timer->data;

	if (unsent(c) ? unsent(c) < c->waiting : c->n_queries > 0)
		restart_idle(c);
	else
		client_close(c);
}

static void restart_idle(struct tcp_client *c)
{
	c->waiting = unsent(c);
	uv_timer_start(&c->idle, on_idle, CLIENT_IDLE_MS, 0);
}

/* No more questions are read for now. */
static bool is_full(const struct tcp_client *c)
{
	return c->n_queries >= CLIENT_QUESTIONS_MAX ||
	       c->held >= CLIENT_HELD_MAX || unsent(c) > 0;
}

static void resume(struct tcp_client *c);
static void maybe_leave(struct tcp_client *c);

static void on_written(uv_write_t *request, int status)
{
	struct tcp_client *c = request->handle->data;
	struct client_write *w = request->data;

	query_let_go(c, c->front, w->size);
	free(w);
	if (status != 0) {
		client_close(c);
	} else if (!c->closing) {
		restart_idle(c);
		resume(c);
	}
	maybe_leave(c);
}

void client_send(struct tcp_client *client, uint8_t *bytes, size_t len)
{
	uv_stream_t *stream = (uv_stream_t *)&client->tcp;
	struct client_write *w;
	uv_buf_t buffer;
	size_t total = len + 2;
	int done;

	if (client->closing)
		return;
	wire_put16(bytes - 2, (uint16_t)len);
	buffer = uv_buf_init((char *)bytes - 2, (unsigned)total);
	done = uv_try_write(stream, &buffer, 1);
	if (done < 0 && done != UV_EAGAIN) {
		client_close(client);
		return;
	}
	if (done < 0)
		done = 0;
	else
		restart_idle(client);
	if ((size_t)done == total)
		return;
	total -= (size_t)done;
	w = query_hold(client, client->front, total)
		    ? malloc(sizeof(*w) + total)
		    : NULL;
	if (!w) {
		client_close(client);
		return;
	}
	w->size = total;
	memcpy(w->bytes, bytes - 2 + done, total);
	w->write.data = w;
	buffer = uv_buf_init((char *)w->bytes, (unsigned)total);
	if (uv_write(&w->write, stream, &buffer, 1, on_written) != 0) {
		query_let_go(client, client->front, total);
		free(w);
		client_close(client);
		return;
	}
	/* From here on it is for the client to move. */
	client->waiting = unsent(client);
	if (!client->paused) {
		client->paused = true;
		uv_read_stop(stream);
	}
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
	struct tcp_client *c = handle->data;

	(void)hint;
	*out = uv_buf_init((char *)c->buffer + c->filled,
			   (unsigned)(CLIENT_BUFFER - c->filled));
}

/* A client that has said its last leaves when it has its answers. */
static void maybe_leave(struct tcp_client *c)
{
	if (c->ended && !c->closing && !c->front->closing &&
	    c->n_queries == 0 && unsent(c) == 0)
		client_close(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct tcp_client *c = stream->data;

	(void)buffer;
	if (n == UV_EOF) {
		/* It may have gone altogether: that looks the same, and what
		 * is held may be so for minutes. */
		c->ended = true;
		uv_read_stop(stream);
		drop_held(c);
		maybe_leave(c);
		return;
	}
	if (n < 0) {
		client_close(c);
		return;
	}
	c->filled += (size_t)n;
	read_questions(c);
}

/* Take the questions out of the buffer, as many as may be under way. */
static void read_questions(struct tcp_client *c)
{
	size_t at = 0;

	c->front->read_ns = uv_hrtime();
	while (!c->closing && c->filled - at >= 2 && !is_full(c)) {
		uint8_t out[2 + QUESTION_REFUSAL_MAX];
		size_t len = wire_get16(c->buffer + at);
		size_t reply;

		if (len > CLIENT_BUFFER - 2) {
			client_close(c);
			return;
		}
		if (c->filled - at - 2 < len)
			break;
		restart_idle(c);
		reply = judge_question(c->front, &c->origin, c->buffer + at + 2,
				       len, out + 2);
		if (reply)
			client_send(c, out + 2, reply);
		at += 2 + len;
	}
	if (c->closing)
		return;
	memmove(c->buffer, c->buffer + at, c->filled - at);
	c->filled -= at;
	if (is_full(c) && !c->paused) {
		c->paused = true;
		uv_read_stop((uv_stream_t *)&c->tcp);
	}
}

/* There is room for questions again. */
static void resume(struct tcp_client *c)
{
	if (!c->paused || c->closing || c->front->closing || is_full(c))
		return;
	c->paused = false;
	read_questions(c);
	if (!c->closing && !c->paused && !c->ended)
		uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

void client_answered(struct tcp_client *c)
{
	resume(c);
	maybe_leave(c);
}

/* Too many: the oldest of those that do not read makes room, else of those
 * that wait for nothing, else of all. */
static void make_room(struct front *front)
{
	struct tcp_client *c, *oldest = NULL;
	int least = 3;

	if (front->n_clients < FRONT_CLIENTS_MAX)
		return;
	LIST_FOREACH (c, &front->clients, in_list) {
		int claim = unsent(c) ? 0 : c->n_queries == 0 ? 1 : 2;

		if (claim <= least) {
			least = claim;
			oldest = c;
		}
	}
	if (oldest)
		client_close(oldest);
}

/* Take the connection; its handles live from here on. */
static struct tcp_client *client_new(struct front *front, uv_stream_t *listener)
{
	struct tcp_client *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	memset(c, 0, offsetof(struct tcp_client, buffer));
	c->front = front;
	c->origin.fd = -1;
	c->origin.client = c;
	LIST_INIT(&c->queries);
	uv_tcp_init(front->loop, &c->tcp);
	uv_timer_init(front->loop, &c->idle);
	c->tcp.data = c->idle.data = c;
	c->handles = 2;
	front->handles++;
	front->n_clients++;
	LIST_INSERT_HEAD(&front->clients, c, in_list);
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
		client_close(c);
		return NULL;
	}
	return c;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct front *front = listener->data;
	struct tcp_client *c;
	int len = sizeof(c->origin.peer);

	if (status != 0 || front->closing)
		return;
	make_room(front);
	c = client_new(front, listener);
	if (!c)
		return;
	if (uv_tcp_getpeername(&c->tcp, &c->origin.peer.any, &len) ||
	    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read)) {
		client_close(c);
		return;
	}
	c->origin.peer_len = (socklen_t)len;
	restart_idle(c);
}

int clients_listen(struct front *front, uv_tcp_t *tcp, int fd)
{
	/* libuv closes what it is given; the listener is not its to close. */
	const int bytes = CLIENT_KERNEL_MAX;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int err;

	if (own < 0)
		return -errno;
	/* Connections have it from their listener, tcp(7). */
	(void)setsockopt(own, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(own, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	err = uv_tcp_init(front->loop, tcp);
	if (err) {
		close(own);
		return err;
	}
	tcp->data = front;
	front->handles++;
	err = uv_tcp_open(tcp, own);
	if (err) {
		close(own);
		return err;
	}
	return uv_listen((uv_stream_t *)tcp, LISTEN_BACKLOG, on_connection);
}

void clients_close(struct front *front)
{
	while (!LIST_EMPTY(&front->clients))
		client_close(LIST_FIRST(&front->clients));
}
