/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on of a connection, and which names are judged before, in whatever
 * pieces it comes. */
#include "gate_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define GET(name)  "GET / HTTP/1.1\r\nHost: " name "\r\n\r\n"
#define POST(name) "POST / HTTP/1.1\r\nHost: " name "\r\n"
#define CHUNKED    "Transfer-Encoding: chunked\r\n\r\n"
#define SOCKET     "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n"
#define H2C                                  \
	"GET / HTTP/1.1\r\nHost: a.test\r\n" \
	"Upgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\n"

static struct text connection;

static const char *answer = SWITCHED;

/* In steps of every small size, and whole. passed: what goes on before the
 * end. */
static void expect_bytes(const char *names, enum stream_step end, size_t passed)
{
	struct heard heard;

	for (size_t step = 0; step < 20; step++) {
		listen_to(&heard, connection.bytes, connection.len,
			  step ? step : SIZE_MAX, 80, answer);
		assert_string_equal(heard.names, names);
		assert_int_equal(heard.end, end);
		assert_int_equal(heard.passed, passed);
	}
}

static void expect(const char *text, const char *names, enum stream_step end,
		   size_t passed)
{
	connection.len = 0;
	put(&connection, text, strlen(text));
	expect_bytes(names, end, passed);
}

static void expect_all(const char *text, const char *names)
{
	expect(text, names, STREAM_MORE, strlen(text));
}

/* What begins behind good goes nowhere. */
static void expect_cut(const char *text, const char *names, const char *good)
{
	expect(text, names, STREAM_MALFORMED, strlen(good));
}

