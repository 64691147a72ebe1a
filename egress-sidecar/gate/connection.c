/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one connection. The client's bytes are kept until stream.c knows
 * what they are; what may go on is sent from that buffer, so that no byte goes
 * on but those that were judged, and what need not be looked at is spliced. The
 * server's bytes are spliced from the first.
 */
#include "connection.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	BUFFER_FIRST = 2048,
	CONNECT_MS = 60 * 1000,
	ROUNDS = 32 /* heads and chunks before others have their turn */
};

static void queue_leave(struct connection *c, enum connection_queue queue)
{
	struct gate *gate = c->gate;

	if (c->queue != queue || queue == QUEUE_NONE)
		return;
	if (queue == QUEUE_WAITING) {
		TAILQ_REMOVE(&gate->waiting, c, in_queue);
		gate->n_waiting--;
	} else {
		TAILQ_REMOVE(&gate->connecting, c, in_queue);
	}
	c->queue = QUEUE_NONE;
}

/* Both queues are in the order of their ends: each has one time for all. */
static void queue_join(struct connection *c, enum connection_queue queue)
{
	struct gate *gate = c->gate;

	if (c->queue != QUEUE_NONE)
		return;
	c->queue = (uint8_t)queue;
	if (queue == QUEUE_WAITING) {
		c->until_ms = uv_now(gate->loop) + GATE_NAME_MS;
		TAILQ_INSERT_TAIL(&gate->waiting, c, in_queue);
		gate->n_waiting++;
	} else {
		c->until_ms = uv_now(gate->loop) + CONNECT_MS;
		TAILQ_INSERT_TAIL(&gate->connecting, c, in_queue);
	}
}

static void buffer_free(struct connection *c)
{
	share_give_back(&c->gate->buffered, c->said.size);
	free(c->said.bytes);
	c->said = (struct gate_buffer){0};
}

static bool take_bytes(struct gate *gate, size_t n)
{
	return gate->buffered.used + n <= GATE_BUFFERS_MAX &&
	       share_take(&gate->buffered, n);
}

/* What HTTP/2 is decoded with takes room, too. */
static bool decoder_room(struct connection *c)
{
	struct gate *gate = c->gate;

	if (!c->stream.http2 || c->decoding)
		return true;
	c->decoding = gate->n_decoding < GATE_HTTP2_MAX &&
		      take_bytes(gate, GATE_HTTP2_BYTES);
	gate->n_decoding += c->decoding;
	return c->decoding;
}

static void decoder_free(struct connection *c)
{
	struct gate *gate = c->gate;

	stream_free(&c->stream);
	if (!c->decoding)
		return;
	gate->n_decoding--;
	share_give_back(&gate->buffered, GATE_HTTP2_BYTES);
	c->decoding = false;
}

/* What is common to all ends. Sockets that are open yet, both sides of which
 * have been told that nothing more comes, are closed when all is done that
 * somebody waits for: connection_free(). */
static void connection_over(struct connection *c)
{
	struct gate *gate = c->gate;

	queue_leave(c, c->queue);
	pipes_give(gate->pipes, &c->up);
	pipes_give(gate->pipes, &c->down);
	buffer_free(c);
	gate_names_free(&c->names);
	decoder_free(c);
	c->over = true;
	gate->counts.open--;
	share_give_back(&gate->connections, 1);
	TAILQ_REMOVE(&gate->all, c, in_all);
	TAILQ_INSERT_TAIL(&gate->over, c, in_queue);
}

void connection_free(struct connection *c)
{
	if (c->client.fd >= 0)
		close(c->client.fd);
	if (c->server.fd >= 0)
		close(c->server.fd);
	free(c);
}

void connection_reset(struct connection *c)
{
	side_reset(&c->client);
	side_reset(&c->server);
	connection_over(c);
}

static void drop(struct connection *c)
{
	c->gate->counts.dropped++;
	connection_reset(c);
}

