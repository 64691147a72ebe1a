/* SPDX-License-Identifier: Apache-2.0 */
/* A client's question: every shape is read, refused or dropped as it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "dns/message.h"

struct bytes {
	uint8_t b[DNS_MESSAGE_MAX];
	size_t len;
};

static void add(struct bytes *m, const void *b, size_t len)
{
	if (len)
		memcpy(m->b + m->len, b, len);
	m->len += len;
}

/* A header with one question, RD set. */
static void start(struct bytes *m)
{
	static const uint8_t header[12] = {0x12, 0x34, 0x01, 0, 0, 1};

	m->len = 0;
	add(m, header, sizeof(header));
}

/* Good.Test, of this type and class. */
static void ask(struct bytes *m, uint16_t type, uint16_t class)
{
	uint8_t tail[4];

	start(m);
	add(m, "\4Good\4Test", 11);
	wire_put16(tail, type);
	wire_put16(tail + 2, class);
	add(m, tail, 4);
}

static void add_opt(struct bytes *m, uint16_t size, uint32_t ttl,
		    const void *options, uint16_t len)
{
	uint8_t opt[11] = {0};

	wire_put16(opt + 1, TYPE_OPT);
	wire_put16(opt + 3, size);
	wire_put32(opt + 5, ttl);
	wire_put16(opt + 9, len);
	add(m, opt, 11);
	add(m, options, len);
	m->b[11]++;
}

static int read_it(struct question *q, const struct bytes *m)
{
	return question_read(q, m->b, m->len);
}

static void a_plain_question_is_read(void **state)
{
	struct bytes m;
	struct question q;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	assert_int_equal(read_it(&q, &m), 0);
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, TYPE_A);
	assert_int_equal(q.name.len, 11);
	assert_memory_equal(q.name.wire, "\4good\4test", 11);
	assert_memory_equal(q.spelled, "\4Good\4Test", 11);
	assert_false(q.edns);
	assert_int_equal(q.udp_size, 512);
}

static void edns_is_read(void **state)
{
	static const struct {
		uint16_t said, taken;
	} size[] = {{0, 512},     {511, 512},   {512, 512},
		    {1232, 1232}, {4096, 4096}, {65535, 4096}};
	struct bytes m;
	struct question q;

	(void)state;
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		ask(&m, TYPE_A, CLASS_IN);
		add_opt(&m, size[i].said, i & 1 ? 0x8000 : 0, "\0\x0a\0\4wxyz",
			8);
		assert_int_equal(read_it(&q, &m), 0);
		assert_true(q.edns);
		assert_int_equal(q.dnssec_ok, i & 1);
		assert_int_equal(q.udp_size, size[i].taken);
	}
}

static void what_is_no_query_is_never_answered(void **state)
{
	struct bytes m;
	struct question q;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	for (size_t len = 0; len < DNS_HEADER; len++)
		assert_int_equal(question_read(&q, m.b, len), -EBADMSG);
	m.b[2] |= FLAG2_QR;
	assert_int_equal(read_it(&q, &m), -EBADMSG);
	m.b[2] |= 0x28;
	assert_int_equal(read_it(&q, &m), -EBADMSG);
}

static void a_cut_question_is_a_format_error(void **state)
{
	struct bytes m;
	struct question q;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	add_opt(&m, 1232, 0, "\0\x0a\0\4wxyz", 8);
	for (size_t len = DNS_HEADER; len < m.len; len++)
		assert_int_equal(question_read(&q, m.b, len), RCODE_FORMERR);
	assert_int_equal(read_it(&q, &m), 0);
	add(&m, "x", 1);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
}

static void counts_must_be_one_question_and_nothing_else(void **state)
{
	struct bytes m;
	struct question q;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	m.b[5] = 0;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	assert_false(q.whole);
	m.b[5] = 2;
	add(&m, "\4Good\4Test\0\0\1\0\1", 15);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	ask(&m, TYPE_A, CLASS_IN);
	m.b[4] = 0xff;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	ask(&m, TYPE_A, CLASS_IN);
	m.b[7] = 1;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	ask(&m, TYPE_A, CLASS_IN);
	m.b[9] = 1;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	ask(&m, TYPE_A, CLASS_IN);
	m.b[11] = 1;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	ask(&m, TYPE_A, CLASS_IN);
	m.b[2] |= FLAG2_TC;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
}

