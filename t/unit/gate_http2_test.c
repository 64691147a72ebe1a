/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on of a connection of HTTP/2 in clear, and which names are judged
 * before, in whatever pieces it comes. */
#include "gate_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

enum {
	DATA = 0,
	HEADERS = 1,
	PRIORITY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PUSH_PROMISE = 5,
	PING = 6,
	GOAWAY = 7,
	WINDOW_UPDATE = 8,
	CONTINUATION = 9,
	END_HEADERS = 4,
	PADDED = 8,
	WITH_PRIORITY = 0x20
};

#define REQUEST      ":method=GET :scheme=http :path=/ "
#define TO(name)     REQUEST ":authority=" name
#define FIELDS_OTHER REQUEST "x=y "

static struct text connection;

static void put_frame(unsigned type, unsigned flags, unsigned stream,
		      const void *payload, size_t len)
{
	put_number(&connection, len, 3);
	put_number(&connection, type, 1);
	put_number(&connection, flags, 1);
	put_number(&connection, stream, 4);
	put(&connection, payload, len);
}

/* "name=value ..." as literals that nobody compressed (RFC 7541, 6.2.2); a
 * value's '_' is a blank. Bytes. */
static size_t encode(uint8_t *out, const char *fields)
{
	size_t n = 0;

	while (*fields) {
		size_t name = strcspn(fields + 1, "=") + 1;
		size_t value = strcspn(fields + name + 1, " ");

		out[n++] = 0;
		out[n++] = (uint8_t)name;
		memcpy(out + n, fields, name);
		n += name;
		fields += name + 1;
		out[n++] = (uint8_t)value;
		for (size_t i = 0; i < value; i++)
			out[n++] = fields[i] == '_' ? ' ' : (uint8_t)fields[i];
		fields += value;
		fields += *fields == ' ';
	}
	return n;
}

static void put_request(unsigned stream, const char *fields)
{
	uint8_t block[1024];

	put_frame(HEADERS, END_HEADERS, stream, block, encode(block, fields));
}

static void begin(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	connection.len = 0;
	put(&connection, preface, strlen(preface));
	put_frame(SETTINGS, 0, 0, "\0\3\0\0\0\x64", 6);
	put_frame(WINDOW_UPDATE, 0, 0, "\0\1\0\0", 4);
}

/* passed: what goes on before the end. */
static void expect(const char *names, enum stream_step end, size_t passed)
{
	struct heard heard;

	for (size_t step = 0; step < 20; step++) {
		listen_to(&heard, connection.bytes, connection.len,
			  step ? step : SIZE_MAX, 80, "");
		assert_string_equal(heard.names, names);
		assert_int_equal(heard.end, end);
		assert_int_equal(heard.passed, passed);
	}
}

static void expect_all(const char *names)
{
	expect(names, STREAM_MORE, connection.len);
}

/* A request of these fields alone. */
static void expect_request(const char *fields, const char *names,
			   enum stream_step end)
{
	begin();
	put_request(1, fields);
	expect(names, end, end == STREAM_MORE ? connection.len : 0);
}

static void names_of_requests(void **state)
{
	(void)state;
	expect_request(TO("a.test"), "a.test ", STREAM_MORE);
	expect_request(TO("A.test:80"), "a.test ", STREAM_MORE);
	expect_request(TO("a.test") " x=y", "a.test ", STREAM_MORE);
	expect_request(TO("a.test") " host=A.TEST", "a.test ", STREAM_MORE);
	expect_request(REQUEST "host=a.test", "a.test ", STREAM_MORE);
	expect_request(FIELDS_OTHER "host=a.test", "a.test ", STREAM_MORE);
	expect_request(":path=* :authority=a.test :scheme=http :method=OPTIONS",
		       "a.test ", STREAM_MORE);
	/* the reserved bit says nothing */
	begin();
	put_request(0x80000001, TO("a.test"));
	put_request(3, TO("b.test"));
	put_request(0x80000003, "x=y");
	expect_all("a.test b.test ");
}

static void no_names(void **state)
{
	(void)state;
	expect_request(REQUEST, "", STREAM_NO_NAME);
	expect_request(REQUEST ":authority=", "", STREAM_NO_NAME);
	expect_request(REQUEST "host=", "", STREAM_NO_NAME);
	expect_request(TO("192.0.2.1"), "", STREAM_NO_NAME);
	expect_request(TO("[2001:db8::1]"), "", STREAM_NO_NAME);
	expect_request(REQUEST "host=192.0.2.1:80", "", STREAM_NO_NAME);
}