static int watch(struct side *side, int how)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = side,
	};

	return epoll_ctl(side->of->gate->epoll, how, side->fd, &event) < 0
		       ? -errno
		       : 0;
}

/* More can be done at once, after what else is at hand: an edge of our own. */
static void yield_turn(struct side *side)
{
	side->of->gate->yielded = true;
	if (watch(side, EPOLL_CTL_MOD))
		drop(side->of);
}

/* The way on. */

static void way_failed(struct connection *c)
{
	c->gate->counts.failed++;
	connection_reset(c);
}

/* name: that it gave first. reason: as that of gate_way. */
static void way_begin(struct connection *c, const struct domain_name *name,
		      enum gate_reason reason)
{
	const struct gate_owner *owner = &c->gate->owner;
	struct sockaddr_in6 self = {.sin6_port = 0}; /* IPv4's is there, too */
	socklen_t len = sizeof(self);
	struct gate_way way = {.destination = c->address,
			       .port = c->port,
			       .name = name,
			       .reason = reason};

	if (c->server.fd >= 0)
		return;
	queue_leave(c, QUEUE_WAITING);
	c->server.fd = way_open(c->gate, &c->source, &c->address, c->port);
	if (c->server.fd < 0 || watch(&c->server, EPOLL_CTL_ADD)) {
		way_failed(c);
		return;
	}
	queue_join(c, QUEUE_CONNECTING);
	getsockname(c->server.fd, (struct sockaddr *)&self, &len);
	way.source_port = ntohs(self.sin6_port);
	owner->goes(owner->arg, &way);
}

/* The verdict. */

/* Tell the owner, and end it; but in an audit let on whatever it says. */
static void refuse(struct connection *c, enum gate_reason reason,
		   const struct domain_name *name)
{
	struct gate *gate = c->gate;
	const struct gate_refusal refusal = {
		.reason = reason,
		.source = c->source,
		.destination = c->address,
		.port = c->port,
		.name = name,
		.audit = gate->settings.audit,
	};

	gate->counts.refused[reason]++;
	gate->owner.refused(gate->owner.arg, &refusal);
	if (!gate->settings.audit) {
		connection_reset(c);
		return;
	}
	queue_leave(c, QUEUE_WAITING);
	c->answering = false;
	c->stream.kind = STREAM_OPAQUE;
	c->going = c->said.end - c->said.at;
	way_begin(c, name, reason);
}

bool connection_allowed(const struct connection *c)
{
	const struct gate_owner *owner = &c->gate->owner;

	for (size_t i = 0; i < c->names.n; i++) {
		if (!owner->allows(owner->arg, c->names.at[i], &c->address,
				   c->port))
			return false;
	}
	return true;
}

static void judge(struct connection *c)
{
	const struct domain_name *name = &c->stream.name;
	struct gate *gate = c->gate;

	if (!gate->owner.leads(gate->owner.arg, name, &c->address, c->port)) {
		refuse(c, GATE_MISMATCH, name);
		return;
	}
	if (gate_names_add(&c->names, name)) {
		drop(c);
		return;
	}
	if (c->server.fd < 0)
		gate->counts.allowed++;
	stream_judged(&c->stream);
	way_begin(c, name, GATE_REASONS);
}

/* From the client to the server. */

/* Make room for at least a byte. What all connections keep is bounded: the
 * first to go is the one that has been owing a name for longest. */
static int buffer_room(struct connection *c)
{
	struct gate_buffer *b = &c->said;
	struct gate *gate = c->gate;
	uint32_t size = b->size ? 2 * b->size : BUFFER_FIRST;
	struct connection *oldest;
	uint8_t *bytes;

	if (b->at > 0) {
		memmove(b->bytes, b->bytes + b->at, b->end - b->at);
		b->end -= b->at;
		b->at = 0;
	}
	if (b->end < b->size)
		return 0;
	if (size > GATE_NAME_BYTES)
		return -ENOBUFS;
	while (!take_bytes(gate, size - b->size)) {
		oldest = TAILQ_FIRST(&gate->waiting);
		if (!oldest || oldest == c)
			return -ENOBUFS;
		drop(oldest);
	}
	bytes = realloc(b->bytes, size);
	if (!bytes) {
		share_give_back(&gate->buffered, size - b->size);
		return -ENOMEM;
	}
	b->bytes = bytes;
	b->size = size;
	return 0;
}

