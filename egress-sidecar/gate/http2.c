/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PRI * HTTP/2.0 CRLF CRLF SM CRLF CRLF    the preface
 * SETTINGS, WINDOW_UPDATE, ...             held until the first request's name
 * HEADERS [CONTINUATION ...]               a request: held, decoded, judged
 * DATA, ...                                of no concern
 * HEADERS of the same stream               its trailers: they name nobody
 *
 * Servers may raise the size of the table that fields are compressed with. We
 * do not read what they say: a client that makes use of it is out of form.
 */
#include "inner.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

bool http2_preface(const uint8_t *bytes, size_t n)
{
	return memcmp(bytes, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		      n < HTTP2_PREFACE_BYTES ? n : HTTP2_PREFACE_BYTES) == 0;
}

enum {
	FRAME_HEADER = 9,
	FLAG_END_HEADERS = 0x4,
	FLAG_PADDED = 0x8,
	FLAG_PRIORITY = 0x20,
	PRIORITY_BYTES = 5
};

enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_PUSH_PROMISE = 5,
	FRAME_CONTINUATION = 9
};

enum given {
	GIVEN_METHOD = 1 << 0,
	GIVEN_SCHEME = 1 << 1,
	GIVEN_PATH = 1 << 2,
	GIVEN_AUTHORITY = 1 << 3,
	GIVEN_HOST = 1 << 4,
	GIVEN_OTHER = 1 << 5,
	GIVEN_PSEUDO =
		GIVEN_METHOD | GIVEN_SCHEME | GIVEN_PATH | GIVEN_AUTHORITY,
	GIVEN_REQUEST = GIVEN_METHOD | GIVEN_SCHEME | GIVEN_PATH
};

struct http2 {
	nghttp2_hd_inflater *inflater;
	size_t at;     /* bytes that were read, of whole frames */
	size_t block;  /* where the header block begins */
	uint32_t last; /* the last request's stream; 0: none yet */
	uint32_t open; /* whose header block is not whole; 0: none */
	uint16_t port;
	uint8_t given; /* by the block, enum given */
	bool trailers; /* it is not a request's */
	enum http2_result result;
	struct domain_name name;
};

struct frame {
	const uint8_t *payload;
	size_t len;
	uint32_t stream;
	uint8_t type, flags;
};

int http2_open(struct http2 **out, uint16_t port)
{
	struct http2 *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	if (nghttp2_hd_inflate_new(&h->inflater)) {
		free(h);
		return -ENOMEM;
	}
	h->port = port;
	h->at = HTTP2_PREFACE_BYTES;
	*out = h;
	return 0;
}

void http2_close(struct http2 *h)
{
	if (!h)
		return;
	nghttp2_hd_inflate_del(h->inflater);
	free(h);
}

static int read_name(struct http2 *h, struct http_text value)
{
	enum http_head_result result;
	struct domain_name name;

	result = http_authority_read(value, h->port, &name);
	if (result == HTTP_HEAD_NO_NAME)
		h->result = HTTP2_NO_NAME;
	else if (result != HTTP_HEAD_WHOLE ||
		 (h->given & (GIVEN_AUTHORITY | GIVEN_HOST) &&
		  !domain_name_equal(&h->name, &name)))
		return -EBADMSG;
	else
		h->name = name;
	return 0;
}

/* Its sort; what two servers may read differently is -EBADMSG. */
static int field_sort(struct http_text name, struct http_text value)
{
	bool slash = value.len > 0 && value.at[0] == '/';

	if (http_text_is(name, ":method"))
		return http_text_is(value, "connect") ? -EBADMSG : GIVEN_METHOD;
	if (http_text_is(name, ":scheme"))
		return http_text_is(value, "http") ? GIVEN_SCHEME : -EBADMSG;
	if (http_text_is(name, ":path"))
		return slash || http_text_is(value, "*") ? GIVEN_PATH
							 : -EBADMSG;
	if (http_text_is(name, ":authority"))
		return GIVEN_AUTHORITY;
	if (http_text_is(name, "host"))
		return GIVEN_HOST;
	/* RFC 9113, 8.2.2 */
	if (http_text_is(name, "transfer-encoding") ||
	    http_text_is(name, "upgrade") || http_text_is(name, "connection"))
		return -EBADMSG;
	for (size_t i = 0; i < name.len; i++)
		if (!http_token_char(name.at[i]))
			return -EBADMSG;
	return name.len > 0 ? GIVEN_OTHER : -EBADMSG;
}

static int read_field(struct http2 *h, const nghttp2_nv *nv)
{
	struct http_text name = {nv->name, nv->namelen};
	struct http_text value = {nv->value, nv->valuelen};
	int sort = field_sort(name, value);

	if (sort < 0)
		return sort;
	for (size_t i = 0; i < value.len; i++)
		if ((value.at[i] < ' ' && value.at[i] != '\t') ||
		    value.at[i] == 0x7f)
			return -EBADMSG;
	if (sort != GIVEN_OTHER &&
	    (h->trailers || h->given & sort ||
	     (sort & GIVEN_PSEUDO && h->given & (GIVEN_OTHER | GIVEN_HOST))))
		return -EBADMSG;
	if (sort & (GIVEN_AUTHORITY | GIVEN_HOST) && read_name(h, value))
		return -EBADMSG;
	h->given |= (uint8_t)sort;
	return 0;
}

