/* SPDX-License-Identifier: Apache-2.0 */
/* The name in a ClientHello: what is in form, in any pieces, and what a client
 * that wants to be read in two senses sends. */
#include "gate_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static struct text message, records;

static enum hello_result whole(const struct text *t, char *name)
{
	struct domain_name read = {.len = 0};
	struct hello hello = {0};
	enum hello_result result = hello_read(&hello, t->bytes, t->len, &read);

	name[0] = '\0';
	if (read.len > 0)
		domain_name_to_text(&read, name);
	return result;
}

/* As a client that sends byte by byte has it read, each call with a copy that
 * ends with the last byte. */
static enum hello_result bytewise(const struct text *t, char *name)
{
	enum hello_result result = HELLO_MORE;
	struct domain_name read = {.len = 0};
	struct hello hello = {0};

	for (size_t n = 0; n <= t->len && result == HELLO_MORE; n++)
		result = hello_read(&hello, t->bytes, n, &read);
	name[0] = '\0';
	if (read.len > 0)
		domain_name_to_text(&read, name);
	return result;
}

/* In records of every size that matters, whole and byte by byte. */
static void expect(enum hello_result result, const char *name)
{
	static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 40, 1000, 1 << 14};
	char got[DOMAIN_NAME_TEXT_MAX];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		records.len = 0;
		put_records(&records, &message, sizes[i]);
		assert_int_equal(whole(&records, got), result);
		assert_string_equal(got, name);
		assert_int_equal(bytewise(&records, got), result);
		assert_string_equal(got, name);
	}
}

static void with_name(const void *name, size_t len)
{
	begin_hello(&message);
	put_extension(&message, 0x0a0a, "", 0);
	put_server_name(&message, name, len);
	put_extension(&message, 43, "\x02\x03\x04", 3);
	end_hello(&message);
}

static void names_in_form(void **state)
{
	char longest[254] = "";

	(void)state;
	with_name("example.com", 11);
	expect(HELLO_NAME, "example.com");
	with_name("WWW.Example.COM", 15);
	expect(HELLO_NAME, "www.example.com");
	with_name("xn--bcher-kva.example", 21);
	expect(HELLO_NAME, "xn--bcher-kva.example");
	with_name("localhost", 9);
	expect(HELLO_NAME, "localhost");
	with_name("1.2.3.4.example", 15);
	expect(HELLO_NAME, "1.2.3.4.example");
	for (int i = 0; i < 4; i++)
		memset(longest + 64L * i, 'a' + i, i < 3 ? 63 : 61);
	longest[63] = longest[127] = longest[191] = '.';
	longest[253] = '\0';
	with_name(longest, 253);
	expect(HELLO_NAME, longest);
}

static void names_out_of_form(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} bad[] = {
		{"", 0},
		{".", 1},
		{"example.com.", 12},
		{".example.com", 12},
		{"a..example", 10},
		{"example.com\0", 12},
		{"example.com\0.other.test", 23},
		{"a\0b.example", 11},
		{"a_b.example", 11},
		{"*.example", 9},
		{"a b.example", 11},
		{"example.com\n", 12},
		{"b\xc3\xbc"
		 "cher.example",
		 14},
		{"example.com:443", 15},
		{"192.0.2.1", 9},
		{"2001:db8::1", 11},
		{"[2001:db8::1]", 13},
		{"0x7f000001", 10},
		{"2130706433", 10},
		{"127.1", 5},
		{"example.0x10", 12},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaa"
		 ".test",
		 69},
	};
	char name[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		with_name(bad[i].name, bad[i].len);
		expect(HELLO_MALFORMED, "");
	}
	for (size_t len = 254; len <= 256; len++) {
		for (size_t i = 0; i < sizeof(name); i++)
			name[i] = i % 2 == len % 2 ? '.' : 'a';
		with_name(name, len);
		expect(HELLO_MALFORMED, "");
	}
}

static void without_a_name(void **state)
{
	(void)state;
	begin_hello(&message);
	put_extension(&message, 43, "\x02\x03\x04", 3);
	end_hello(&message);
	expect(HELLO_NONE, "");
	/* as before RFC 3546: nothing behind the compression methods */
	begin_hello(&message);
	message.len -= 2;
	end_vector(&message, 4, 3);
	expect(HELLO_NONE, "");
	begin_hello(&message);
	end_hello(&message);
	expect(HELLO_NONE, "");
}

