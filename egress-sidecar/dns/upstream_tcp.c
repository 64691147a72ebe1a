/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts over TCP, after a truncated answer: one connection to a resolver
 * at a time carries all of them (RFC 7766, 6.2.1) and ends with the last.
 */
#include "upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tcp_link {
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct resolvers *resolvers;
	struct resolver *to;
	unsigned live; /* attempts that wait on it */
	bool closing;
	size_t filled;
	uint8_t buffer[2 + DNS_MESSAGE_MAX];
};

struct tcp_write {
	uv_write_t write;
	uint8_t bytes[2 + QUESTION_UPSTREAM_MAX];
};

static void on_closed(uv_handle_t *handle)
{
	struct tcp_link *l = handle->data;
	struct resolvers *r = l->resolvers;

	free(l);
	resolvers_handle_closed(r);
}

static void link_close(struct tcp_link *l)
{
	if (l->closing)
		return;
	l->closing = true;
	if (l->to->link == l)
		l->to->link = NULL;
	uv_close((uv_handle_t *)&l->tcp, on_closed);
}

static void link_failed(struct tcp_link *l)
{
	struct resolvers *r = l->resolvers;

	if (l->closing)
		return;
	link_close(l);
	upstream_carrier_failed(r, NULL, l);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
	struct tcp_link *l = handle->data;

	(void)hint;
	*out = uv_buf_init((char *)l->buffer + l->filled,
			   (unsigned)(sizeof(l->buffer) - l->filled));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct tcp_link *l = stream->data;
	size_t at = 0;

	(void)buffer;
	if (n < 0) {
		link_failed(l);
		return;
	}
	l->filled += (size_t)n;
	while (!l->closing && l->filled - at >= 2) {
		size_t len = wire_get16(l->buffer + at);
		const uint8_t *message = l->buffer + at + 2;
		struct attempt *a;

		if (l->filled - at - 2 < len)
			break;
		a = upstream_match(l->resolvers, NULL, l, message, len);
		if (a)
			upstream_answered(a, message, len);
		at += 2 + len;
	}
	memmove(l->buffer, l->buffer + at, l->filled - at);
	l->filled -= at;
}

static void on_connected(uv_connect_t *request, int status)
{
	struct tcp_link *l = request->data;

	if (l->closing)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&l->tcp, on_alloc,
				       on_read);
	if (status != 0)
		link_failed(l);
}

static struct tcp_link *link_open(struct resolvers *r, struct resolver *to,
				  int *err)
{
	struct tcp_link *l = malloc(sizeof(*l));
	int fd;

	*err = -ENOMEM;
	if (!l)
		return NULL;
	memset(l, 0, offsetof(struct tcp_link, buffer));
	l->resolvers = r;
	l->to = to;
	fd = upstream_socket(r, to, SOCK_STREAM);
	*err = fd < 0 ? fd : uv_tcp_init(r->loop, &l->tcp);
	if (*err) {
		if (fd >= 0)
			close(fd);
		free(l);
		return NULL;
	}
	l->tcp.data = l->connect.data = l;
	r->handles++;
	*err = uv_tcp_open(&l->tcp, fd);
	if (*err)
		close(fd);
	if (!*err)
		*err = uv_tcp_connect(&l->connect, &l->tcp,
				      (struct sockaddr *)&to->address,
				      on_connected);
	if (*err) {
		link_close(l);
		return NULL;
	}
	return l;
}

static void on_written(uv_write_t *request, int status)
{
	/* A failure shows on the reading side, too. */
	(void)status;
	free(request->data);
}

int upstream_tcp_send(struct resolvers *r, struct attempt *a)
{
	struct resolver *to = &r->resolver[a->resolver];
	struct resolver_question *q = a->question;
	struct tcp_write *w = malloc(sizeof(*w));
	uv_buf_t buffer;
	int err = -ENOMEM;

	if (w && !to->link)
		to->link = link_open(r, to, &err);
	if (!w || !to->link) {
		free(w);
		return err;
	}
	a->socket = NULL;
	a->link = to->link;
	a->link->live++;
	upstream_enter(r, a);
	wire_put16(w->bytes, q->len);
	memcpy(w->bytes + 2, q->message, q->len);
	wire_put16(w->bytes + 2, a->id);
	buffer = uv_buf_init((char *)w->bytes, 2U + q->len);
	w->write.data = w;
	err = uv_write(&w->write, (uv_stream_t *)&a->link->tcp, &buffer, 1,
		       on_written);
	if (err)
		free(w);
	/* The attempt is entered: its failure is one of the carrier. */
	return 0;
}

void upstream_tcp_release(struct attempt *a)
{
	struct tcp_link *l = a->link;

	a->link = NULL;
	assert(l->live > 0);
	if (--l->live == 0)
		link_close(l);
}

void upstream_tcp_close(struct resolver *of)
{
	if (of->link)
		link_close(of->link);
}