static void other_opcodes_are_not_implemented(void **state)
{
	struct bytes m;
	struct question q;

	(void)state;
	for (unsigned opcode = 1; opcode < 16; opcode++) {
		ask(&m, TYPE_A, CLASS_IN);
		m.b[2] = (uint8_t)(opcode << 3);
		assert_int_equal(read_it(&q, &m), RCODE_NOTIMP);
	}
}

static void types_and_classes_that_no_resolver_is_asked(void **state)
{
	static const struct {
		uint16_t type, class;
		int rcode;
	} row[] = {{TYPE_ANY, 1, RCODE_REFUSED},
		   {TYPE_AXFR, 1, RCODE_REFUSED},
		   {TYPE_IXFR, 1, RCODE_REFUSED},
		   {TYPE_MAILB, 1, RCODE_REFUSED},
		   {249, 1, RCODE_REFUSED},
		   {250, 1, RCODE_REFUSED},
		   {128, 1, RCODE_REFUSED},
		   {TYPE_OPT, 1, RCODE_FORMERR},
		   {0, 1, RCODE_FORMERR},
		   {TYPE_A, 3, RCODE_REFUSED},
		   {TYPE_A, 255, RCODE_REFUSED},
		   {TYPE_A, 0, RCODE_REFUSED},
		   {TYPE_HTTPS, 1, 0},
		   {16, 1, 0},
		   {256, 1, 0},
		   {65280, 1, 0}};
	struct bytes m;
	struct question q;

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		ask(&m, row[i].type, row[i].class);
		add_opt(&m, 1232, 0, NULL, 0);
		assert_int_equal(read_it(&q, &m), row[i].rcode);
		assert_true(q.whole);
		assert_true(q.edns);
	}
	/* IXFR with its SOA in the authority section. */
	ask(&m, TYPE_IXFR, CLASS_IN);
	m.b[9] = 1;
	assert_int_equal(read_it(&q, &m), RCODE_REFUSED);
}

static void edns_faults(void **state)
{
	struct bytes m;
	struct question q;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	add_opt(&m, 1232, 0x00010000, NULL, 0);
	assert_int_equal(read_it(&q, &m), RCODE_BADVERS);
	ask(&m, TYPE_A, CLASS_IN);
	add_opt(&m, 1232, 0, NULL, 0);
	add_opt(&m, 1232, 0, NULL, 0);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	/* An option that is longer than its record. */
	ask(&m, TYPE_A, CLASS_IN);
	add_opt(&m, 1232, 0, "\0\x0a\0\5wxyz", 8);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	ask(&m, TYPE_A, CLASS_IN);
	add_opt(&m, 1232, 0, "\0\x0a\0", 3);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	/* An OPT record that is not the root's. */
	ask(&m, TYPE_A, CLASS_IN);
	add(&m, "\1x\0\0\x29\4\xd0\0\0\0\0\0\0", 13);
	m.b[11] = 1;
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
}

static void names_out_of_form(void **state)
{
	struct bytes m;
	struct question q;
	uint8_t label[64];

	(void)state;
	/* A pointer, to itself, back and into the header: none in a question.
	 */
	for (unsigned to = 0; to < 20; to += 4) {
		uint8_t pointer[6] = {0xc0, (uint8_t)to, 0, 1, 0, 1};

		start(&m);
		add(&m, pointer, 6);
		assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	}
	start(&m);
	add(&m, "\1a\xc0\x0c\0\1\0\1", 8);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	/* Extended label types (RFC 6891, 5). */
	start(&m);
	add(&m, "\x41\1\0\0\1\0\1", 7);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
	/* 63 octets a label are the most; 255 a name. */
	memset(label, 'a', sizeof(label));
	label[0] = 63;
	start(&m);
	for (int i = 0; i < 3; i++)
		add(&m, label, 64);
	label[0] = 61;
	add(&m, label, 62);
	add(&m, "\0\0\1\0\1", 5);
	assert_int_equal(read_it(&q, &m), 0);
	assert_int_equal(q.name.len, 255);
	start(&m);
	label[0] = 63;
	for (int i = 0; i < 3; i++)
		add(&m, label, 64);
	label[0] = 62;
	add(&m, label, 63);
	add(&m, "\0\0\1\0\1", 5);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
}

