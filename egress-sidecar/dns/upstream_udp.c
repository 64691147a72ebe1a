/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts over UDP. Each resolver has many connected sockets at a time, so
 * that the kernel drops what comes from elsewhere; each socket serves a while,
 * then another takes its place on another port of the kernel's random choice
 * (RFC 5452, 9.2). What is asked in one iteration of the loop leaves in one
 * batch.
 */
#include "upstream.h"

#include "host/host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	READ_ROUNDS = 4, /* batches a callback */
	READ_SIZE = 1472 /* bytes; we announce less */
};

struct udp_socket {
	uv_poll_t poll;
	struct resolvers *resolvers;
	struct resolver *to;
	uint64_t opened_ms;
	unsigned uses;
	unsigned live; /* attempts that wait on it */
	int fd;
	bool retired;
	bool closing;
};

static void on_closed(uv_handle_t *handle)
{
	struct udp_socket *s = handle->data;
	struct resolvers *r = s->resolvers;

	close(s->fd);
	free(s);
	attempts_carrier_closed(r);
}

static void socket_close(struct udp_socket *s)
{
	if (s->closing)
		return;
	s->closing = true;
	uv_close((uv_handle_t *)&s->poll, on_closed);
}

/* No new questions; closed once nothing waits on it. */
static void socket_retire(struct udp_socket *s)
{
	for (size_t i = 0; i < UDP_SOCKETS; i++)
		if (s->to->socket[i] == s)
			s->to->socket[i] = NULL;
	if (s->to->current == s)
		s->to->current = NULL;
	s->retired = true;
	if (!s->live)
		socket_close(s);
}

