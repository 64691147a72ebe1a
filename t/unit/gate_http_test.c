/* SPDX-License-Identifier: Apache-2.0 */
/* The name in the head of an HTTP/1 request, and where its body ends. */
#include "gate_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define HOST   "Host: a.test\r\n"
#define GET    "GET / HTTP/1.1\r\n" HOST
#define POST   "POST / HTTP/1.1\r\n" HOST
#define LENGTH "Content-Length: 5\r\n"
#define CODING "Transfer-Encoding: chunked\r\n"
#define H2C    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"

static enum http_head_result read_head(struct http_head *head, const char *text,
				       size_t step, char *name)
{
	enum http_head_result result = HTTP_HEAD_MORE;
	struct domain_name read = {.len = 0};
	size_t len = strlen(text), there = 0;

	memset(head, 0, sizeof(*head));
	while (result == HTTP_HEAD_MORE && there < len) {
		there += step < len - there ? step : len - there;
		result = http_head_read(head, (const uint8_t *)text, there, 80,
					&read);
	}
	name[0] = '\0';
	if (read.len > 0)
		domain_name_to_text(&read, name);
	return result;
}

/* Whole, and in steps of all sizes up to 9. */
static void expect(const char *text, enum http_head_result result,
		   const char *name)
{
	char got[DOMAIN_NAME_TEXT_MAX];
	struct http_head head;

	for (size_t step = 0; step < 10; step++) {
		assert_int_equal(
			read_head(&head, text, step ? step : SIZE_MAX, got),
			result);
		assert_string_equal(got, name);
		if (result == HTTP_HEAD_WHOLE)
			assert_int_equal(head.len,
					 strstr(text, "\r\n\r\n") + 4 - text);
	}
}

