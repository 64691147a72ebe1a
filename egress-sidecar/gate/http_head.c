/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET http://example.com/ HTTP/1.1    or /path; * of OPTIONS alone
 * Host: example.com:80                once, the same as the target's
 * Content-Length: 12                  or Transfer-Encoding: chunked
 *
 * What two readers may take in two senses is malformed, so that ours is the
 * server's.
 */
#include "inner.h"

#include <errno.h>
#include <string.h>

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool text_equals(struct http_text text, const char *exactly)
{
	return text.len == strlen(exactly) &&
	       memcmp(text.at, exactly, text.len) == 0;
}

/* Cut what stands before the first c from *text, which begins behind it then;
 * all of it where there is none. */
static struct http_text cut(struct http_text *text, uint8_t c)
{
	const uint8_t *end = memchr(text->at, c, text->len);
	struct http_text before = *text;

	if (end)
		before.len = (size_t)(end - text->at);
	text->at += before.len;
	text->len -= before.len;
	if (end) {
		text->at++;
		text->len--;
	}
	return before;
}

/* Decimal digits alone, at the most max. 0 or -EBADMSG. */
static int read_number(struct http_text text, uint64_t max, uint64_t *number)
{
	uint64_t sum = 0;

	if (text.len == 0)
		return -EBADMSG;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = text.at[i] - (unsigned)'0';

		if (!is_digit(text.at[i]) || sum > (max - digit) / 10)
			return -EBADMSG;
		sum = sum * 10 + digit;
	}
	*number = sum;
	return 0;
}

/* The authority of an absolute target, which is of http: this connection is in
 * clear. */
static int read_absolute(struct http_head *head, const uint8_t *bytes,
			 struct http_text target)
{
	static const char scheme[] = "http://";
	struct http_text start = {target.at, strlen(scheme)}, authority;

	if (target.len < start.len || !http_text_is(start, scheme))
		return -EBADMSG;
	target.at += start.len;
	target.len -= start.len;
	authority = (struct http_text){target.at, 0};
	while (authority.len < target.len &&
	       !strchr("/?#", authority.at[authority.len]))
		authority.len++;
	head->absolute = true;
	head->authority = (uint32_t)(authority.at - bytes);
	head->authority_len = (uint32_t)authority.len;
	return 0;
}

static int read_target(struct http_head *head, const uint8_t *bytes,
		       struct http_text method, struct http_text target)
{
	for (size_t i = 0; i < method.len; i++) {
		if (!http_token_char(method.at[i]))
			return -EBADMSG;
	}
	if (method.len == 0 || target.len == 0 ||
	    http_text_is(method, "connect"))
		return -EBADMSG;
	if (target.at[0] == '/')
		return memchr(target.at, '\t', target.len) ? -EBADMSG : 0;
	if (text_equals(target, "*"))
		return text_equals(method, "OPTIONS") ? 0 : -EBADMSG;
	return read_absolute(head, bytes, target);
}

static enum http_head_result read_request(struct http_head *head,
					  const uint8_t *bytes,
					  struct http_text line)
{
	struct http_text method, target;

	if (text_equals(line, "PRI * HTTP/2.0"))
		return HTTP_HEAD_NO_NAME;
	head->request = true;
	method = cut(&line, ' ');
	target = cut(&line, ' ');
	head->old = text_equals(line, "HTTP/1.0");
	if (!head->old && !text_equals(line, "HTTP/1.1"))
		return HTTP_HEAD_MALFORMED;
	return read_target(head, bytes, method, target) < 0
		       ? HTTP_HEAD_MALFORMED
		       : HTTP_HEAD_MORE;
}

static int read_field(struct http_head *head, const uint8_t *bytes,
		      struct http_text line)
{
	struct http_text value;
	int field = http_field_read(line, &value);