static void read_batch(struct udp_socket *s, uint8_t (*buffer)[READ_SIZE],
		       const struct mmsghdr *message, size_t n)
{
	struct resolvers *r = s->resolvers;

	for (size_t i = 0; i < n && !s->closing; i++) {
		struct attempt *a;

		if (message[i].msg_hdr.msg_flags & MSG_TRUNC) {
			r->counts.spoofed++;
			continue;
		}
		a = attempts_match(r, s, NULL, buffer[i], message[i].msg_len);
		if (a)
			r->events->answered(a, buffer[i], message[i].msg_len);
	}
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct udp_socket *s = handle->data;
	uint8_t buffer[UDP_BATCH][READ_SIZE];
	struct mmsghdr message[UDP_BATCH];
	struct iovec iov[UDP_BATCH];

	(void)status;
	(void)events;
	memset(message, 0, sizeof(message));
	for (size_t i = 0; i < UDP_BATCH; i++) {
		iov[i].iov_base = &buffer[i];
		iov[i].iov_len = READ_SIZE;
		message[i].msg_hdr.msg_iov = &iov[i];
		message[i].msg_hdr.msg_iovlen = 1;
	}
	for (int round = 0; round < READ_ROUNDS && !s->closing; round++) {
		int n = recvmmsg(s->fd, message, UDP_BATCH, 0, NULL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			/* ICMP said that nobody is there. */
			s->resolvers->events->carrier_failed(s->resolvers, s,
							     NULL);
		if (n <= 0)
			break;
		read_batch(s, buffer, message, (size_t)n);
		if (n < UDP_BATCH)
			break;
	}
}

static struct udp_socket *socket_open(struct resolvers *r, struct resolver *to,
				      int *err)
{
	struct udp_socket *s = calloc(1, sizeof(*s));

	*err = -ENOMEM;
	if (!s)
		return NULL;
	s->resolvers = r;
	s->to = to;
	s->opened_ms = uv_now(r->loop);
	s->fd = outward_socket(r->settings.mark,
			       (struct sockaddr *)&to->address,
			       SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0) {
		*err = s->fd;
		goto failed;
	}
	if (connect(s->fd, (struct sockaddr *)&to->address, to->address_len)) {
		*err = -errno;
		goto failed;
	}
	*err = uv_poll_init(r->loop, &s->poll, s->fd);
	if (*err)
		goto failed;
	s->poll.data = s;
	r->handles++;
	*err = uv_poll_start(&s->poll, UV_READABLE, on_readable);
	if (*err) {
		socket_close(s);
		return NULL;
	}
	return s;
failed:
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return NULL;
}

/* The socket for this iteration of the loop: one of many, at random. */
static struct udp_socket *socket_for(struct resolvers *r, struct resolver *to,
				     const void *asker, int *err)
{
	struct udp_socket **slot;

	if (to->current && to->current_asker == asker &&
	    to->current_uses++ < UDP_SOCKET_BURST)
		return to->current;
	to->current_asker = asker;
	to->current_uses = 1;
	slot = &to->socket[attempts_random16(r) % UDP_SOCKETS];
	if (*slot &&
	    ((*slot)->uses >= UDP_SOCKET_USES ||
	     uv_now(r->loop) - (*slot)->opened_ms >= UDP_SOCKET_AGE_MS))
		socket_retire(*slot);
	if (!*slot)
		*slot = socket_open(r, to, err);
	/* Without descriptors for more, those that are open serve on. */
	for (size_t i = 0; i < UDP_SOCKETS && !*slot; i++)
		slot = &to->socket[i];
	return to->current = *slot;
}

/* Send a run of pending attempts of one socket. Those that could not be sent
 * move to the unsent. */
static void flush_run(struct resolvers *r)
{
	struct udp_socket *s = TAILQ_FIRST(&r->pending)->socket;
	struct attempt *a, *batch[UDP_BATCH];
	struct mmsghdr message[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	unsigned n = 0, sent = 0;
	bool broken = false;

	memset(message, 0, sizeof(message));
	while (n < UDP_BATCH && (a = TAILQ_FIRST(&r->pending)) &&
	       a->socket == s) {
		TAILQ_REMOVE(&r->pending, a, in_list);
		a->list = NULL;
		wire_put16(a->question->message, a->id);
		iov[n] = (struct iovec){a->question->message, a->question->len};
		message[n].msg_hdr.msg_iov = &iov[n];
		message[n].msg_hdr.msg_iovlen = 1;
		batch[n++] = a;
	}
	while (sent < n) {
		int done = sendmmsg(s->fd, message + sent, n - sent, 0);

		if (done > 0) {
			sent += (unsigned)done;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* A full socket buffer is as good as a lost packet. */
		if (errno != EAGAIN && errno != ENOBUFS) {
			a = batch[sent];
			TAILQ_INSERT_TAIL(&r->unsent, a, in_list);
			a->list = &r->unsent;
			broken = true;
		}
		sent++;
	}
	/* Its source address may be one that we no longer have. */
	if (broken)
		socket_retire(s);
}

static void on_flush(uv_check_t *handle)
{
	struct resolvers *r = handle->data;
	struct attempt *a;

	uv_check_stop(handle);
	uv_idle_stop(&r->idle);
	while (!TAILQ_EMPTY(&r->pending))
		flush_run(r);
	for (size_t i = 0; i < r->settings.n; i++)
		r->resolver[i].current = NULL;
	while ((a = TAILQ_FIRST(&r->unsent)))
		r->events->failed(a);
}

static void on_idle(uv_idle_t *handle)
{
	(void)handle;
}

/* Have on_flush() called in this iteration of the loop. */
static void flush_soon(struct resolvers *r)
{
	if (uv_is_active((uv_handle_t *)&r->idle))
		return;
	uv_idle_start(&r->idle, on_idle);
	uv_check_start(&r->flush, on_flush);
}

int upstream_udp_send(struct resolvers *r, struct attempt *a)
{
	int err = 0;
	struct udp_socket *s = socket_for(r, &r->resolver[a->resolver],
					  a->question->asker, &err);

	if (!s)
		return err;
	s->live++;
	s->uses++;
	a->socket = s;
	a->link = NULL;
	attempts_enter(r, a);
	TAILQ_INSERT_TAIL(&r->pending, a, in_list);
	a->list = &r->pending;
	flush_soon(r);
	return 0;
}

void upstream_udp_release(struct attempt *a)
{
	struct udp_socket *s = a->socket;

	if (a->list)
		TAILQ_REMOVE(a->list, a, in_list);
	a->list = NULL;
	a->socket = NULL;
	assert(s->live > 0);
	if (--s->live == 0 && s->retired)
		socket_close(s);
}

void upstream_udp_close(struct resolver *of)
{
	for (size_t i = 0; i < UDP_SOCKETS; i++)
		if (of->socket[i])
			socket_retire(of->socket[i]);
}