static void heads_in_form(void **state)
{
	static const char *const good[] = {
		GET "\r\n",
		GET "\r\nbehind it",
		"GET / HTTP/1.0\r\n" HOST "\r\n",
		"GET / HTTP/1.1\r\nhOST:a.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \t A.Test \t\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
		"GET //other.test/ HTTP/1.1\r\n" HOST "\r\n",
		"GET /?q=http://b.test/ HTTP/1.1\r\n" HOST "\r\n",
		"GET http://a.test HTTP/1.1\r\n" HOST "\r\n",
		"GET HTTP://A.test:80/x HTTP/1.1\r\n" HOST "\r\n",
		"GET http://a.test?x HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
		"M-SEARCH /\xc3\xbc HTTP/1.1\r\n" HOST "\r\n",
		GET "X: \xc3\xbc \t y\r\nEmpty:\r\n\r\n",
		GET "Cookie: a=1\r\nCookie: b=2\r\n\r\n",
		GET "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		GET "Upgrade: WebSocket\r\n\r\n",
		GET H2C "\r\n",
		POST "Content-Length: 0\r\nupgrade: H2C\r\n"
		     "http2-settings: \r\n\r\n",
		POST LENGTH "\r\nhello",
		POST "Content-Length: 0\r\n\r\n",
		POST "Content-Length: 9223372036854775807\r\n\r\n",
		POST "Transfer-Encoding: Chunked\r\n\r\n",
		POST LENGTH "Expect: 100-continue\r\n\r\n",
		POST CODING "Expect: 100-Continue\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		expect(good[i], HTTP_HEAD_WHOLE, "a.test");
}

static void heads_without_a_name(void **state)
{
	static const char *const none[] = {
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		expect(none[i], HTTP_HEAD_NO_NAME, "");
}

static void all_malformed(const char *const *bad, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(bad[i], HTTP_HEAD_MALFORMED, "");
}

#define ALL_MALFORMED(bad) all_malformed(bad, sizeof(bad) / sizeof((bad)[0]))

static void request_lines_out_of_form(void **state)
{
	static const char *const bad[] = {
		"\r\n" GET "\r\n",
		"GET /\r\n",
		"GET / \r\n",
		"GET  / HTTP/1.1\r\n",
		"GET / HTTP/1.1 \r\n",
		"GET /a b HTTP/1.1\r\n",
		"GET /a\tb HTTP/1.1\r\n",
		"GET\t/ HTTP/1.1\r\n",
		" GET / HTTP/1.1\r\n",
		"G(T / HTTP/1.1\r\n",
		"GET / HTTP/1.2\r\n",
		"GET / HTTP/2.0\r\n",
		"GET / HTTP/0.9\r\n",
		"GET / http/1.1\r\n",
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\rX",
		"GET / HTTP/1.1\r\r\n",
		"GET /\x01 HTTP/1.1\r\n",
		"GET /\x7f HTTP/1.1\r\n",
		"GET * HTTP/1.1\r\n",
		"options * HTTP/1.1\r\n",
		"GET b.test HTTP/1.1\r\n",
		"GET ?x HTTP/1.1\r\n",
		"GET https://a.test/ HTTP/1.1\r\n",
		"GET ftp://a.test/ HTTP/1.1\r\n",
		"GET http:/a.test/ HTTP/1.1\r\n",
		"CONNECT a.test:443 HTTP/1.1\r\n",
		"CONNECT /x HTTP/1.1\r\n",
		"Connect a.test:443 HTTP/1.1\r\n",
		"PRI * HTTP/2.1\r\n",
		"PRI / HTTP/2.0\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
	};

	(void)state;
	ALL_MALFORMED(bad);
}

static void hosts_out_of_form(void **state)
{
	static const char *const bad[] = {
		GET HOST "\r\n",
		GET "hOsT: b.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:81\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:080\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:+80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:65616\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:80:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: b.test@a.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test/\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a_b.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 2001:db8::1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: http://a.test\r\n\r\n",
		"GET http://b.test/ HTTP/1.1\r\n" HOST "\r\n",
		"GET http://a.test:8080/ HTTP/1.1\r\n" HOST "\r\n",
		"GET http://b.test@a.test/ HTTP/1.1\r\n" HOST "\r\n",
		"GET http://a.test@b.test/ HTTP/1.1\r\n" HOST "\r\n",
		"GET http://a.test\\@b.test/ HTTP/1.1\r\n" HOST "\r\n",
		"GET http:///x HTTP/1.1\r\n" HOST "\r\n",
		"GET http://192.0.2.1/ HTTP/1.1\r\n" HOST "\r\n",
	};

	char head[400];

	(void)state;
	ALL_MALFORMED(bad);
	for (int len = 254; len <= 300; len += 46) {
		int n = sprintf(head, "GET / HTTP/1.1\r\nHost: ");

		for (int i = 0; i < len; i++)
			head[n++] = i % 2 ? '.' : 'a';
		memcpy(head + n - 1, "a\r\n\r\n", 6);
		expect(head, HTTP_HEAD_MALFORMED, "");
	}
}

static void fields_out_of_form(void **state)
{
	static const char *const bad[] = {
		GET " folded\r\n",
		GET "X: y\r\n\tfolded\r\n",
		"GET / HTTP/1.1\r\n Host: b.test\r\n",
		"GET / HTTP/1.1\r\nHost : a.test\r\n",
		"GET / HTTP/1.1\r\nHost\t: a.test\r\n",
		GET "X\r\n",
		GET ": x\r\n",
		GET "X Y: z\r\n",
		GET "X: a\nHost: b.test\r\n",
		GET "X: a\rHost: b.test\r\n",
		GET "X: a\x0b\r\n",
		GET "\xc3\xbc: x\r\n",
		GET "\n",
		GET "HTTP2-Settings: AAMAAABk\r\n\r\n",
		GET "Upgrade: h2c\r\n\r\n",
		GET H2C "HTTP2-Settings: AAMAAABk\r\n",
		GET "Upgrade: websocket\r\nHTTP2-Settings: AA\r\n\r\n",
		GET "Upgrade: websocket, h2c\r\n",
		GET "Upgrade: h2c, websocket\r\n",
		GET "Upgrade: h2\r\n",
		GET "Upgrade: TLS/1.2\r\n",
		GET "Upgrade: websocket\r\nUpgrade: h2c\r\n",
		GET "Upgrade:\r\n",
		POST "Upgrade: websocket\r\n" LENGTH "\r\n",
		POST "Upgrade: websocket\r\n" CODING "\r\n",
		POST H2C LENGTH "\r\n",
		POST H2C CODING "\r\n",
	};

	(void)state;
	ALL_MALFORMED(bad);
}

/* What two servers end in two places. */
static void bodies_out_of_form(void **state)
{
	static const char *const bad[] = {
		POST LENGTH CODING "\r\n",
		POST CODING LENGTH "\r\n",
		POST CODING "Content-Length: 0\r\n\r\n",
		POST LENGTH LENGTH,
		POST LENGTH "Content-Length: 6\r\n",
		POST "Content-Length: 5, 5\r\n",
		POST "Content-Length: +5\r\n",
		POST "Content-Length: -5\r\n",
		POST "Content-Length: 0x5\r\n",
		POST "Content-Length: 5 5\r\n",
		POST "Content-Length: 5.0\r\n",
		POST "Content-Length:\r\n",
		POST "Content-Length: 9223372036854775808\r\n",
		POST "Content-Length: 18446744073709551621\r\n",
		POST CODING CODING,
		POST "Transfer-Encoding: chunked, chunked\r\n",
		POST "Transfer-Encoding: gzip, chunked\r\n",
		POST "Transfer-Encoding: chunked, identity\r\n",
		POST "Transfer-Encoding: identity\r\n",
		POST "Transfer-Encoding: xchunked\r\n",
		POST "Transfer-Encoding: \"chunked\"\r\n",
		POST "Transfer-Encoding: chunked;q=1\r\n",
		POST "Transfer-Encoding:\x0b"
		     "chunked\r\n",
		POST "Transfer-Encoding:\r\n chunked\r\n",
		POST "Transfer-Encoding : chunked\r\n",
		POST "Transfer-Encoding:\r\n",
		"POST / HTTP/1.0\r\n" HOST CODING "\r\n",
		POST LENGTH "Expect: 200-ok\r\n",
		POST LENGTH "Expect: y 100-continue\r\n",
		POST LENGTH "Expect: 100-continue\r\nExpect: 100-continue\r\n",
		GET "Expect: 100-continue\r\n\r\n",
	};

	(void)state;
	ALL_MALFORMED(bad);
}

static void what_a_head_says(void **state)
{
	char name[DOMAIN_NAME_TEXT_MAX];
	struct http_head head;

	(void)state;
	read_head(&head, POST "Content-Length: 0123\r\n\r\n", SIZE_MAX, name);
	assert_int_equal(head.length, 123);
	assert_false(head.chunked || head.upgrade);
	read_head(&head, POST CODING "\r\n", SIZE_MAX, name);
	assert_int_equal(head.length, 0);
	assert_true(head.chunked);
	read_head(&head, GET "Upgrade: websocket\r\n\r\n", SIZE_MAX, name);
	assert_true(head.upgrade);
}

static int chunk_line(const char *text, uint64_t *size)
{
	size_t len = strlen(text), seen = 0, again = 0;
	int whole = http_chunk_line((const uint8_t *)text, len, &seen, size);
	int stepwise = 0;

	for (size_t n = 0; n <= len && stepwise == 0; n++)
		stepwise =
			http_chunk_line((const uint8_t *)text, n, &again, size);
	assert_int_equal(whole, stepwise);
	return whole;
}

static void chunk_lines(void **state)
{
	static const char *const bad[] = {
		"\r\n",
		";x\r\n",
		"g\r\n",
		"0x5\r\n",
		"+5\r\n",
		"-5\r\n",
		" 5\r\n",
		"5 \r\n",
		"5\n",
		"5\r5\r\n",
		"5;a\n\r\n",
		"5;a\rb\r\n",
		"5 ;a\r\n",
		"5;a\x01\r\n",
		"1234567890abcdef\r\n",
		"00000000000000005\r\n",
	};
	static const struct {
		const char *text;
		uint64_t size;
	} good[] = {
		{"0\r\n", 0},
		{"5\r\nhello", 5},
		{"00aF\r\n", 0xaf},
		{"5;name=\"value\"; x\r\n", 5},
		{"fffffffffffffff\r\n", 0xfffffffffffffff},
	};
	char line[HTTP_CHUNK_LINE_MAX + 3];
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(chunk_line(bad[i], &size) < 0);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(chunk_line(good[i].text, &size),
				 strchr(good[i].text, '\n') + 1 - good[i].text);
		assert_int_equal(size, good[i].size);
	}
	for (size_t len = HTTP_CHUNK_LINE_MAX - 1;
	     len <= HTTP_CHUNK_LINE_MAX + 1; len++) {
		memset(line, 'x', sizeof(line));
		memcpy(line, "5;", 2);
		memcpy(line + len - 2, "\r\n", 3);
		assert_int_equal(chunk_line(line, &size),
				 len <= HTTP_CHUNK_LINE_MAX ? (int)len
							    : -EBADMSG);
	}
	/* nor is the end of a longer one waited for */
	memset(line, '1', sizeof(line));
	line[HTTP_CHUNK_LINE_MAX] = '\0';
	assert_int_equal(chunk_line(line, &size), -EBADMSG);
}

static void trailers(void **state)
{
	static const char *const bad[] = {
		"Host: b.test\r\n",
		"Content-Length: 5\r\n",
		"transfer-encoding: chunked\r\n",
		"Upgrade: h2c\r\n",
		"Expect: 100-continue\r\n",
		" folded: x\r\n",
		"X : y\r\n",
		"X\r\n",
		"GET / HTTP/1.1\r\n",
		"X: y\n",
		"X: \x01\r\n",
		"\n",
	};
	size_t seen = 0;
	bool last;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		seen = 0;
		assert_true(http_chunk_trailer((const uint8_t *)bad[i],
					       strlen(bad[i]), &seen,
					       &last) < 0);
	}
	seen = 0;
	assert_int_equal(
		http_chunk_trailer((const uint8_t *)"X: y\r", 5, &seen, &last),
		0);
	assert_int_equal(http_chunk_trailer((const uint8_t *)"X: y\r\n", 6,
					    &seen, &last),
			 6);
	assert_false(last);
	seen = 0;
	assert_int_equal(
		http_chunk_trailer((const uint8_t *)"\r\n", 2, &seen, &last),
		2);
	assert_true(last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_in_form),
		cmocka_unit_test(heads_without_a_name),
		cmocka_unit_test(request_lines_out_of_form),
		cmocka_unit_test(hosts_out_of_form),
		cmocka_unit_test(fields_out_of_form),
		cmocka_unit_test(bodies_out_of_form),
		cmocka_unit_test(what_a_head_says),
		cmocka_unit_test(chunk_lines),
		cmocka_unit_test(trailers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