/* RFC 6066, 3: one name of a type; and another type is none's. */
static void lists_of_names(void **state)
{
	static const char one[] = "\0\0\x06"
				  "a.test";
	static const char two[] = "\0\0\x06"
				  "b.test";
	static const char other[] = "\x01\0\x06"
				    "b.test";
	const struct {
		const char *first, *second;
		size_t list; /* the length that is said: 0: the true one */
	} lists[] = {
		{one, two, 0},   {one, one, 0},    {one, other, 0},
		{other, one, 0}, {other, NULL, 0}, {NULL, NULL, 0},
		{one, NULL, 8},  {one, NULL, 10},  {one, two, 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		size_t extension, list;

		begin_hello(&message);
		put_number(&message, 0, 2);
		extension = begin_vector(&message, 2);
		list = begin_vector(&message, 2);
		if (lists[i].first)
			put(&message, lists[i].first, 9);
		if (lists[i].second)
			put(&message, lists[i].second, 9);
		end_vector(&message, list, 2);
		end_vector(&message, extension, 2);
		if (lists[i].list)
			message.bytes[list - 1] = (uint8_t)lists[i].list;
		end_hello(&message);
		expect(HELLO_MALFORMED, "");
	}
}

static void extensions_given_twice(void **state)
{
	(void)state;
	begin_hello(&message);
	put_server_name(&message, "a.test", 6);
	put_server_name(&message, "b.test", 6);
	end_hello(&message);
	expect(HELLO_MALFORMED, "");
	begin_hello(&message);
	put_extension(&message, 0xfafa, "", 0);
	put_server_name(&message, "a.test", 6);
	put_extension(&message, 0xfafa, "x", 1);
	end_hello(&message);
	expect(HELLO_MALFORMED, "");
}

/* An encrypted hello's name is not seen; the outer one is what is judged. */
static void encrypted_hello(void **state)
{
	static uint8_t ech[300] = {0, 0, 1, 0, 1};

	(void)state;
	begin_hello(&message);
	put_server_name(&message, "outer.example", 13);
	put_extension(&message, 0xfe0d, ech, sizeof(ech));
	end_hello(&message);
	expect(HELLO_NAME, "outer.example");
}

static void large_key_shares(void **state)
{
	static const size_t sizes[] = {1216, 30000, 60000};
	static uint8_t share[60000];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int behind = 0; behind < 2; behind++) {
			begin_hello(&message);
			if (!behind)
				put_server_name(&message, "pq.example", 10);
			put_extension(&message, 51, share, sizes[i]);
			if (behind)
				put_server_name(&message, "pq.example", 10);
			end_hello(&message);
			expect(HELLO_NAME, "pq.example");
		}
	}
}

/* Every length, one more and one less than it is. */
static void lengths_that_do_not_fit(void **state)
{
	static const size_t lengths[] = {
		3,                     /* of the message */
		6 + 32,                /* of the session id */
		6 + 32 + 5 + 1,        /* of the cipher suites */
		6 + 32 + 9,            /* of the compression methods */
		HELLO_EXTENSIONS - 1,  /* of the extensions */
		HELLO_EXTENSIONS + 3,  /* of server_name */
		HELLO_EXTENSIONS + 5,  /* of its list */
		HELLO_EXTENSIONS + 8,  /* of the name */
		HELLO_EXTENSIONS + 18, /* of the extension behind it */
	};
	char name[DOMAIN_NAME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (int by = -1; by <= 1; by += 2) {
			begin_hello(&message);
			put_server_name(&message, "a.test", 6);
			put_extension(&message, 51, "xyz", 3);
			end_hello(&message);
			message.bytes[lengths[i]] =
				(uint8_t)(message.bytes[lengths[i]] + by);
			records.len = 0;
			put_records(&records, &message, 1 << 14);
			/* A longer message has not ended yet. */
			assert_int_equal(whole(&records, name),
					 i == 0 && by > 0 ? HELLO_MORE
							  : HELLO_MALFORMED);
			assert_string_equal(name, "");
		}
	}
}

