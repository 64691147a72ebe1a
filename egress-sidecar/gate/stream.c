/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS:  HELLO -> JUDGE -> GO -> RECORD [-> BODY -> RECORD] ... -> REST
 *                                      [-> HELLO, a second one]
 * HTTP: HEAD -> JUDGE -> GO [-> BODY] -> HEAD ...
 *                           [-> CHUNK -> BODY -> CHUNK_END -> CHUNK ...
 *                            -> TRAILER ...]
 *                           [-> ANSWER -> HEAD ... or REST]
 * HTTP/2: FRAMES -> JUDGE -> GO -> FRAMES [-> BODY] ...
 */
#include "inner.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum state {
	STATE_START,
	STATE_HELLO,
	STATE_HEAD,
	STATE_JUDGE, /* the name of the hello or the head was said */
	STATE_GO,    /* it may go on */
	STATE_RECORD,
	STATE_BODY, /* stream->body bytes, and then after_body */
	STATE_CHUNK,
	STATE_CHUNK_END,
	STATE_TRAILER,
	STATE_ANSWER,
	STATE_FRAMES,
	STATE_REST,
	STATE_END /* stream->end was said */
};

enum {
	RECORD_HEADER = 5,
	RECORD_CHANGE_CIPHER = 20,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
	MESSAGE_CLIENT_HELLO = 1,
	/* The least that a handshake record takes when it is encrypted, and the
	 * octets of it that tell whether it is. */
	ENCRYPTED_MIN = 28,
	TELLING = 5,
	STATUS_TEXT = sizeof("HTTP/1.1 101") - 1
};

void stream_init(struct stream *stream, uint16_t port)
{
	*stream = (struct stream){.port = port};
}

void stream_free(struct stream *stream)
{
	http2_close(stream->http2);
	stream->http2 = NULL;
}

/* What follows n bytes of the present state's, of no concern. */
static void body_follows(struct stream *s, uint64_t n, enum state after)
{
	s->body = n;
	s->after_body = (uint8_t)after;
	s->state = STATE_BODY;
}

static void next(struct stream *s, enum state state)
{
	memset(&s->in, 0, sizeof(s->in));
	s->state = (uint8_t)state;
}

static enum stream_step opaque(struct stream *s)
{
	s->kind = STREAM_OPAQUE;
	s->state = STATE_REST;
	return STREAM_REST;
}

/* What is not TLS is HTTP, or out of its form from the first byte on. */
static enum stream_step look_start(struct stream *s, const uint8_t *bytes,
				   size_t n)
{
	if (http2_preface(bytes, n)) {
		if (n < HTTP2_PREFACE_BYTES)
			return STREAM_MORE;
		if (http2_open(&s->http2, s->port))
			return STREAM_NO_NAME;
		s->kind = STREAM_HTTP2;
		next(s, STATE_FRAMES);
	} else if (bytes[0] == RECORD_HANDSHAKE) {
		s->kind = STREAM_TLS;
		next(s, STATE_HELLO);
	} else {
		s->kind = STREAM_HTTP;
		next(s, STATE_HEAD);
	}
	return STREAM_PASS;
}

static enum stream_step look_hello(struct stream *s, const uint8_t *bytes,
				   size_t n)
{
	switch (hello_read(&s->in.hello, bytes, n, &s->name)) {
	case HELLO_MORE:
		return n < GATE_NAME_BYTES ? STREAM_MORE : STREAM_NO_NAME;
	case HELLO_NAME:
		s->state = STATE_JUDGE;
		return STREAM_JUDGE;
	case HELLO_NONE:
		return STREAM_NO_NAME;
	case HELLO_MALFORMED:
		break;
	}
	return STREAM_MALFORMED;
}

static enum stream_step look_head(struct stream *s, const uint8_t *bytes,
				  size_t n)
{
	switch (http_head_read(&s->in.head, bytes, n, s->port, &s->name)) {
	case HTTP_HEAD_MORE:
		return n < GATE_NAME_BYTES ? STREAM_MORE : STREAM_NO_NAME;
	case HTTP_HEAD_WHOLE:
		/* Which answer is to which request is known of the first.
		 * A server that declined h2c there is asked by some clients
		 * with each request; the preface is never let on. */
		if (s->later && s->in.head.upgrade &&
		    !(s->in.head.h2c && s->h2c))
			return STREAM_MALFORMED;
		s->state = STATE_JUDGE;
		return STREAM_JUDGE;
	case HTTP_HEAD_NO_NAME:
		return STREAM_NO_NAME;
	case HTTP_HEAD_MALFORMED:
		break;
	}
	return STREAM_MALFORMED;
}