static void the_longest_message(void **state)
{
	static struct bytes m;
	struct question q;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	memset(m.b + m.len, 0, sizeof(m.b) - m.len);
	m.len = sizeof(m.b);
	assert_int_equal(read_it(&q, &m), RCODE_FORMERR);
}

static void a_refusal_repeats_the_question(void **state)
{
	uint8_t out[QUESTION_REFUSAL_MAX];
	struct bytes m;
	struct question q;
	size_t n;

	(void)state;
	ask(&m, TYPE_A, CLASS_IN);
	m.b[3] = FLAG3_CD | FLAG3_AD;
	assert_int_equal(read_it(&q, &m), 0);
	n = question_refuse(&q, out, RCODE_NXDOMAIN, EDE_BLOCKED, "policy");
	assert_int_equal(n, m.len);
	assert_memory_equal(out, "\x12\x34\x81\x93\0\1\0\0\0\0\0\0", 12);
	assert_memory_equal(out + 12, m.b + 12, m.len - 12);
	/* With EDNS: an OPT record with the reason. */
	add_opt(&m, 1232, 0x8000, NULL, 0);
	assert_int_equal(read_it(&q, &m), 0);
	n = question_refuse(&q, out, RCODE_NXDOMAIN, EDE_BLOCKED, "policy");
	assert_int_equal(n, 27 + 11 + 6 + 6);
	assert_int_equal(out[11], 1);
	assert_memory_equal(out + 27,
			    "\0\0\x29\x04\xd0\0\0\x80\0\0\x0c"
			    "\0\x0f\0\x08\0\x0fpolicy",
			    23);
	n = question_refuse(&q, out, RCODE_BADVERS, EDE_NONE, NULL);
	assert_int_equal(n, 27 + 11);
	assert_int_equal(out[3] & 15, 0);
	assert_int_equal(out[27 + 5], 1);
}

static void any_refusal_fits_into_512_bytes(void **state)
{
	char text[1000];
	uint8_t out[QUESTION_REFUSAL_MAX];
	struct question q = {.whole = true, .edns = true};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	q.name.len = 255;
	assert_true(question_refuse(&q, out, 3, EDE_BLOCKED, text) <= 512);
	assert_true(QUESTION_REFUSAL_MAX <= 512);
}

static void a_resolver_is_asked_in_our_words(void **state)
{
	uint8_t out[QUESTION_UPSTREAM_MAX];
	struct bytes m;
	struct question q;
	size_t n;

	(void)state;
	ask(&m, TYPE_AAAA, CLASS_IN);
	m.b[2] = 0;
	m.b[3] = FLAG3_CD | FLAG3_AD | 0x40;
	add_opt(&m, 4000, 0x8000, "\0\x0a\0\4wxyz", 8);
	assert_int_equal(read_it(&q, &m), 0);
	n = question_upstream(&q, out);
	assert_int_equal(n, 27 + 11);
	/* Not unchecked: it is an address. */
	assert_memory_equal(out, "\0\0\1\x20\0\1\0\0\0\0\0\1", 12);
	assert_memory_equal(out + 12, "\4good\4test\0\0\x1c\0\1", 15);
	assert_memory_equal(out + 27, "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
	q.type = TYPE_DS;
	assert_int_equal(question_upstream(&q, out), n);
	assert_int_equal(out[3], FLAG3_AD | FLAG3_CD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_question_is_read),
		cmocka_unit_test(edns_is_read),
		cmocka_unit_test(what_is_no_query_is_never_answered),
		cmocka_unit_test(a_cut_question_is_a_format_error),
		cmocka_unit_test(counts_must_be_one_question_and_nothing_else),
		cmocka_unit_test(other_opcodes_are_not_implemented),
		cmocka_unit_test(types_and_classes_that_no_resolver_is_asked),
		cmocka_unit_test(edns_faults),
		cmocka_unit_test(names_out_of_form),
		cmocka_unit_test(the_longest_message),
		cmocka_unit_test(a_refusal_repeats_the_question),
		cmocka_unit_test(any_refusal_fits_into_512_bytes),
		cmocka_unit_test(a_resolver_is_asked_in_our_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