static struct frame frame_at(const uint8_t *bytes)
{
	return (struct frame){
		.payload = bytes + FRAME_HEADER,
		.len = (size_t)bytes[0] << 16 | (size_t)bytes[1] << 8 |
		       bytes[2],
		.type = bytes[3],
		.flags = bytes[4],
		/* without the reserved bit */
		.stream = (uint32_t)(bytes[5] & 0x7f) << 24 |
			  (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 8 |
			  bytes[8],
	};
}

/* Cut what is around the fields, where the block begins. */
static int strip(struct frame *f)
{
	size_t padding = 0, head = 0;

	if (f->flags & FLAG_PADDED) {
		if (f->len == 0)
			return -EBADMSG;
		padding = f->payload[0];
		head = 1;
	}
	if (f->flags & FLAG_PRIORITY)
		head += PRIORITY_BYTES;
	if (f->len < head + padding)
		return -EBADMSG;
	f->payload += head;
	f->len -= head + padding;
	return 0;
}

static int inflate(struct http2 *h, const struct frame *f, bool last)
{
	const uint8_t *at = f->payload;
	size_t left = f->len;
	int flags;

	do {
		nghttp2_nv nv;
		ssize_t n;

		flags = 0;
		n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, at, left,
					   last);
		if (n < 0 ||
		    (flags & NGHTTP2_HD_INFLATE_EMIT && read_field(h, &nv)))
			return -EBADMSG;
		at += n;
		left -= (size_t)n;
	} while (!(flags & NGHTTP2_HD_INFLATE_FINAL) &&
		 (left > 0 || flags & NGHTTP2_HD_INFLATE_EMIT));
	if (flags & NGHTTP2_HD_INFLATE_FINAL)
		nghttp2_hd_inflate_end_headers(h->inflater);
	return 0;
}

/* A client's streams are odd, each higher than the one before (RFC 9113,
 * 5.1.1). */
static int begin_block(struct http2 *h, struct frame *f)
{
	if (f->stream % 2 == 0)
		return -EBADMSG;
	h->given = 0;
	h->result = HTTP2_NAME;
	h->trailers = f->stream <= h->last;
	if (!h->trailers)
		h->last = f->stream;
	return strip(f);
}

static enum http2_result end_block(const struct http2 *h,
				   struct domain_name *name)
{
	if (h->trailers)
		return HTTP2_PASS;
	if ((h->given & GIVEN_REQUEST) != GIVEN_REQUEST)
		return HTTP2_MALFORMED;
	if (!(h->given & (GIVEN_AUTHORITY | GIVEN_HOST)))
		return HTTP2_NO_NAME;
	*name = h->name;
	return h->result;
}

/* The header block is whole: only now is memory taken for what it says. */
static enum http2_result read_block(struct http2 *h, const uint8_t *bytes,
				    struct domain_name *name)
{
	for (size_t at = h->block; at < h->at;) {
		struct frame f = frame_at(bytes + at);

		at += FRAME_HEADER + f.len;
		if ((f.type == FRAME_HEADERS && begin_block(h, &f)) ||
		    inflate(h, &f, at == h->at))
			return HTTP2_MALFORMED;
	}
	return end_block(h, name);
}

/* May a frame of this type stand here? */
static bool in_order(const struct http2 *h, const struct frame *f)
{
	if (h->open || f->type == FRAME_CONTINUATION)
		return f->type == FRAME_CONTINUATION && h->open &&
		       f->stream == h->open;
	return f->type != FRAME_PUSH_PROMISE &&
	       (h->last || f->type != FRAME_DATA);
}

enum http2_result http2_read(struct http2 *h, const uint8_t *bytes, size_t n,
			     struct domain_name *name)
{
	while (n >= h->at + FRAME_HEADER) {
		struct frame f = frame_at(bytes + h->at);
		size_t whole = h->at + FRAME_HEADER + f.len;
		bool block =
			f.type == FRAME_HEADERS || f.type == FRAME_CONTINUATION;

		if (!in_order(h, &f))
			return HTTP2_MALFORMED;
		if (!block && h->last) {
			h->at += FRAME_HEADER;
			return HTTP2_PASS;
		}
		if (n < whole)
			break;
		if (f.type == FRAME_HEADERS)
			h->block = h->at;
		if (block)
			h->open = f.flags & FLAG_END_HEADERS ? 0 : f.stream;
		h->at = whole;
		if (block && !h->open)
			return read_block(h, bytes, name);
	}
	return HTTP2_MORE;
}

size_t http2_pass(struct http2 *h, const uint8_t *bytes, uint64_t *body)
{
	size_t n = h->at;

	h->at = 0;
	*body = 0;
	if (n == FRAME_HEADER && bytes[3] != FRAME_HEADERS)
		*body = frame_at(bytes).len;
	return n;
}
