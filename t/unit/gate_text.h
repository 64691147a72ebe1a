/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos, octet by octet, and a stream that is fed in pieces. */
#ifndef GATE_TEXT_H
#define GATE_TEXT_H

#include "gate/inner.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
	TEXT_MAX = 512 * 1024
};

struct text {
	uint8_t bytes[TEXT_MAX];
	size_t len;
};

static inline void put(struct text *t, const void *bytes, size_t n)
{
	assert(n <= sizeof(t->bytes) - t->len);
	memcpy(t->bytes + t->len, bytes, n);
	t->len += n;
}

static inline void put_number(struct text *t, size_t number, unsigned octets)
{
	while (octets-- > 0)
		put(t, &(uint8_t){(uint8_t)(number >> 8 * octets)}, 1);
}

static inline void put_zeros(struct text *t, size_t n)
{
	assert(n <= sizeof(t->bytes) - t->len);
	memset(t->bytes + t->len, 0, n);
	t->len += n;
}

/* A vector begins: octets of length, and end_vector() fills them in. */
static inline size_t begin_vector(struct text *t, unsigned octets)
{
	put_zeros(t, octets);
	return t->len;
}

static inline void end_vector(struct text *t, size_t begin, unsigned octets)
{
	size_t len = t->len - begin;

	for (unsigned i = 1; i <= octets; i++, len >>= 8)
		t->bytes[begin - i] = (uint8_t)len;
}

static inline void put_extension(struct text *t, unsigned type,
				 const void *data, size_t len)
{
	put_number(t, type, 2);
	put_number(t, len, 2);
	put(t, data, len);
}

static inline void put_server_name(struct text *t, const void *name, size_t len)
{
	put_number(t, 0, 2);
	put_number(t, len + 5, 2);
	put_number(t, len + 3, 2);
	put_number(t, 0, 1);
	put_number(t, len, 2);
	put(t, name, len);
}

/* Up to the extensions, which end_hello() ends. */
static inline void begin_hello(struct text *t)
{
	t->len = 0;
	put(t, "\x01\0\0\0\x03\x03", 6);
	put_zeros(t, 32);
	put(t, "\x04wxyz\0\x02\x13\x01\x01\0", 11);
	put_zeros(t, 2);
}

enum {
	HELLO_EXTENSIONS = 6 + 32 + 11 + 2
};

static inline void end_hello(struct text *t)
{
	end_vector(t, HELLO_EXTENSIONS, 2);
	end_vector(t, 4, 3);
}

/* The message in records of at most size bytes each. */
static inline void put_records(struct text *t, const struct text *message,
			       size_t size)
{
	for (size_t at = 0; at < message->len; at += size) {
		size_t n = message->len - at < size ? message->len - at : size;

		put(t, "\x16\x03\x01", 3);
		put_number(t, n, 2);
		put(t, message->bytes + at, n);
	}
}

/* What a stream said of a connection. */
struct heard {
	char names[8192]; /* that were to be judged, a blank behind each */
	size_t passed;    /* bytes that went on */
	enum stream_step end;
	bool answered;
};

/*
 * Feed all of text, step bytes at a time, as a connection does that lets
 * everything on; answer is what the server says to an Upgrade. What went on
 * stays in the order of the text, so that counting is enough.
 */
static inline void listen_to(struct heard *heard, const uint8_t *text,
			     size_t len, size_t step, uint16_t port,
			     const char *answer)
{
	struct stream stream;
	size_t there = 0, pass;

	memset(heard, 0, sizeof(*heard));
	stream_init(&stream, port);
	heard->end = STREAM_MORE;
	while (there < len || heard->end != STREAM_MORE) {
		if (heard->end == STREAM_MORE) {
			there += step < len - there ? step : len - there;
			if (there - heard->passed > GATE_NAME_BYTES)
				there = heard->passed + GATE_NAME_BYTES;
		}
		heard->end = stream_look(&stream, text + heard->passed,
					 there - heard->passed, &pass);
		if (heard->end == STREAM_JUDGE) {
			size_t n = strlen(heard->names);
			char name[DOMAIN_NAME_TEXT_MAX];

			domain_name_to_text(&stream.name, name);
			snprintf(heard->names + n, sizeof(heard->names) - n,
				 "%s ", name);
			stream_judged(&stream);
		} else if (heard->end == STREAM_PASS ||
			   heard->end == STREAM_ANSWER) {
			assert(pass > 0 && pass <= there - heard->passed);
			heard->passed += pass;
			heard->answered |= heard->end == STREAM_ANSWER;
			if (heard->end == STREAM_ANSWER &&
			    stream_answered(&stream, (const uint8_t *)answer,
					    strlen(answer)) != 1)
				break;
		} else if (heard->end != STREAM_MORE) {
			break;
		}
	}
	if (heard->end == STREAM_REST)
		heard->passed = len;
	stream_free(&stream);
}

#endif