static void first_bytes(void **state)
{
	static const char *const bad[] = {
		"\x80\x2e\x01\x03\x01", /* of SSL 2 */
		"\x15\x03\x01\0\x02\x02\x28",
		"get / HTTP/1.1\r\n",
		"\r\n" GET("a.test"),
		" ",
		"\x14",
		"\x17\x03\x03",
		"\xff",
		"*1\r\n$4\r\nPING\r\n",
		"{}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_cut(bad[i], "", "");
	expect_cut("SSH-2.0-OpenSSH_9.2\r\n", "", "");
	expect("PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n", "", STREAM_NO_NAME, 0);
	expect("GET / HTTP/1.0\r\n\r\n", "", STREAM_NO_NAME, 0);
	expect("GET / HTTP/1.1\r\nHost: a.te", "", STREAM_MORE, 0);
}

static void requests_one_by_one(void **state)
{
	(void)state;
	expect_all(GET("a.test"), "a.test ");
	expect_all(GET("a.test") GET("b.test:80") GET("C.test"),
		   "a.test b.test c.test ");
	expect_all(
		POST("a.test") "Content-Length: 5\r\n\r\nhello" GET("b.test"),
		"a.test b.test ");
	/* a body may say what it will */
	expect_all(POST("a.test") "Content-Length: 32\r\n\r\n" GET("x.test")
			   GET("b.test"),
		   "a.test b.test ");
	expect(GET("a.test") "GET / HTTP/1.1\r\n\r\n", "a.test ",
	       STREAM_NO_NAME, strlen(GET("a.test")));
	expect_cut(GET("a.test") "CONNECT b.test:443 HTTP/1.1\r\n", "a.test ",
		   GET("a.test"));
	expect_cut(GET("a.test") "\r\n", "a.test ", GET("a.test"));
	expect_cut(GET("a.test") "\x16\x03\x01", "a.test ", GET("a.test"));
	expect(GET("a.test") "PRI * HTTP/2.0\r\n\r\n", "a.test ",
	       STREAM_NO_NAME, strlen(GET("a.test")));
}

static void chunked_bodies(void **state)
{
#define HEAD POST("a.test") CHUNKED
	(void)state;
	expect_all(HEAD "0\r\n\r\n" GET("b.test"), "a.test b.test ");
	expect_all(HEAD "5\r\nhello\r\n20;x=y\r\n" GET(
			   "x.test") "\r\n"
				     "0\r\nX: y\r\nZ:\r\n\r\n" GET("b.test"),
		   "a.test b.test ");
	expect_cut(HEAD "5\r\nhelloX", "a.test ", HEAD "5\r\nhello");
	expect_cut(HEAD "5\r\nhello\n", "a.test ", HEAD "5\r\nhello");
	expect_cut(HEAD "5\r\nhello\rX", "a.test ", HEAD "5\r\nhello");
	expect_cut(HEAD "5\nhello", "a.test ", HEAD);
	expect_cut(HEAD "0\r\nHost: b.test\r\n\r\n", "a.test ", HEAD "0\r\n");
	expect_cut(HEAD "0\r\nX: y\r\n\n", "a.test ", HEAD "0\r\nX: y\r\n");
	expect_cut(HEAD "0\r\n" GET("b.test"), "a.test ", HEAD "0\r\n");
	expect_cut(HEAD "0\r\n\r\n\r\n", "a.test ", HEAD "0\r\n\r\n");
#undef HEAD
}

static void another_protocol(void **state)
{
	(void)state;
	answer = SWITCHED;
	expect(SOCKET "\x81\x85 anything", "a.test ", STREAM_REST,
	       strlen(SOCKET "\x81\x85 anything"));
	answer = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
		 "HTTP/1.1 100 Continue\r\n\r\n" SWITCHED;
	expect(SOCKET "anything", "a.test ", STREAM_REST,
	       strlen(SOCKET "anything"));
	/* declined: the next request is a request */
	answer = "HTTP/1.1 426 Upgrade Required\r\n";
	expect_all(SOCKET GET("b.test"), "a.test b.test ");
	expect_cut(SOCKET "\x81\x85", "a.test ", SOCKET);
	answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n";
	expect_all(SOCKET GET("b.test"), "a.test b.test ");
	/* once something else was asked, whose answer is it? */
	answer = SWITCHED;
	expect_cut(GET("a.test") SOCKET, "a.test ", GET("a.test"));
	answer = "HTTP/1.1 200 OK\r\n";
	expect_cut(SOCKET SOCKET, "a.test ", SOCKET);
}

/* HTTP/2 names a host in each request, and we read none of them. */
static void http2_is_not_switched_to(void **state)
{
	(void)state;
	answer = SWITCHED;
	expect(H2C PREFACE, "a.test ", STREAM_ANSWER, strlen(H2C));
	answer = "HTTP/1.1 100 Continue\r\n\r\n" SWITCHED;
	expect(H2C GET("b.test"), "a.test ", STREAM_ANSWER, strlen(H2C));
	/* declined: asked again, the answer is not awaited */
	answer = "HTTP/1.1 200 OK\r\n";
	expect_all(H2C GET("b.test") H2C H2C, "a.test b.test a.test a.test ");
	expect(H2C H2C PREFACE, "a.test a.test ", STREAM_NO_NAME,
	       strlen(H2C H2C));
	expect_cut(H2C SOCKET, "a.test ", H2C);
	/* not asked for at first */
	expect_cut(GET("a.test") H2C, "a.test ", GET("a.test"));
	expect_cut(SOCKET H2C, "a.test ", SOCKET);
}

static void answers_out_of_form(void **state)
{
	static const char *const bad[] = {
		"HTTP/2 200\r\n",     "HTTP/1.1  101 x\r\n",
		"HTTP/1.1 1x1 y\r\n", "HTTP/1.1 001 z\r\n",
		"http/1.1 101 x\r\n", "\r\nHTTP/1.1 101 x\r\n",
		"HTTP/1.2 101\r\n",   "HTTP/1.1 100\r\n\r\nX",
	};
	static const char *const more[] = {
		"",
		"HTTP/1.1 10",
		"HTTP/1.1 100 Continue\r\n",
		"HTTP/1.1 100 Continue\r\nX: y\r\n",
		"HTTP/1.1 103 x\r\nX: HTTP/1.1 101\r\n\r\nHTTP/1.1 ",
	};
	struct stream stream;
	size_t pass;

	(void)state;
	for (size_t i = 0; i < 8 + 5; i++) {
		const char *text = i < 8 ? bad[i] : more[i - 8];
		int said = 0;

		stream_init(&stream, 80);
		stream_look(&stream, (const uint8_t *)SOCKET, strlen(SOCKET),
			    &pass);
		stream_judged(&stream);
		assert_int_equal(stream_look(&stream, (const uint8_t *)SOCKET,
					     strlen(SOCKET), &pass),
				 STREAM_ANSWER);
		for (size_t at = 0; at < strlen(text) && said == 0; at++)
			said = stream_answered(&stream,
					       (const uint8_t *)text + at, 1);
		assert_int_equal(said, i < 8 ? -EBADMSG : 0);
		assert_int_equal(
			stream_look(&stream, (const uint8_t *)"x", 1, &pass),
			STREAM_MORE);
	}
}

/* What is not let on is asked about again, and nothing of it goes on. */
static void a_verdict_is_awaited(void **state)
{
	const uint8_t *text = (const uint8_t *)(GET("a.test") GET("b.test"));
	size_t len = strlen((const char *)text), pass;
	struct stream s;

	(void)state;
	stream_init(&s, 80);
	assert_int_equal(stream_look(&s, text, len, &pass), STREAM_JUDGE);
	assert_int_equal(stream_look(&s, text, len, &pass), STREAM_JUDGE);
	assert_int_equal(pass, 0);
	stream_judged(&s);
	assert_int_equal(stream_look(&s, text, len, &pass), STREAM_PASS);
	assert_int_equal(pass, len / 2);
	/* The next name is not said before what was let on is gone. */
	assert_memory_equal(s.name.wire, "\1a\4test", 8);
	assert_int_equal(stream_look(&s, text + pass, pass, &pass),
			 STREAM_JUDGE);
	assert_memory_equal(s.name.wire, "\1b\4test", 8);
}

/* A body may be moved without being looked at. */
static void bodies_that_are_moved(void **state)
{
	const char *head =
		POST("a.test") "Content-Length: 1000000000000\r\n\r\n";
	size_t pass;
	struct stream s;

	(void)state;
	stream_init(&s, 80);
	stream_look(&s, (const uint8_t *)head, strlen(head), &pass);
	assert_int_equal(s.body, 0);
	stream_judged(&s);
	assert_int_equal(
		stream_look(&s, (const uint8_t *)head, strlen(head), &pass),
		STREAM_PASS);
	assert_int_equal(s.body, 1000000000000);
	stream_moved(&s, 999999999990);
	assert_int_equal(stream_look(&s, (const uint8_t *)"12345GET", 5, &pass),
			 STREAM_PASS);
	assert_int_equal(pass, 5);
	assert_int_equal(s.body, 5);
	stream_moved(&s, 5);
	assert_int_equal(stream_look(&s, (const uint8_t *)"GE", 2, &pass),
			 STREAM_MORE);
	stream_moved(&s, 0); /* nothing more of it */
	assert_int_equal(stream_look(&s, (const uint8_t *)"GE\n", 3, &pass),
			 STREAM_MALFORMED);
}

static void nothing_within_the_bound(void **state)
{
	static const char *const begins[] = {
		"GET /",
		"GET / HTTP/1.1\r\nHost: a.test\r\nX: ",
		"GET / HTTP/1.1\r\nX: ",
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct heard heard;

		connection.len = 0;
		put(&connection, begins[i], strlen(begins[i]));
		while (connection.len < GATE_NAME_BYTES - 1)
			put(&connection, "x", 1);
		listen_to(&heard, connection.bytes, connection.len, 1, 80, "");
		assert_int_equal(heard.end, STREAM_MORE);
		put(&connection, "x\r\n", 3);
		for (size_t step = 1; step < 100000; step *= 10) {
			listen_to(&heard, connection.bytes, connection.len,
				  step, 80, "");
			assert_int_equal(heard.end, STREAM_NO_NAME);
			assert_int_equal(heard.passed, 0);
		}
	}
	connection.len = 0;
	put(&connection, POST("a.test") CHUNKED "0\r\nX: ",
	    strlen(POST("a.test") CHUNKED "0\r\nX: "));
	while (connection.len < 2 * GATE_NAME_BYTES)
		put(&connection, "x", 1);
	expect_bytes("a.test ", STREAM_MALFORMED,
		     strlen(POST("a.test") CHUNKED "0\r\n"));
	connection.len = 0;
	for (size_t i = 0; i < 20000; i++)
		put(&connection, "\x16\x03\x01\0\x01\x01\x16\x03\x01\0\x01\0",
		    i == 0 ? 12 : 6);
	connection.bytes[17] = 0xff; /* a message of 65,280 bytes */
	expect_bytes("", STREAM_NO_NAME, 0);
}

static void put_hello(const char *name, bool versions, bool early, size_t size)
{
	static struct text message;

	begin_hello(&message);
	put_server_name(&message, name, strlen(name));
	if (versions)
		put_extension(&message, 43, "\x02\x03\x04", 3);
	if (early)
		put_extension(&message, 42, "", 0);
	end_hello(&message);
	put_records(&connection, &message, size);
}

#define CHANGE "\x14\x03\x03\0\x01\x01"
#define ALERT  "\x15\x03\x03\0\x02\x01\x5a"
#define DATA                 \
	"\x17\x03\x03\0\x04" \
	"data"
#define CLIENT_KEY "\x16\x03\x03\0\x05\x10\0\0\x01x"

static void tls_until_it_is_opaque(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool versions, early;
		enum stream_step end;
	} behind[] = {
		{DATA, 9, true, false, STREAM_REST},
		{CHANGE DATA, 15, true, false, STREAM_REST},
		{ALERT CHANGE DATA, 22, true, false, STREAM_REST},
		{CHANGE, 6, true, false, STREAM_MORE},
		{DATA DATA, 18, true, true, STREAM_MORE},
		{CLIENT_KEY, 10, true, true, STREAM_REST},
		{CLIENT_KEY, 10, false, false, STREAM_REST},
		{CHANGE, 6, false, false, STREAM_REST},
		{"", 0, true, false, STREAM_MORE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		connection.len = 0;
		put_hello("a.test", behind[i].versions, behind[i].early, 70);
		put(&connection, behind[i].bytes, behind[i].len);
		expect_bytes("a.test ", behind[i].end, connection.len);
	}
}

/* Servers do not compare a second hello's name with the first one's: whatever
 * they pass over between the two, it is judged, too. */
static void second_hellos(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool early;
	} between[] = {
		{"", 0, false},    {CHANGE, 6, false},
		{ALERT, 7, false}, {ALERT CHANGE ALERT, 20, false},
		{DATA, 9, true},   {CHANGE DATA DATA ALERT, 31, true},
	};

	static const size_t sizes[] = {1, 2, 3, 70};

	(void)state;
	for (size_t j = 0; j < 4 * sizeof(between) / sizeof(between[0]); j++) {
		size_t i = j / 4;

		connection.len = 0;
		put_hello("a.test", true, between[i].early, 70);
		put(&connection, between[i].bytes, between[i].len);
		put_hello("b.test", true, false, sizes[j % 4]);
		put(&connection, DATA, 9);
		expect_bytes("a.test b.test ",
			     between[i].early ? STREAM_MORE : STREAM_REST,
			     connection.len);
	}
	connection.len = 0;
	put_hello("a.test", false, false, 70);
	put_hello("b.test", false, false, 70);
	expect_bytes("a.test b.test ", STREAM_MORE, connection.len);
}

