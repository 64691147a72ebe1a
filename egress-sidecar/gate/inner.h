/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's parts, for the files of this room alone. */
#ifndef EGRESS_GATE_INNER_H
#define EGRESS_GATE_INNER_H

#include "gate.h"

/* name.c: a name as SNI and Host give it: letters, digits, hyphens and dots
 * alone, no empty label, no dot at the end, no address and nothing that may be
 * read as one. 0, or -EINVAL and *name is what it was. */

enum {
	GATE_NAME_TEXT_MAX = 253 /* octets of it, without the dot at the end */
};

int gate_name_read(struct domain_name *name, const uint8_t *text, size_t len);

/* What a connection was let on by, each name once. Zero before the first. */
struct gate_names {
	struct domain_name **at; /* owned */
	size_t n;
};

enum {
	GATE_NAMES_MAX = 8
};

/* 0, -ENOSPC (over GATE_NAMES_MAX) or -ENOMEM. */
int gate_names_add(struct gate_names *names, const struct domain_name *name);
void gate_names_free(struct gate_names *names);

/*
 * hello.c: the name in a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), in
 * clear: of an encrypted one the outer name. Read on where the last call came
 * to: every record's header is looked at once, and the message once, when it is
 * whole.
 */

enum hello_result {
	HELLO_MORE,
	HELLO_NAME, /* *name is filled */
	HELLO_NONE, /* whole and in form, and no server_name in it */
	HELLO_MALFORMED
};

/* Zero before the first call. */
struct hello {
	size_t len;     /* bytes of the records that are whole */
	size_t got;     /* bytes of the message in them */
	size_t message; /* bytes of the whole message; 0: not known yet */
	uint8_t header[4];
	bool versions; /* it has supported_versions */
	bool early;    /* it has early_data */
};

/* Read the handshake message that begins with the n bytes, over as many records
 * as it takes (RFC 8446, 5.1), which end with it. The bytes are those of the
 * last call, and what came behind. */
enum hello_result hello_read(struct hello *hello, const uint8_t *bytes,
			     size_t n, struct domain_name *name);

/* http_line.c: lines and fields of HTTP/1 (RFC 9112, 2.2; RFC 9110, 5). */

/* The fields that say whose a request is or where it ends. */
enum http_field {
	HTTP_HOST,
	HTTP_CONTENT_LENGTH,
	HTTP_TRANSFER_ENCODING,
	HTTP_UPGRADE,
	HTTP_HTTP2_SETTINGS,
	HTTP_EXPECT,
	HTTP_FIELD_OTHER
};

struct http_text {
	const uint8_t *at;
	size_t len;
};

/* May c stand in a token (RFC 9110, 5.6.2)? */
bool http_token_char(uint8_t c);

/* Is it the word, which is in lower case, whatever the case of its letters? */
bool http_text_is(struct http_text text, const char *word);

/* The bytes of the line that begins here, its CRLF included; 0: its end is not
 * among the n; -EBADMSG: a control, a bare CR or a bare LF. *seen is zero for a
 * line's first call: bytes that need not be looked at again. */
int http_line(const uint8_t *bytes, size_t n, size_t *seen);

/* A field's line without its CRLF: its value, blanks around it cut. Which
 * field it is, or -EBADMSG. */
int http_field_read(struct http_text line, struct http_text *value);

/*
 * http_head.c: the head of one HTTP/1 request (RFC 9112, 2 to 6), strictly,
 * line by line as they come.
 */

/* Zero before the first call. */
struct http_head {
	size_t len;  /* bytes of the lines that were read; of a whole head, all,
			the empty line included */
	size_t seen; /* of the next line */
	/* Where values stand from the head's first byte on. */
	uint32_t host, host_len;
	uint32_t authority, authority_len; /* of an absolute target */
	uint64_t length;                   /* bytes of the body, 0: none */
	uint8_t given;                     /* 1 << enum http_field */
	bool request;                      /* the first line was read */
	bool old;                          /* HTTP/1.0 */
	bool absolute;
	bool chunked; /* the body's framing; else length */
	bool upgrade; /* to another protocol, which names no host */
	bool h2c;     /* that is HTTP/2 (RFC 7540, 3.2), which does, unread */
};

enum http_head_result {
	HTTP_HEAD_MORE,
	HTTP_HEAD_WHOLE,    /* *name is filled */
	HTTP_HEAD_NO_NAME,  /* no Host or an empty one, an address in it,
			       HTTP/2's preface where it is not the first */
	HTTP_HEAD_MALFORMED /* and what is not to be let on: CONNECT, two
			       Hosts, both framings, obs-fold, ... */
};

/* The bytes are those of the last call, and what came behind. port: see struct
 * stream. */
enum http_head_result http_head_read(struct http_head *head,
				     const uint8_t *bytes, size_t n,
				     uint16_t port, struct domain_name *name);

/* NAME or NAME:PORT of a Host or an :authority; port is the one to be named.
 * HTTP_HEAD_WHOLE, _NO_NAME (an address, or nothing) or _MALFORMED. */
enum http_head_result http_authority_read(struct http_text text, uint16_t port,
					  struct domain_name *name);

/*
 * http2.c: the frames of a client that speaks HTTP/2 from the first byte on
 * (RFC 9113, 3.3), and the :authority of each request in them. libnghttp2
 * decodes fields.
 */