	if (field < 0 || field == HTTP_FIELD_OTHER)
		return field < 0 ? field : 0;
	if (head->given & 1 << field)
		return -EBADMSG;
	head->given |= (uint8_t)(1 << field);
	switch ((enum http_field)field) {
	case HTTP_HOST:
		head->host = (uint32_t)(value.at - bytes);
		head->host_len = (uint32_t)value.len;
		return 0;
	case HTTP_CONTENT_LENGTH:
		return read_number(value, INT64_MAX, &head->length);
	case HTTP_TRANSFER_ENCODING:
		head->chunked = true;
		return http_text_is(value, "chunked") ? 0 : -EBADMSG;
	case HTTP_UPGRADE:
		head->upgrade = true;
		head->h2c = http_text_is(value, "h2c");
		return head->h2c || http_text_is(value, "websocket") ? 0
								     : -EBADMSG;
	case HTTP_HTTP2_SETTINGS:
		return 0;
	case HTTP_EXPECT:
		return http_text_is(value, "100-continue") ? 0 : -EBADMSG;
	case HTTP_FIELD_OTHER:
		break;
	}
	return -EBADMSG;
}

static bool is_address(struct http_text text)
{
	char copy[ADDRESS_TEXT_MAX];
	struct address a;

	if (text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	return address_from_text(&a, copy) == 0;
}

/* NAME, or NAME:PORT with the connection's port: another is that of another
 * server, to whoever believes it. */
enum http_head_result http_authority_read(struct http_text text, uint16_t port,
					  struct domain_name *name)
{
	struct http_text host;
	uint64_t number;

	if (text.len == 0 || text.at[0] == '[')
		return HTTP_HEAD_NO_NAME;
	host = cut(&text, ':');
	/* Where there was a colon, what is left begins behind it. */
	if (host.at + host.len != text.at &&
	    (read_number(text, UINT16_MAX, &number) < 0 || number != port ||
	     text.at[0] == '0'))
		return HTTP_HEAD_MALFORMED;
	if (is_address(host))
		return HTTP_HEAD_NO_NAME;
	return gate_name_read(name, host.at, host.len) < 0 ? HTTP_HEAD_MALFORMED
							   : HTTP_HEAD_WHOLE;
}

/* All lines were read. */
static enum http_head_result finish(const struct http_head *head,
				    const uint8_t *bytes, uint16_t port,
				    struct domain_name *name)
{
	struct http_text host = {bytes + head->host, head->host_len};
	struct http_text target = {bytes + head->authority,
				   head->authority_len};
	bool body = head->chunked || head->length > 0;
	struct domain_name read, other;
	enum http_head_result result;

	if (head->chunked &&
	    (head->old || head->given & 1 << HTTP_CONTENT_LENGTH))
		return HTTP_HEAD_MALFORMED;
	/* Of h2c servers do not agree whether a body is HTTP/1 or HTTP/2. */
	if ((head->upgrade && body) ||
	    head->h2c != !!(head->given & 1 << HTTP_HTTP2_SETTINGS) ||
	    (head->given & 1 << HTTP_EXPECT && !body))
		return HTTP_HEAD_MALFORMED;
	result = http_authority_read(host, port, &read);
	if (result != HTTP_HEAD_WHOLE)
		return result;
	if (head->absolute &&
	    (http_authority_read(target, port, &other) != HTTP_HEAD_WHOLE ||
	     !domain_name_equal(&read, &other)))
		return HTTP_HEAD_MALFORMED;
	*name = read;
	return HTTP_HEAD_WHOLE;
}

enum http_head_result http_head_read(struct http_head *head,
				     const uint8_t *bytes, size_t n,
				     uint16_t port, struct domain_name *name)
{
	/* Methods begin so (RFC 9110, 9.3); binary protocols seldom do. */
	if (n > 0 && (bytes[0] < 'A' || bytes[0] > 'Z'))
		return HTTP_HEAD_MALFORMED;
	for (;;) {
		struct http_text line = {bytes + head->len, 0};
		enum http_head_result result = HTTP_HEAD_MORE;
		int len = http_line(line.at, n - head->len, &head->seen);

		if (len == 0)
			return HTTP_HEAD_MORE;
		if (len < 0)
			return HTTP_HEAD_MALFORMED;
		line.len = (size_t)len - 2;
		if (!head->request)
			result = read_request(head, bytes, line);
		else if (line.len > 0 && read_field(head, bytes, line) < 0)
			result = HTTP_HEAD_MALFORMED;
		if (result != HTTP_HEAD_MORE)
			return result;
		head->len += (size_t)len;
		head->seen = 0;
		if (line.len == 0)
			return finish(head, bytes, port, name);
	}
}