static void records_between_hellos(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\x16\x03\x03\0\0", 6},
		{"\x15\x03\x03\0\0", 6},
		{"\x14\x02\0\0\x01", 6},
		{"\x18\x03\x03\0\x01", 6},
		{"GET / HTTP/1.1", 14},
		/* In few octets, and so in clear */
		{CHANGE "\x16\x03\x03\0\x02\x01\0" ALERT, 20},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t hello;

		connection.len = 0;
		put_hello("a.test", true, false, 70);
		hello = connection.len;
		put(&connection, bad[i].bytes, bad[i].len);
		expect_bytes("a.test ", STREAM_MALFORMED,
			     bad[i].len == 20 ? hello + 6 : hello);
	}
}

/* Behind a ChangeCipherSpec a TLS 1.2 server's client says an encrypted
 * Finished, which seldom looks like a hello. */
static void encrypted_messages(void **state)
{
	uint8_t finished[45] = {0x16, 3, 3, 0, 40};

	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		memset(finished + 5, (int)first, 40);
		connection.len = 0;
		put_hello("a.test", true, false, 70);
		put(&connection, CHANGE, 6);
		put(&connection, finished, sizeof(finished));
		expect_bytes("a.test ", STREAM_REST, connection.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_bytes),
		cmocka_unit_test(requests_one_by_one),
		cmocka_unit_test(chunked_bodies),
		cmocka_unit_test(another_protocol),
		cmocka_unit_test(http2_is_not_switched_to),
		cmocka_unit_test(answers_out_of_form),
		cmocka_unit_test(a_verdict_is_awaited),
		cmocka_unit_test(bodies_that_are_moved),
		cmocka_unit_test(nothing_within_the_bound),
		cmocka_unit_test(tls_until_it_is_opaque),
		cmocka_unit_test(second_hellos),
		cmocka_unit_test(records_between_hellos),
		cmocka_unit_test(encrypted_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