/* Read more of the client's. Is there more? */
static bool listen_on(struct connection *c)
{
	struct gate_buffer *b = &c->said;
	size_t n;

	if (!c->client.readable || c->client.ended)
		return false;
	if (buffer_room(c)) {
		drop(c);
		return false;
	}
	n = side_read(&c->client, b->bytes + b->end, b->size - b->end);
	b->end += (uint32_t)n;
	if (n > 0)
		c->hungry = false;
	return n > 0;
}

/* Who ends without a word wished for nothing: a probe of the port, or the
 * slower of two attempts. */
static void said_whole(struct connection *c)
{
	bool begun = c->said.end > c->said.at;

	if (begun)
		refuse(c, GATE_MALFORMED, NULL);
	else if (c->server.fd < 0)
		connection_reset(c);
}

/* Look at what the client said. Is there more to be done at once? */
static bool look(struct connection *c)
{
	const struct gate_buffer *b = &c->said;
	size_t n = b->end - b->at, pass = 0;
	enum stream_step step;

	step = stream_look(&c->stream, b->bytes + b->at, n, &pass);
	if (!decoder_room(c)) {
		drop(c);
		return false;
	}
	switch (step) {
	case STREAM_MORE:
		c->hungry = true;
		queue_join(c, QUEUE_WAITING);
		break;
	case STREAM_JUDGE:
		judge(c);
		break;
	case STREAM_PASS:
	case STREAM_ANSWER:
		c->answering = step == STREAM_ANSWER;
		c->going = pass;
		break;
	case STREAM_REST:
		c->going = n;
		break;
	case STREAM_NO_NAME:
		refuse(c, GATE_NO_NAME, NULL);
		break;
	case STREAM_MALFORMED:
		refuse(c, GATE_MALFORMED, NULL);
		break;
	}
	if (step != STREAM_MORE && !c->over)
		queue_leave(c, QUEUE_WAITING);
	return !c->over;
}

/* Send what may go on. Has all of it? */
static bool say_on(struct connection *c)
{
	struct gate_buffer *b = &c->said;
	size_t n;

	while (c->going > 0) {
		n = side_write(&c->server, b->bytes + b->at, c->going);
		if (n == 0)
			return false;
		b->at += (uint32_t)n;
		c->going -= n;
	}
	if (b->at == b->end)
		buffer_free(c);
	return true;
}

/* Move what need not be looked at. Is there something else to be done? */
static bool move_up(struct connection *c)
{
	bool opaque = c->stream.kind == STREAM_OPAQUE;
	uint64_t limit = opaque ? UINT64_MAX : c->stream.body, moved;
	int more = relay_move(c->gate->pipes, &c->up, &c->client, &c->server,
			      limit, &moved);

	if (!opaque)
		stream_moved(&c->stream, moved);
	if (more < 0)
		drop(c);
	else if (more > 0)
		yield_turn(&c->client);
	return more == 0 && c->up.held == 0 && !opaque && c->stream.body == 0;
}

/* One thing of the client's. Is there more to be done at once? */
static bool client_step(struct connection *c)
{
	bool empty;

	if (c->going > 0)
		return say_on(c);
	if (c->answering)
		return false;
	empty = c->said.end == c->said.at;
	if (c->up.held > 0 ||
	    (empty && (c->stream.kind == STREAM_OPAQUE || c->stream.body > 0)))
		return move_up(c);
	if (!empty && !c->hungry)
		return look(c);
	if (listen_on(c))
		return true;
	if (!c->over && c->client.ended && !c->client.failed)
		said_whole(c);
	return false;
}

static void client_run(struct connection *c)
{
	int rounds = 0;

	while (client_step(c)) {
		if (++rounds == ROUNDS) {
			yield_turn(&c->client);
			return;
		}
	}
}