/* The bytes that were read as frames go on. */
static enum stream_step pass_frames(struct stream *s, const uint8_t *bytes,
				    size_t *pass)
{
	uint64_t body;

	*pass = http2_pass(s->http2, bytes, &body);
	next(s, STATE_FRAMES);
	if (body > 0)
		body_follows(s, body, STATE_FRAMES);
	return STREAM_PASS;
}

static enum stream_step look_frames(struct stream *s, const uint8_t *bytes,
				    size_t n, size_t *pass)
{
	switch (http2_read(s->http2, bytes, n, &s->name)) {
	case HTTP2_MORE:
		return n < GATE_NAME_BYTES ? STREAM_MORE : STREAM_NO_NAME;
	case HTTP2_NAME:
		s->state = STATE_JUDGE;
		return STREAM_JUDGE;
	case HTTP2_PASS:
		return pass_frames(s, bytes, pass);
	case HTTP2_NO_NAME:
		return STREAM_NO_NAME;
	case HTTP2_MALFORMED:
		break;
	}
	return STREAM_MALFORMED;
}

/* What was judged goes on, and what is behind it is to be read. */
static enum stream_step go_on(struct stream *s, const uint8_t *bytes,
			      size_t *pass)
{
	const struct http_head head = s->in.head;
	bool first = !s->later;

	s->later = true;
	if (s->kind == STREAM_HTTP2)
		return pass_frames(s, bytes, pass);
	if (s->kind == STREAM_TLS) {
		*pass = s->in.hello.len;
		s->versions |= s->in.hello.versions;
		s->early |= s->in.hello.early;
		next(s, STATE_RECORD);
		return STREAM_PASS;
	}
	*pass = head.len;
	next(s, STATE_HEAD);
	if (head.upgrade && first) {
		s->h2c = head.h2c;
		s->state = STATE_ANSWER;
		return STREAM_ANSWER;
	}
	if (head.chunked)
		s->state = STATE_CHUNK;
	else if (head.length > 0)
		body_follows(s, head.length, STATE_HEAD);
	return STREAM_PASS;
}

/*
 * Behind a ClientHello: is there another in clear to come? None comes behind
 * data, but where early data was offered, which a server that retries skips
 * (RFC 8446, 4.2.10); none behind another message; and none behind a
 * ChangeCipherSpec, but in TLS 1.3, where that says nothing (RFC 8446, D.4).
 */
static enum stream_step look_record(struct stream *s, const uint8_t *bytes,
				    size_t n, size_t *pass)
{
	size_t len;

	if (bytes[0] == RECORD_DATA && !s->early)
		return opaque(s);
	if (bytes[0] < RECORD_CHANGE_CIPHER || bytes[0] > RECORD_DATA)
		return STREAM_MALFORMED;
	if (n <= RECORD_HEADER)
		return STREAM_MORE;
	len = (size_t)bytes[3] << 8 | bytes[4];
	if (bytes[1] != 3 || len == 0)
		return STREAM_MALFORMED;
	if (bytes[0] == RECORD_HANDSHAKE) {
		const uint8_t *message = bytes + RECORD_HEADER;

		if (message[0] != MESSAGE_CLIENT_HELLO)
			return opaque(s);
		if (s->encrypted && len >= ENCRYPTED_MIN) {
			if (n < RECORD_HEADER + TELLING)
				return STREAM_MORE;
			/* Too long, or of SSL 2: no ClientHello */
			if (message[1] > 2 || message[4] < 3)
				return opaque(s);
		}
		next(s, STATE_HELLO);
		return STREAM_PASS;
	}
	if (bytes[0] == RECORD_CHANGE_CIPHER) {
		if (!s->versions)
			return opaque(s);
		s->encrypted = true;
	}
	*pass = RECORD_HEADER;
	body_follows(s, len, STATE_RECORD);
	return STREAM_PASS;
}

static enum stream_step look_body(struct stream *s, size_t n, size_t *pass)
{
	*pass = n < s->body ? n : (size_t)s->body;
	stream_moved(s, *pass);
	return STREAM_PASS;
}

static enum stream_step look_chunk(struct stream *s, const uint8_t *bytes,
				   size_t n, size_t *pass)
{
	uint64_t size;
	int len = http_chunk_line(bytes, n, &s->in.seen, &size);

	if (len <= 0)
		return len < 0 ? STREAM_MALFORMED : STREAM_MORE;
	*pass = (size_t)len;
	next(s, STATE_TRAILER);
	if (size > 0)
		body_follows(s, size, STATE_CHUNK_END);
	return STREAM_PASS;
}

static enum stream_step look_chunk_end(struct stream *s, const uint8_t *bytes,
				       size_t n, size_t *pass)
{
	if (bytes[0] != '\r' || (n > 1 && bytes[1] != '\n'))
		return STREAM_MALFORMED;
	if (n < 2)
		return STREAM_MORE;
	*pass = 2;
	next(s, STATE_CHUNK);
	return STREAM_PASS;
}

