/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record  16 03 01 02 00          handshake, version, 512 bytes
 * message 01 00 01 fc             ClientHello of 508, the records end with it
 *         03 03 random[32] session<0..32> ciphers<2..> compression<1..>
 *         extensions<> = { type, data<> } ...
 *         server_name    = <00 "example.com"<>>
 */
#include "inner.h"

#include <string.h>

enum {
	RECORD_HEADER = 5,
	RECORD_MAX = 1 << 14, /* of plaintext (RFC 8446, 5.1) */
	RECORD_HANDSHAKE = 22,
	MESSAGE_HEADER = 4,
	MESSAGE_CLIENT_HELLO = 1,
	RANDOM = 32,
	SESSION_MAX = 32,
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_EARLY_DATA = 42,
	EXTENSION_VERSIONS = 43,
	NAME_HOST = 0
};

static size_t get16(const uint8_t *at)
{
	return (size_t)at[0] << 8 | at[1];
}

/* What is left of a message whose records are all there. */
struct cursor {
	const uint8_t *at;
	size_t record; /* left of the record at is in */
	size_t left;   /* left of the message */
};

static void skip(struct cursor *c, size_t n)
{
	c->left -= n;
	while (n > 0) {
		size_t here;

		if (c->record == 0) {
			c->record = get16(c->at + 3);
			c->at += RECORD_HEADER;
		}
		here = n < c->record ? n : c->record;
		c->at += here;
		c->record -= here;
		n -= here;
	}
}

static uint8_t take(struct cursor *c)
{
	skip(c, 1);
	return c->at[-1];
}

/* Octets of a number, 1 or 2 of them, and as many as it says are left behind
 * it; or -1. */
static int take_length(struct cursor *c, unsigned octets)
{
	unsigned n = 0;

	if (c->left < octets)
		return -1;
	for (unsigned i = 0; i < octets; i++)
		n = n << 8 | take(c);
	return n <= c->left ? (int)n : -1;
}

/* One entry, and it is a host's name (RFC 6066, 3). */
static enum hello_result read_server_name(struct cursor *c, size_t len,
					  struct domain_name *name)
{
	uint8_t text[GATE_NAME_TEXT_MAX];
	size_t head[5];

	if (len < 5)
		return HELLO_MALFORMED;
	for (size_t i = 0; i < 5; i++)
		head[i] = take(c);
	len -= 5;
	if ((head[0] << 8 | head[1]) != len + 3 || head[2] != NAME_HOST ||
	    (head[3] << 8 | head[4]) != len || len > sizeof(text))
		return HELLO_MALFORMED;
	for (size_t i = 0; i < len; i++)
		text[i] = take(c);
	return gate_name_read(name, text, len) < 0 ? HELLO_MALFORMED
						   : HELLO_NAME;
}

static enum hello_result read_extensions(struct hello *hello, struct cursor *c,
					 struct domain_name *name)
{
	enum hello_result result = HELLO_NONE;
	uint8_t seen[(1 << 16) / 8] = {0};
	int all = take_length(c, 2);

	if (all < 0 || (size_t)all != c->left)
		return HELLO_MALFORMED;
	while (c->left > 0) {
		size_t type;
		int len;

		if (c->left < 4)
			return HELLO_MALFORMED;
		type = (size_t)take(c) << 8;
		type |= take(c);
		len = take_length(c, 2);
		if (len < 0 || seen[type / 8] & 1 << type % 8)
			return HELLO_MALFORMED;
		seen[type / 8] |= (uint8_t)(1 << type % 8);
		if (type == EXTENSION_VERSIONS)
			hello->versions = true;
		if (type == EXTENSION_EARLY_DATA)
			hello->early = true;
		if (type != EXTENSION_SERVER_NAME)
			skip(c, (size_t)len);
		else if (read_server_name(c, (size_t)len, name) == HELLO_NAME)
			result = HELLO_NAME;
		else
			return HELLO_MALFORMED;
	}
	return result;
}

static enum hello_result read_message(struct hello *hello, struct cursor *c,
				      struct domain_name *name)
{
	struct domain_name read;
	enum hello_result result;
	int len;

	skip(c, MESSAGE_HEADER);
	if (c->left < 2 + RANDOM || take(c) != 3)
		return HELLO_MALFORMED;
	skip(c, 1 + RANDOM);
	len = take_length(c, 1);
	if (len < 0 || len > SESSION_MAX)
		return HELLO_MALFORMED;
	skip(c, (size_t)len);
	len = take_length(c, 2);
	if (len < 2 || len % 2 != 0)
		return HELLO_MALFORMED;
	skip(c, (size_t)len);
	len = take_length(c, 1);
	if (len < 1)
		return HELLO_MALFORMED;
	skip(c, (size_t)len);
	if (c->left == 0)
		return HELLO_NONE;
	result = read_extensions(hello, c, &read);
	if (result == HELLO_NAME)
		*name = read;
	return result;
}

/* What of the message's own header is in the record with n bytes there: the
 * message's length is known when all is. */
static bool read_header(struct hello *hello, const uint8_t *record, size_t n)
{
	for (size_t i = hello->got; i < MESSAGE_HEADER && i - hello->got < n;
	     i++)
		hello->header[i] = record[i - hello->got];
	if (hello->got + n == 0)
		return true;
	if (hello->header[0] != MESSAGE_CLIENT_HELLO)
		return false;
	if (hello->got + n >= MESSAGE_HEADER)
		hello->message =
			MESSAGE_HEADER + ((size_t)hello->header[1] << 16 |
					  get16(hello->header + 2));
	return hello->message <= MESSAGE_HEADER + GATE_NAME_BYTES;
}

enum hello_result hello_read(struct hello *hello, const uint8_t *bytes,
			     size_t n, struct domain_name *name)
{
	for (;;) {
		const uint8_t *record = bytes + hello->len;
		size_t there = n - hello->len, len;

		if ((there > 0 && record[0] != RECORD_HANDSHAKE) ||
		    (there > 1 && record[1] != 3))
			return HELLO_MALFORMED;
		if (there < RECORD_HEADER)
			return HELLO_MORE;
		len = get16(record + 3);
		there -= RECORD_HEADER;
		if (there > len)
			there = len;
		if (len == 0 || len > RECORD_MAX ||
		    !read_header(hello, record + RECORD_HEADER, there) ||
		    (hello->message && hello->got + len > hello->message))
			return HELLO_MALFORMED;
		if (there < len)
			return HELLO_MORE;
		hello->got += len;
		hello->len += RECORD_HEADER + len;
		if (hello->got == hello->message) {
			struct cursor c = {bytes, 0, hello->message};

			return read_message(hello, &c, name);
		}
	}
}