/* From the server to the client. */

/* The answer to an upgrade decides what the client says next. */
static int answer_run(struct connection *c)
{
	uint8_t copy[PIPE_BUF];
	size_t n;
	int more = relay_copy(c->gate->pipes, &c->down, &c->server, &c->client,
			      copy, &n);
	int known = n > 0 ? stream_answered(&c->stream, copy, n) : 0;

	if (known < 0) {
		refuse(c, GATE_MALFORMED, NULL);
	} else if (known > 0) {
		c->answering = false;
		yield_turn(&c->client);
	}
	return more;
}

static void server_run(struct connection *c)
{
	uint64_t moved;
	int more;

	if (c->answering && c->down.held == 0)
		more = answer_run(c);
	else
		more = relay_move(c->gate->pipes, &c->down, &c->server,
				  &c->client, UINT64_MAX, &moved);
	if (c->over)
		return;
	if (more < 0)
		drop(c);
	else if (more > 0)
		yield_turn(&c->server);
}

/* A side failed, and what it said before has reached the other, or cannot. */
static bool broken(const struct side *from, const struct side *to, bool drained)
{
	return from->failed && (to->failed || !to->writable ||
				(drained && (from->ended || !from->readable)));
}

static void pass_end(const struct side *from, struct side *to, bool drained)
{
	if (!from->ended || !drained || to->shut || !to->writable)
		return;
	/* If it was told as well, both are closed, which says the same. */
	if (!from->shut)
		(void)shutdown(to->fd, SHUT_WR);
	to->shut = true;
}

/* Do what can be done now. */
static void connection_run(struct connection *c)
{
	bool up, down;

	client_run(c);
	if (c->over)
		return;
	server_run(c);
	if (c->over)
		return;
	up = c->up.held == 0 && c->going == 0;
	down = c->down.held == 0;
	if (broken(&c->client, &c->server, up) ||
	    broken(&c->server, &c->client, down) ||
	    (c->answering && c->client.failed)) {
		connection_reset(c);
		return;
	}
	pass_end(&c->client, &c->server, up);
	pass_end(&c->server, &c->client, down);
	if (c->client.shut && c->server.shut)
		connection_over(c);
}

void connection_event(struct side *side, uint32_t events)
{
	struct connection *c = side->of;

	if (c->over)
		return;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->hung = true;
	if (side->hung || events & EPOLLIN)
		side->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		side->writable = true;
	if (events & EPOLLERR)
		side->failed = true;
	if (side == &c->server && c->queue == QUEUE_CONNECTING) {
		if (side->failed) {
			way_failed(c);
			return;
		}
		if (side->writable)
			queue_leave(c, QUEUE_CONNECTING);
	}
	connection_run(c);
}

void connection_late(struct connection *c)
{
	if (c->queue == QUEUE_CONNECTING)
		way_failed(c);
	else
		refuse(c, GATE_NO_NAME, NULL);
	if (!c->over)
		connection_run(c);
}

void connection_open(struct gate *gate, int fd, const struct address *source,
		     const struct address *address, uint16_t port)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c) {
		struct side side = {.fd = fd};

		gate->counts.dropped++;
		share_give_back(&gate->connections, 1);
		side_reset(&side);
		return;
	}
	c->gate = gate;
	c->client = (struct side){.of = c, .fd = fd};
	c->server = (struct side){.of = c, .fd = -1};
	c->up = c->down = (struct gate_pipe)GATE_PIPE_NONE;
	c->source = *source;
	c->address = *address;
	c->port = port;
	stream_init(&c->stream, port);
	TAILQ_INSERT_TAIL(&gate->all, c, in_all);
	gate->counts.open++;
	queue_join(c, QUEUE_WAITING);
	if (watch(&c->client, EPOLL_CTL_ADD)) {
		drop(c);
		return;
	}
	/* Who speaks first often has by now. */
	c->client.readable = true;
	connection_run(c);
}