static enum stream_step look_trailer(struct stream *s, const uint8_t *bytes,
				     size_t n, size_t *pass)
{
	bool last;
	int len = http_chunk_trailer(bytes, n, &s->in.seen, &last);

	if (len == 0 && n < GATE_NAME_BYTES)
		return STREAM_MORE;
	if (len <= 0)
		return STREAM_MALFORMED;
	*pass = (size_t)len;
	next(s, last ? STATE_HEAD : STATE_TRAILER);
	return STREAM_PASS;
}

/* One step; STREAM_PASS, also of nothing: look again behind *pass bytes. */
static enum stream_step look(struct stream *s, const uint8_t *bytes, size_t n,
			     size_t *pass)
{
	enum state state = s->state;

	switch (state) {
	case STATE_JUDGE:
		return STREAM_JUDGE;
	case STATE_GO:
		return go_on(s, bytes, pass);
	case STATE_REST:
		return STREAM_REST;
	case STATE_END:
		return s->end;
	default:
		break;
	}
	if (n == 0 || state == STATE_ANSWER)
		return STREAM_MORE;
	switch (state) {
	case STATE_START:
		return look_start(s, bytes, n);
	case STATE_HELLO:
		return look_hello(s, bytes, n);
	case STATE_HEAD:
		return look_head(s, bytes, n);
	case STATE_RECORD:
		return look_record(s, bytes, n, pass);
	case STATE_BODY:
		return look_body(s, n, pass);
	case STATE_CHUNK:
		return look_chunk(s, bytes, n, pass);
	case STATE_CHUNK_END:
		return look_chunk_end(s, bytes, n, pass);
	case STATE_TRAILER:
		return look_trailer(s, bytes, n, pass);
	case STATE_FRAMES:
		return look_frames(s, bytes, n, pass);
	default:
		return STREAM_MALFORMED;
	}
}

enum stream_step stream_look(struct stream *stream, const uint8_t *bytes,
			     size_t n, size_t *pass)
{
	enum stream_step step;
	size_t at = 0;

	do {
		size_t more = 0;

		step = look(stream, bytes + at, n - at, &more);
		at += more;
		/* The name is the last one's until what it let on is gone. */
	} while (step == STREAM_PASS &&
		 (at == 0 || (stream->state != STATE_HELLO &&
			      stream->state != STATE_HEAD &&
			      stream->state != STATE_FRAMES)));
	if (step == STREAM_NO_NAME || step == STREAM_MALFORMED) {
		stream->end = step;
		stream->state = STATE_END;
	}
	*pass = at;
	return at > 0 && step != STREAM_ANSWER ? STREAM_PASS : step;
}

void stream_judged(struct stream *stream)
{
	assert(stream->state == STATE_JUDGE);
	stream->state = STATE_GO;
}

void stream_moved(struct stream *stream, uint64_t n)
{
	if (n == 0)
		return;
	assert(stream->state == STATE_BODY && n <= stream->body);
	stream->body -= n;
	if (stream->body == 0)
		next(stream, stream->after_body);
}

/* The status is read. */
static int judge_status(struct stream *s, uint16_t status)
{
	if (status < 100 || (status == 101 && s->h2c))
		return -EBADMSG;
	if (status == 101)
		opaque(s);
	else if (status >= 200)
		next(s, STATE_HEAD);
	return s->state != STATE_ANSWER;
}

/* The next byte of an answer, or what has been known before it. */
static int read_answer(struct stream *s, uint8_t c)
{
	static const char line[STATUS_TEXT + 1] = "HTTP/1.x ###";
	uint8_t at = s->in.answer.at;

	if (at == STATUS_TEXT) {
		/* an interim response's head, to its empty line */
		if (c != '\n' && c != '\r')
			s->in.answer.blank = 0;
		else if (c == '\n' && ++s->in.answer.blank == 2)
			next(s, STATE_ANSWER);
		return 0;
	}
	if (line[at] == '#') {
		if (c < '0' || c > '9')
			return -EBADMSG;
		s->in.answer.status =
			(uint16_t)(s->in.answer.status * 10 + c - '0');
	} else if (line[at] == 'x' ? c != '0' && c != '1'
				   : c != (uint8_t)line[at]) {
		return -EBADMSG;
	}
	s->in.answer.at++;
	return at + 1 < STATUS_TEXT ? 0 : judge_status(s, s->in.answer.status);
}

int stream_answered(struct stream *stream, const uint8_t *bytes, size_t n)
{
	int result = stream->state != STATE_ANSWER;

	for (size_t i = 0; i < n && result == 0; i++)
		result = read_answer(stream, bytes[i]);
	return result;
}
