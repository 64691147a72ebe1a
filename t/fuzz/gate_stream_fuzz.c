/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a client says, in pieces of a size that the last byte
 * chooses, with an answer to an Upgrade that it chooses, too. In pieces and
 * whole the same goes on, after the same names. And a server that is not strict
 * (its own reading, below) finds these names in what went on, each request's,
 * and no other: nothing went on whose name was not judged. It finds no preface
 * of HTTP/2 behind a request, and nothing behind its answer that it speaks that
 * now. What begins with the preface is fed in pieces alone.
 *
 * Counted: egress-sidecar/gate/stream.c
 * Counted: egress-sidecar/gate/http_line.c
 * Counted: egress-sidecar/gate/http_head.c
 * Counted: egress-sidecar/gate/http_chunk.c
 */
#include "unit/gate_text.h"

#include <ctype.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const answers[] = {
	"HTTP/1.1 101 Switching Protocols\r\n",
	"HTTP/1.1 200 OK\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 x\r\n",
	"HTTP/2 200\r\n",
};

/* How a server reads that is not strict. */
struct server {
	bool last_host; /* of two the last one counts */
	bool length;    /* of two framings the length counts */
	bool h2c;       /* a request asked for HTTP/2 */
	const uint8_t *at, *end;
	char names[sizeof(((struct heard *)0)->names)];
};

static void check(bool right)
{
	if (!right)
		abort();
}

static void add_name(struct server *s, const char *name, size_t len)
{
	size_t n = strlen(s->names);

	check(n + len + 2 <= sizeof(s->names));
	for (size_t i = 0; i < len; i++)
		s->names[n++] = (char)tolower((unsigned char)name[i]);
	memcpy(s->names + n, " ", 2);
}

/* The next line, that ends with LF, without it and blanks; NULL: none. */
static char *line(struct server *s, char *out, size_t size)
{
	const uint8_t *lf = memchr(s->at, '\n', (size_t)(s->end - s->at));
	size_t len;

	if (!lf)
		return NULL;
	len = (size_t)(lf - s->at);
	check(len < size);
	memcpy(out, s->at, len);
	while (len > 0 && isspace((unsigned char)out[len - 1]))
		len--;
	out[len] = '\0';
	s->at = lf + 1;
	return out;
}

static void skip_body(struct server *s, bool chunked, unsigned long long length)
{
	char text[8192];
	char *size;

	if (!chunked) {
		unsigned long long there = (unsigned long long)(s->end - s->at);

		s->at += length < there ? length : there;
		return;
	}
	while ((size = line(s, text, sizeof(text)))) {
		unsigned long long n = strtoull(size, NULL, 16);

		skip_body(s, false, n);
		if (n == 0)
			break;
		/* what is behind a chunk, whatever it is */
		if (!line(s, text, sizeof(text)))
			return;
	}
	while ((size = line(s, text, sizeof(text))) && size[0])
		;
}

static char *value_of(char *field, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(field, name, len) != 0)
		return NULL;
	field += len;
	field += strspn(field, " \t");
	if (field[0] != ':')
		return NULL;
	return field + 1 + strspn(field + 1, " \t\v\f\r");
}

/* One request, with its body. */
static bool serve(struct server *s)
{
	char text[8192], host[8192] = "", *field, *value;
	bool chunked = false, framed = false, h2c = false;
	unsigned long long length = 0;

	if (s->at == s->end)
		return false;
	/* Heads go on whole, and nothing before them. */
	field = line(s, text, sizeof(text));
	check(field && field[0] && strcmp(field, "PRI * HTTP/2.0") != 0);
	value = strcasestr(field, " http://");
	if (value)
		snprintf(host, sizeof(host), "%.*s",
			 (int)strcspn(value + 8, "/?# :"), value + 8);
	while ((field = line(s, text, sizeof(text))) && field[0]) {
		value = value_of(field, "host");
		if (value && (s->last_host || !host[0]))
			snprintf(host, sizeof(host), "%.*s",
				 (int)strcspn(value, ":"), value);
		value = value_of(field, "content-length");
		if (value) {
			length = strtoull(value, NULL, 10);
			framed = true;
		}
		value = value_of(field, "transfer-encoding");
		if (value && strcasestr(value, "chunked"))
			chunked = true;
		value = value_of(field, "upgrade");
		h2c |= value && strcasestr(value, "h2c");
	}
	check(field != NULL && !(h2c && (chunked || length)));
	s->h2c |= h2c;
	add_name(s, host, strlen(host));
	skip_body(s, chunked && !(framed && s->length), length);
	return true;
}