static void parts_out_of_form(void **state)
{
	(void)state;
	/* another message; SSL 2; a session id of 33; odd or no cipher suites;
	 * no compression method; longer than 64 KiB */
	with_name("a.test", 6);
	message.bytes[0] = 2;
	expect(HELLO_MALFORMED, "");
	with_name("a.test", 6);
	message.bytes[4] = 2;
	expect(HELLO_MALFORMED, "");
	message.len = 0;
	put(&message, "\x01\0\0\0\x03\x03", 6);
	put_zeros(&message, 32);
	put_number(&message, 33, 1);
	put_zeros(&message, 33);
	put(&message, "\0\x02\x13\x01\x01\0", 6);
	end_vector(&message, 4, 3);
	expect(HELLO_MALFORMED, "");
	for (size_t ciphers = 0; ciphers <= 3; ciphers += ciphers ? 2 : 1) {
		message.len = 6 + 32;
		put_number(&message, 0, 1);
		put_number(&message, ciphers, 2);
		put_zeros(&message, ciphers);
		put(&message, "\x01\0", 2);
		end_vector(&message, 4, 3);
		expect(HELLO_MALFORMED, "");
	}
	message.len = 6 + 32;
	put(&message, "\0\0\x02\x13\x01\0", 6);
	end_vector(&message, 4, 3);
	expect(HELLO_MALFORMED, "");
	message.len = 6 + 32;
	put(&message, "\0\xff\xfe", 3);
	put_zeros(&message, 0xfffe);
	put(&message, "\x01\0", 2);
	end_vector(&message, 4, 3);
	expect(HELLO_MALFORMED, "");
}

static void records_out_of_form(void **state)
{
	char name[DOMAIN_NAME_TEXT_MAX];
	static const char *const between[] = {
		"\x15\x03\x01\0\x02\x01\0", /* an alert */
		"\x14\x03\x01\0\x01\x01",   /* ChangeCipherSpec */
		"\x17\x03\x01\0\x01x",      /* data */
		"\x16\x03\x01\0\0",         /* nothing */
	};
	static const size_t between_len[] = {7, 6, 6, 5};
	struct text *t = &records;

	(void)state;
	with_name("a.test", 6);
	for (size_t i = 0; i < 4; i++) {
		struct text rest = message;

		t->len = 0;
		put(t, "\x16\x03\x01\0\x14", 5);
		put(t, message.bytes, 20);
		put(t, between[i], between_len[i]);
		rest.len -= 20;
		memmove(rest.bytes, rest.bytes + 20, rest.len);
		put_records(t, &rest, 1 << 14);
		assert_int_equal(whole(t, name), HELLO_MALFORMED);
		assert_int_equal(bytewise(t, name), HELLO_MALFORMED);
	}
	/* an empty record; one too long; another version; and more in the
	 * last record than the message */
	t->len = 0;
	put(t, "\x16\x03\x01\0\0", 5);
	put_records(t, &message, 1 << 14);
	assert_int_equal(whole(t, name), HELLO_MALFORMED);
	t->len = 0;
	put(t, "\x16\x03\x01\x40\x01", 5);
	assert_int_equal(whole(t, name), HELLO_MALFORMED);
	t->len = 0;
	put_records(t, &message, 1 << 14);
	t->bytes[1] = 2;
	assert_int_equal(whole(t, name), HELLO_MALFORMED);
	t->bytes[1] = 3;
	t->bytes[4]++;
	put(t, "", 1);
	assert_int_equal(whole(t, name), HELLO_MALFORMED);
	t->bytes[4]--;
	for (uint8_t minor = 1; minor <= 4; minor++) {
		t->bytes[2] = minor;
		assert_int_equal(whole(t, name), HELLO_NAME);
	}
}

/* Whatever octet is changed, and wherever it ends: nothing is read that is not
 * there, and both readings agree. */
static void any_change(void **state)
{
	static struct text changed;
	char a[DOMAIN_NAME_TEXT_MAX], b[DOMAIN_NAME_TEXT_MAX];

	(void)state;
	with_name("www.example", 11);
	records.len = 0;
	put_records(&records, &message, 30);
	for (size_t i = 0; i < records.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			changed = records;
			changed.bytes[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(whole(&changed, a),
					 bytewise(&changed, b));
			assert_string_equal(a, b);
		}
		changed = records;
		changed.len = i;
		assert_int_equal(whole(&changed, a), HELLO_MORE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_form),
		cmocka_unit_test(names_out_of_form),
		cmocka_unit_test(without_a_name),
		cmocka_unit_test(lists_of_names),
		cmocka_unit_test(extensions_given_twice),
		cmocka_unit_test(encrypted_hello),
		cmocka_unit_test(large_key_shares),
		cmocka_unit_test(lengths_that_do_not_fit),
		cmocka_unit_test(parts_out_of_form),
		cmocka_unit_test(records_out_of_form),
		cmocka_unit_test(any_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
