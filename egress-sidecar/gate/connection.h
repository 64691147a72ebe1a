/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moving parts: gate.c accepts and wakes connections, connection.c leads
 * one from its first byte to its end, relay.c moves bytes between its sides,
 * way.c opens the second of them.
 *
 *   waiting for a name -> connecting -> open -> over
 */
#ifndef EGRESS_GATE_CONNECTION_H
#define EGRESS_GATE_CONNECTION_H

#include "inner.h"

#include <sys/queue.h>

enum {
	GATE_WAITING_MAX = 4096, /* without a name */
	GATE_BUFFERS_MAX =
		16 * 1024 * 1024, /* bytes, of a gate's connections */
	/* Who speak HTTP/2, and what each one's table of fields takes. */
	GATE_HTTP2_MAX = 256,
	GATE_HTTP2_BYTES = 32 * 1024,
	WAYS_KEPT = 8
};

/*
 * One socket of the two. It is polled edge-triggered (epoll(7)) from its first
 * moment to its last: readable and writable are what is known, until a call
 * says EAGAIN.
 */
struct side {
	struct connection *of;
	int fd; /* -1: none */
	bool readable, writable;
	bool hung;   /* its end or an error lies ahead of what can be read */
	bool ended;  /* read to its end */
	bool failed; /* reset, timed out, unreachable */
	bool shut;   /* it was told that nothing more comes */
	bool bulk;   /* the last read was as much as is copied */
};

/* bytes[at..end) of size. */
struct gate_buffer {
	uint8_t *bytes; /* owned; NULL: none */
	uint32_t at, end, size;
};

TAILQ_HEAD(connections, connection);

enum connection_queue {
	QUEUE_NONE,
	QUEUE_WAITING,   /* a name is begun, or has to be */
	QUEUE_CONNECTING /* for the server */
};

struct connection {
	TAILQ_ENTRY(connection) in_all;
	TAILQ_ENTRY(connection) in_queue;
	uint64_t until_ms; /* it may stay there; of uv_now() */
	struct gate *gate;
	struct side client, server;
	struct gate_pipe up, down; /* to the server, to the client */
	struct gate_buffer said;   /* by the client, not gone on */
	size_t going;              /* of said, which may go on */
	/* What was let on, each name once: what one of them asked for may be
	 * under way yet. */
	struct gate_names names;
	struct address source, address; /* of the client; to be reached */
	uint16_t port;                  /* the same, host order */
	uint8_t queue;                  /* enum connection_queue */
	bool hungry;                    /* what was said is too little */
	bool answering;                 /* the server's answer decides */
	bool decoding;                  /* HTTP/2; it has room for that */
	bool over;
	struct stream stream;
};

/* Sockets of one family, not used yet. */
struct ways {
	int fd[WAYS_KEPT];
	size_t n;
	bool taken; /* one, since ways_keep() */
};

struct gate {
	uv_loop_t *loop;
	uv_poll_t poll; /* of epoll, which has all the sockets */
	uv_timer_t timer;
	int epoll;
	unsigned handles; /* of libuv, not closed yet */
	bool deaf;        /* not accepting for want of descriptors */
	bool yielded;     /* a connection that has more to do at once */
	size_t waiting_max;
	struct gate_settings settings;
	struct gate_owner owner;
	struct gate_counts counts;
	struct pipes *pipes;
	struct ways ways4, ways6;
	struct share connections, buffered;
	size_t n_waiting, n_decoding;
	struct connections all, waiting, connecting;
	struct connections over; /* by in_queue; to be freed when no event of
				    theirs can be at hand */
};

/* relay.c */

/*
 * Move at most limit bytes from one side to the other without looking at them;
 * *moved has left the first, if not all of it reached the second. 1: there may
 * be more at once; 0: wait for an event; -errno: no pipe. What ails a side is
 * in the side.
 */
int relay_move(struct pipes *pipes, struct gate_pipe *pipe, struct side *from,
	       struct side *to, uint64_t limit, uint64_t *moved);

/* The same once, by way of copy, of PIPE_BUF bytes, where they are left. */
int relay_copy(struct pipes *pipes, struct gate_pipe *pipe, struct side *from,
	       struct side *to, uint8_t *copy, size_t *moved);

/* recv(2) and send(2) of n >= 1 bytes, keeping the side's account. Bytes, or 0:
 * none at present, or ever. */
size_t side_read(struct side *side, uint8_t *bytes, size_t n);
size_t side_write(struct side *side, const uint8_t *bytes, size_t n);

/* Keepalive, and no waiting for more to send: a listener's pass to what it
 * accepts. 0 or -errno. */
int side_keep(int fd);

/* Reset the connection (RST), and whatever was on its way. */
void side_reset(struct side *side);

/* way.c */

/*
 * A socket of the sandbox's namespace (sidecar mode: ours, outward_socket()),
 * marked, on its way to the address from the client's own, where it has that.
 * Its connection is not answered yet: poll it. Or -errno.
 */
int way_open(struct gate *gate, const struct address *source,
	     const struct address *to, uint16_t port);

/* Make some, where the last was taken. */
void ways_keep(struct gate *gate);

/* Close those that nobody needed. */
void ways_close(struct gate *gate);

/* connection.c */

/* Take an accepted socket on, whose share is taken; it is closed if that
 * fails. */
void connection_open(struct gate *gate, int fd, const struct address *source,
		     const struct address *address, uint16_t port);

/* What epoll says of one side, which is its data there. */
void connection_event(struct side *side, uint32_t events);

/* Does the owner still allow every name of it that was let on? */
bool connection_allowed(const struct connection *c);

/* Its time in the queue is up. */
void connection_late(struct connection *c);

/* Reset both sides. Freed later. */
void connection_reset(struct connection *c);

/* One that is over. */
void connection_free(struct connection *c);

#endif