static void out_of_form(void **state)
{
	static const char *const bad[] = {
		TO("a.test:8080"),
		TO("a.test:"),
		TO("a.test."),
		TO("u@a.test"),
		TO("a_test"),
		TO("a.test,b.test"),
		TO("a.test") " host=b.test",
		REQUEST "host=a.test host=a.test",
		REQUEST "host=a.test host=b.test",
		REQUEST "Host=a.test HOST=b.test",
		TO("a.test") " Host=b.test",
		TO("a.test :authority=a.test"),
		TO("a.test :authority=b.test"),
		REQUEST "host=a.test :authority=a.test",
		FIELDS_OTHER ":authority=a.test",
		":scheme=http :path=/ :authority=a.test",
		":method=GET :path=/ :authority=a.test",
		":method=GET :scheme=http :authority=a.test",
		":method=GET :scheme=https :path=/ :authority=a.test",
		":method=GET :scheme=http :path=http://b.test/ "
		":authority=a.test",
		":method=GET :scheme=http :path= :authority=a.test",
		":method=CONNECT :authority=a.test",
		":method=CONNECT :protocol=websocket :scheme=http :path=/"
		" :authority=a.test",
		TO("a.test :protocol=websocket"),
		TO("a.test :status=200"),
		TO("a.test :x=y"),
		TO("a.test") " transfer-encoding=chunked",
		TO("a.test") " upgrade=h2c",
		TO("a.test") " Connection=close",
		TO("a.test") " x=a\rhost:b.test",
		TO("a.test") " x=a\nhost:b.test",
		TO("a.test") " x=\x7f",
		TO("a.test") " x\r\nhost:=b.test",
		TO("a.test") " host\t=b.test",
		TO("a.test\n"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_request(bad[i], "", STREAM_MALFORMED);
}

static void later_requests(void **state)
{
	size_t good;

	(void)state;
	begin();
	put_request(1, TO("a.test"));
	/* a body may say what it will */
	put_frame(DATA, 0, 1, connection.bytes, connection.len);
	put_frame(DATA, 0, 1, "", 0);
	put_request(3, TO("b.test"));
	put_frame(PING, 0, 0, "12345678", 8);
	put_request(1, "x-sum=1");
	put_request(7, TO("a.test"));
	put_frame(RST_STREAM, 0, 3, "\0\0\0\10", 4);
	put_frame(0xfe, 0xff, 9, "what?", 5);
	put_frame(GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
	expect_all("a.test b.test a.test ");

	good = connection.len;
	put_request(9, REQUEST);
	expect("a.test b.test a.test ", STREAM_NO_NAME, good);
	connection.len = good;
	put_request(9, TO("a.test") " host=b.test");
	expect("a.test b.test a.test ", STREAM_MALFORMED, good);
	/* of a stream that is older than the last: trailers, or nothing */
	for (unsigned stream = 1; stream <= 7; stream += 2) {
		connection.len = good;
		put_request(stream, TO("c.test"));
		expect("a.test b.test a.test ", STREAM_MALFORMED, good);
		connection.len = good;
		put_request(stream, "host=c.test");
		expect("a.test b.test a.test ", STREAM_MALFORMED, good);
	}
}

static void order_of_frames(void **state)
{
	static const struct {
		unsigned type, stream;
	} bad[] = {
		{DATA, 1},    {CONTINUATION, 1}, {PUSH_PROMISE, 1},
		{HEADERS, 0}, {HEADERS, 2},
	};
	uint8_t block[1024];
	size_t len = encode(block, TO("a.test")), good;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		put_frame(bad[i].type, END_HEADERS, bad[i].stream, block, len);
		expect("", STREAM_MALFORMED, 0);
	}
	/* a block of many frames, which nothing may come between */
	begin();
	put_frame(HEADERS, 0, 1, block, 0);
	for (size_t i = 0; i < len; i++)
		put_frame(CONTINUATION, 0, 1, block + i, 1);
	good = connection.len;
	put_frame(CONTINUATION, END_HEADERS, 1, "", 0);
	expect_all("a.test ");
	for (unsigned type = DATA; type <= CONTINUATION + 1; type++) {
		connection.len = good;
		put_frame(type, END_HEADERS, type == CONTINUATION ? 3 : 1, "",
			  0);
		expect("", STREAM_MALFORMED, 0);
	}
	/* cut within a field */
	begin();
	put_frame(HEADERS, END_HEADERS, 1, block, len - 1);
	expect("", STREAM_MALFORMED, 0);
}

static void padding_and_priority(void **state)
{
	uint8_t block[1024] = {3, 0, 0, 0, 0, 16};
	size_t len = 6 + encode(block + 6, TO("a.test"));

	(void)state;
	memcpy(block + len, "xyz", 3);
	begin();
	put_frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, block,
		  len + 3);
	expect_all("a.test ");
	begin();
	put_frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, block, 8);
	expect("", STREAM_MALFORMED, 0);
	begin();
	put_frame(HEADERS, END_HEADERS | PADDED, 1, "", 0);
	expect("", STREAM_MALFORMED, 0);
	begin();
	put_frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, block, 4);
	expect("", STREAM_MALFORMED, 0);
}

