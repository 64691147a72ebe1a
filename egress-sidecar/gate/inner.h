/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's parts, for the files of this room alone. */
#ifndef EGRESS_GATE_INNER_H
#define EGRESS_GATE_INNER_H

#include "gate.h"

/*
 * stream.c: what a client has said so far, and how much of it may go on. Pure:
 * hello.c and http_head.c are below it. One stream belongs to one connection
 * and is fed the client's bytes in order, each once consumed never again.
 */

enum stream_kind {
	STREAM_UNKNOWN, /* not one byte yet */
	STREAM_TLS,
	STREAM_HTTP,
	STREAM_OPAQUE /* judged, and nothing that follows is */
};

/* What is to be done next. */
enum stream_step {
	STREAM_MORE,   /* keep the bytes, and come again with more behind */
	STREAM_JUDGE,  /* stream->name is to be judged; where it is let on,
			  stream_judged(), and come again with the same bytes */
	STREAM_PASS,   /* the first *n bytes go on and are forgotten; n >= 1 */
	STREAM_REST,   /* all of these and all that will come go on */
	STREAM_ANSWER, /* the first *n bytes go on; then nothing of the client's
			  is read until stream_answered() */
	STREAM_NO_NAME,  /* the end: it gives no name */
	STREAM_MALFORMED /* the end: out of form */
};

/* Members other than name, kind and body are stream.c's own. */
struct stream {
	enum stream_kind kind;
	struct domain_name name; /* of STREAM_JUDGE */
	uint16_t port;           /* of the connection: a port that Host names is
				    this one, or the name is none */
	uint64_t body; /* bytes that follow, of no concern to us: may be moved
			  without being read, by stream_moved() */
	bool judged;   /* what is read at present may go on */
	bool upgrade;  /* the request wishes another protocol */
	uint8_t state;
};

void stream_init(struct stream *stream, uint16_t port);

/*
 * Look at the n bytes that the client has sent and that have not gone on.
 * *pass is set for STREAM_PASS and STREAM_ANSWER. n == GATE_NAME_BYTES and
 * STREAM_MORE do not go together: what has no name by then is STREAM_NO_NAME.
 */
enum stream_step stream_look(struct stream *stream, const uint8_t *bytes,
			     size_t n, size_t *pass);

/* The name of STREAM_JUDGE may go on. */
void stream_judged(struct stream *stream);

/* n bytes of the body were moved; n <= stream->body. */
void stream_moved(struct stream *stream, uint64_t n);

/*
 * After STREAM_ANSWER: the first bytes that the server said since. 1: enough
 * is known, and the client is read again (what follows is opaque if the
 * protocol was switched, else the next request); 0: more of the answer is
 * needed; -1: the answer is out of form, and the connection ends. Bytes of the
 * server's go on whatever this says.
 */
int stream_answered(struct stream *stream, const uint8_t *bytes, size_t n);

/* hello.c: the name in a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3). */

enum hello {
	HELLO_MORE,
	HELLO_NAME, /* *name is filled */
	HELLO_NONE, /* whole and in form, and no server_name in it */
	HELLO_MALFORMED
};

/* Read the handshake message that begins with the n bytes, over as many records
 * as it takes (RFC 8446, 5.1). */
enum hello hello_read(const uint8_t *bytes, size_t n, struct domain_name *name);

/* http_head.c: the head of one HTTP/1 request (RFC 9112, 2 to 6), strictly. */

struct http_head {
	size_t len; /* bytes, the empty line included */
	struct domain_name name;
	bool has_name;
	bool chunked;    /* the body's framing; else length */
	uint64_t length; /* bytes of the body, 0: none */
	bool upgrade;    /* Upgrade, to something else than h2c */
};

enum http_head_result {
	HTTP_HEAD_MORE,
	HTTP_HEAD_WHOLE,
	HTTP_HEAD_NO_NAME,  /* no Host (HTTP/1.0), an address in it, HTTP/2's
			       preface */
	HTTP_HEAD_MALFORMED /* and what is not to be let on: CONNECT, h2c,
			       two Hosts, both framings, obs-fold, ... */
};

enum http_head_result http_head_read(const uint8_t *bytes, size_t n,
				     uint16_t port, struct http_head *head);

/* name.c: a name as SNI and Host give it: letters, digits, hyphens and dots
 * alone, no empty label, no dot at the end, no address. 0 or -EINVAL. */
int gate_name_read(struct domain_name *name, const uint8_t *text, size_t len);

/* pipes.c: pipe(2)s, of which idle connections have none. */

struct pipes; /* a pool, of one gate */
struct gate_pipe {
	int in, out; /* written to, read from; -1: none at present */
	size_t held; /* bytes in it */
};

#define GATE_PIPE_NONE              \
	{                           \
		.in = -1, .out = -1 \
	}

/* 0 or -ENOMEM. Give every pipe back before pipes_close(); NULL is nothing. */
int pipes_open(struct pipes **out);
void pipes_close(struct pipes *pipes);

/* Fill one that is none; one that is, stays. 0 or -errno of pipe2(2). */
int pipes_take(struct pipes *pipes, struct gate_pipe *pipe);

/* It is none afterwards: closed where there are bytes in it, so that nobody
 * else meets them, else kept for the next, where few are. */
void pipes_give(struct pipes *pipes, struct gate_pipe *pipe);

#endif
