/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts over TCP, after a truncated answer: one connection to a resolver
 * at a time carries all that one asker asks (RFC 7766, 6.2.1) and ends with
 * the last. Only to a resolver that ends them after so many answers, or that
 * has gone silent on one, are there some more.
 */
#include "upstream.h"

#include "host/host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINKS_MAX = 4,        /* of one asker, to one resolver */
	LINK_SILENT_MS = 1000 /* asked and silent so long: another is tried */
};

struct tcp_link {
	LIST_ENTRY(tcp_link) in_list;
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct resolvers *resolvers;
	struct resolver *to;
	const void *asker;
	unsigned live;     /* attempts that wait on it */
	unsigned answered; /* that it has brought */
	uint64_t heard_ms; /* since when it has been silent */
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
	attempts_carrier_closed(r);
}

static void link_close(struct tcp_link *l)
{
	if (l->closing)
		return;
	l->closing = true;
	LIST_REMOVE(l, in_list);
	uv_close((uv_handle_t *)&l->tcp, on_closed);
}

static void link_failed(struct tcp_link *l)
{
	struct resolvers *r = l->resolvers;

	if (l->closing)
		return;
	if (l->answered && l->live)
		l->to->per_link = l->answered;
	link_close(l);
	r->events->carrier_failed(r, NULL, l);
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
	l->heard_ms = uv_now(l->resolvers->loop);
	while (!l->closing && l->filled - at >= 2) {
		size_t len = wire_get16(l->buffer + at);
		const uint8_t *message = l->buffer + at + 2;
		struct attempt *a;

		if (l->filled - at - 2 < len)
			break;
		a = attempts_match(l->resolvers, NULL, l, message, len);
		l->answered += a != NULL;
		if (a)
			l->resolvers->events->answered(a, message, len);
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
				  const void *asker, int *err)
{
	struct tcp_link *l = malloc(sizeof(*l));
	int fd;

	*err = -ENOMEM;
	if (!l)
		return NULL;
	memset(l, 0, offsetof(struct tcp_link, buffer));
	l->resolvers = r;
	l->to = to;
	l->asker = asker;
	l->heard_ms = uv_now(r->loop);
	fd = outward_socket(r->settings.mark, (struct sockaddr *)&to->address,
			    SOCK_STREAM | SOCK_NONBLOCK, 0);
	*err = fd < 0 ? fd : uv_tcp_init(r->loop, &l->tcp);
	if (*err) {
		if (fd >= 0)
			close(fd);
		free(l);
		return NULL;
	}
	l->tcp.data = l->connect.data = l;
	r->handles++;
	LIST_INSERT_HEAD(&to->links, l, in_list);
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

/* Would one more question on it wait in vain? */
static bool is_spent(const struct resolvers *r, const struct tcp_link *l)
{
	return (l->to->per_link && l->live >= l->to->per_link) ||
	       (l->live && uv_now(r->loop) - l->heard_ms >= LINK_SILENT_MS);
}

/* The asker's connection with the least to do, or one more. */
static struct tcp_link *link_for(struct resolvers *r, struct resolver *to,
				 const void *asker, int *err)
{
	struct tcp_link *l, *best = NULL, *more = NULL;
	unsigned n = 0;

	LIST_FOREACH (l, &to->links, in_list) {
		if (l->asker != asker)
			continue;
		n++;
		if (!best || is_spent(r, best) > is_spent(r, l) ||
		    (is_spent(r, best) == is_spent(r, l) &&
		     l->live < best->live))
			best = l;
	}
	if (!best || (is_spent(r, best) && n < LINKS_MAX))
		more = link_open(r, to, asker, err);
	return more ? more : best;
}

bool upstream_tcp_served(const struct tcp_link *link)
{
	return link->answered > 0;
}

int upstream_tcp_send(struct resolvers *r, struct attempt *a)
{
	struct resolver *to = &r->resolver[a->resolver];
	struct resolver_question *q = a->question;
	struct tcp_write *w = malloc(sizeof(*w));
	uv_buf_t buffer;
	struct tcp_link *link;
	int err = -ENOMEM;

	link = w ? link_for(r, to, q->asker, &err) : NULL;
	if (!link) {
		free(w);
		return err;
	}
	a->socket = NULL;
	a->link = link;
	a->link->live++;
	attempts_enter(r, a);
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
	while (!LIST_EMPTY(&of->links))
		link_close(LIST_FIRST(&of->links));
}