static void check_http(const struct heard *heard, const uint8_t *data,
		       bool switches)
{
	for (unsigned i = 0; i < 4; i++) {
		static struct server s;

		s = (struct server){.last_host = i & 1,
				    .length = i & 2,
				    .at = data,
				    .end = data + heard->passed};
		while (serve(&s)) {
			check(!s.h2c || !switches || s.at == s.end);
			if (heard->answered && heard->end == STREAM_REST)
				break;
		}
		check(strcmp(s.names, heard->names) == 0);
	}
}

static size_t number(const uint8_t **at, size_t *left, unsigned octets)
{
	size_t n = 0;

	check(*left >= octets);
	for (unsigned i = 0; i < octets; i++)
		n = n << 8 | (*at)[i];
	*at += octets;
	*left -= octets;
	check(n <= *left);
	return n;
}

/* The name in a hello that was joined of its records. */
static void add_hello(struct server *s, const uint8_t *at, size_t left,
		      bool *early, bool *versions)
{
	size_t n;

	check(left >= 38);
	at += 38;
	left -= 38;
	for (unsigned i = 0; i < 3; i++) {
		n = number(&at, &left, i == 1 ? 2 : 1);
		at += n;
		left -= n;
	}
	number(&at, &left, 2);
	while (left > 0) {
		unsigned type = (unsigned)at[0] << 8 | at[1];

		at += 2;
		left -= 2;
		n = number(&at, &left, 2);
		if (type == 0)
			add_name(s, (const char *)at + 5, n - 5);
		*early |= type == 42;
		*versions |= type == 43;
		at += n;
		left -= n;
	}
}

/* The first ClientHello, and what a server takes for a second one. */
static void check_tls(const struct heard *heard, const uint8_t *data)
{
	static struct server s;
	static uint8_t message[TEXT_MAX];
	size_t got = 0, need = 0, left = heard->passed;
	bool early = false, versions = false, changed = false;

	s = (struct server){.names = ""};
	while (left >= 5) {
		size_t len = (size_t)data[3] << 8 | data[4];

		if (data[0] == 23 && !early)
			break;
		/* No TLS 1.3: from here on it is encrypted. */
		if (data[0] == 20 && !versions)
			break;
		if (left < 5 + len)
			break;
		if (data[0] == 22) {
			memcpy(message + got, data + 5, len);
			got += len;
			if (message[0] != 1 || (changed && len >= 28))
				break;
			if (got >= 4)
				need = 4 + ((size_t)message[1] << 16 |
					    (size_t)message[2] << 8 |
					    message[3]);
			if (need && got >= need) {
				check(got == need);
				add_hello(&s, message, got, &early, &versions);
				got = need = 0;
			}
		} else {
			check(got == 0);
			changed |= data[0] == 20;
		}
		data += 5 + len;
		left -= 5 + len;
	}
	/* Behind a ChangeCipherSpec only what is surely in clear is held
	 * against it. */
	check(strncmp(heard->names, s.names, strlen(s.names)) == 0);
	check(changed || strcmp(heard->names, s.names) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct heard whole, pieces;
	const char *answer;

	if (size == 0 || size > 8000)
		return 0;
	size--;
	answer = answers[data[size] >> 6];
	listen_to(&whole, data, size, SIZE_MAX, 80, answer);
	listen_to(&pieces, data, size, 1 + data[size] % 64, 80, answer);
	check(strcmp(whole.names, pieces.names) == 0 &&
	      whole.passed == pieces.passed && whole.end == pieces.end);
	if (whole.passed == 0)
		return 0;
	if (data[0] == 22)
		check_tls(&whole, data);
	else if (!http2_preface(data, size))
		check_http(&whole, data, answer == answers[0]);
	return 0;
}