/* What an earlier request put into the table is what a later one means. */
static void the_table(void **state)
{
	static const char first[] = "\x82\x86\x84\x41\6a.test";
	static const char second[] = "\x82\x86\x84\x41\6b.test";
	static const char index62[] = "\x82\x86\x84\xbe";
	static const char index63[] = "\x82\x86\x84\xbf";
	static const char emptied[] = "\x20\x82\x86\x84\xbe";
	static const char shrunk[] = "\x3f\xe1\x1f\x82\x86\x84\xbe";
	static const char grown[] = "\x3f\xe2\x1f\x82\x86\x84\xbe";
	static const char huge[] = "\x82\x86\x84\x41\x7f\x80\x80\x80\x80\x08"
				   "a";
	size_t good;

	(void)state;
	begin();
	put_frame(HEADERS, END_HEADERS, 1, first, sizeof(first) - 1);
	put_frame(HEADERS, END_HEADERS, 3, second, sizeof(second) - 1);
	put_frame(HEADERS, END_HEADERS, 5, index62, sizeof(index62) - 1);
	put_frame(HEADERS, END_HEADERS, 7, index63, sizeof(index63) - 1);
	put_frame(HEADERS, END_HEADERS, 9, shrunk, sizeof(shrunk) - 1);
	expect_all("a.test b.test b.test a.test b.test ");
	good = connection.len;
	put_frame(HEADERS, END_HEADERS, 11, emptied, sizeof(emptied) - 1);
	expect("a.test b.test b.test a.test b.test ", STREAM_MALFORMED, good);
	connection.len = good;
	put_frame(HEADERS, END_HEADERS, 11, grown, sizeof(grown) - 1);
	expect("a.test b.test b.test a.test b.test ", STREAM_MALFORMED, good);
	connection.len = good;
	put_frame(HEADERS, END_HEADERS, 11, huge, sizeof(huge) - 1);
	expect("a.test b.test b.test a.test b.test ", STREAM_MALFORMED, good);
}

static void nothing_without_a_name(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const char payload[1024];

	(void)state;
	connection.len = 0;
	put(&connection, preface, strlen(preface));
	expect("", STREAM_MORE, 0);
	connection.bytes[connection.len - 1] = '\r';
	expect("", STREAM_NO_NAME, 0);
	begin();
	expect("", STREAM_MORE, 0);
	for (int i = 0; i < 64; i++)
		put_frame(PING, 0, 0, payload, sizeof(payload));
	expect("", STREAM_NO_NAME, 0);
	begin();
	put_frame(HEADERS, 0, 1, payload, 0);
	for (int i = 0; i < 64; i++)
		put_frame(CONTINUATION, 0, 1, payload, sizeof(payload));
	expect("", STREAM_NO_NAME, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_requests),
		cmocka_unit_test(no_names),
		cmocka_unit_test(out_of_form),
		cmocka_unit_test(later_requests),
		cmocka_unit_test(order_of_frames),
		cmocka_unit_test(padding_and_priority),
		cmocka_unit_test(the_table),
		cmocka_unit_test(nothing_without_a_name),
	};
	struct http2 *h;

	/* Without the library it reads nothing. */
	if (http2_open(&h, 80))
		return 0;
	http2_close(h);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