enum {
	HTTP2_PREFACE_BYTES = 24
};

enum http2_result {
	HTTP2_MORE,
	HTTP2_NAME, /* *name is filled, and is to be judged */
	HTTP2_PASS, /* of no concern */
	HTTP2_NO_NAME,
	HTTP2_MALFORMED
};

struct http2;

/* Are the bytes the preface, or where they are fewer its beginning? */
bool http2_preface(const uint8_t *bytes, size_t n);

/* 0 or -ENOMEM. port: see struct stream. */
int http2_open(struct http2 **out, uint16_t port);
void http2_close(struct http2 *h);

/* Read on; the bytes are those of the last call, and what came behind: at
 * first from the preface on, afterwards from where http2_pass() came to. */
enum http2_result http2_read(struct http2 *h, const uint8_t *bytes, size_t n,
			     struct domain_name *name);

/* After HTTP2_NAME, once judged, and after HTTP2_PASS: the bytes that go on,
 * and *body: those of the frame behind them, which do without being read. */
size_t http2_pass(struct http2 *h, const uint8_t *bytes, uint64_t *body);

/* http_chunk.c: a chunked body (RFC 9112, 7.1), but for the chunks' data. */

enum {
	HTTP_CHUNK_LINE_MAX = 1024 /* bytes, extensions and CRLF included */
};

/* The line before a chunk: bytes of it, and *size those of the chunk's data;
 * 0: its end is not among the n; or -EBADMSG. seen: see http_line(). */
int http_chunk_line(const uint8_t *bytes, size_t n, size_t *seen,
		    uint64_t *size);

/* A line of the trailers, as before; *last: it is the empty one behind them. */
int http_chunk_trailer(const uint8_t *bytes, size_t n, size_t *seen,
		       bool *last);

/*
 * stream.c: what a client has said so far, and how much of it may go on. Pure:
 * hello.c and http*.c are below it. One stream belongs to one connection and
 * is fed the client's bytes in order, each once consumed never again.
 *
 * TLS is opaque only once a server can take no further ClientHello in clear:
 * after a HelloRetryRequest (RFC 8446, 4.1.4) a second one comes, and what says
 * that servers compare the names? HTTP is never, unless it is switched.
 */

enum stream_kind {
	STREAM_UNKNOWN, /* not one byte yet */
	STREAM_TLS,
	STREAM_HTTP,
	STREAM_HTTP2,
	STREAM_OPAQUE /* judged, and nothing that follows is */
};

/* What is to be done next. */
enum stream_step {
	STREAM_MORE,     /* keep the bytes, and come again with more behind */
	STREAM_JUDGE,    /* stream->name is to be judged; where it is let on,
			    stream_judged(), and come again with the same bytes */
	STREAM_PASS,     /* the first *pass bytes go on and are forgotten, 1 at
			    the least; come again with what is left, or nothing */
	STREAM_REST,     /* all of these and all that will come go on */
	STREAM_ANSWER,   /* the first *pass bytes go on; then nothing of the
			    client's is read until stream_answered() says 1 */
	STREAM_NO_NAME,  /* the end: it gives no name */
	STREAM_MALFORMED /* the end: out of form */
};

/* Members other than name, kind and body are stream.c's own. */
struct stream {
	enum stream_kind kind;
	struct domain_name name; /* of the last STREAM_JUDGE */
	uint16_t port;           /* of the connection: a port that Host names is
				    this one, or the request is out of form */
	uint64_t body; /* bytes that follow, of no concern to us: may be moved
			  without being read, by stream_moved() */

	uint8_t state, after_body;
	enum stream_step end; /* that was said, and is again */
	bool later;           /* a request was judged before */
	bool h2c;             /* the first one asked for it */
	bool versions, early; /* of the first hello */
	bool encrypted;       /* what follows may be */
	struct http2 *http2;  /* owned; NULL: it is none */
	union {
		struct hello hello;
		struct http_head head;
		size_t seen; /* of a line in a chunked body */
		struct {
			uint8_t at;    /* bytes of the status line, to the
					  status' end */
			uint8_t blank; /* LFs in a row */
			uint16_t status;
		} answer;
	} in;
};

void stream_init(struct stream *stream, uint16_t port);

/* Free what it holds; it is not used again. */
void stream_free(struct stream *stream);

/*
 * Look at the n bytes that the client has sent and that have not gone on.
 * *pass is set for STREAM_PASS and STREAM_ANSWER. n == GATE_NAME_BYTES and
 * STREAM_MORE do not go together but while an answer is awaited: what has no
 * name by then is STREAM_NO_NAME.
 */
enum stream_step stream_look(struct stream *stream, const uint8_t *bytes,
			     size_t n, size_t *pass);

/* The name of STREAM_JUDGE may go on. */
void stream_judged(struct stream *stream);

/* n bytes of the body were moved; n <= stream->body. */
void stream_moved(struct stream *stream, uint64_t n);

/*
 * After STREAM_ANSWER: what the server says, in order, each byte once. 1:
 * enough is known, and the client is read again (what follows is opaque if the
 * protocol was switched, else the next request); 0: more of the answer is
 * needed; -EBADMSG: the answer is out of form or switches to HTTP/2, and the
 * connection ends. Bytes of the server's go on whatever this says.
 */
int stream_answered(struct stream *stream, const uint8_t *bytes, size_t n);

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
