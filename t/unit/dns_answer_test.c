/* SPDX-License-Identifier: Apache-2.0 */
/* Resolvers' answers: only what belongs to the question is left of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "dns/message.h"
#include "dns_text.h"

static struct question client;
static unsigned also; /* wishes of answer_read() but for signatures */

/* The client's question, as it would have been read. */
static void ask(const char *name, uint16_t type)
{
	const char *why;

	memset(&client, 0, sizeof(client));
	assert_int_equal(domain_name_from_text(&client.name, name, &why), 0);
	memcpy(client.spelled, client.name.wire, client.name.len);
	client.id = 0x4242;
	client.type = type;
	client.class = CLASS_IN;
	client.whole = true;
}

static int read_text(struct answer **out, const struct text_message *text)
{
	size_t len;
	uint8_t *message = text_to_message(text, &len);
	unsigned wishes = (client.dnssec_ok ? ANSWER_SIGNATURES : 0) | also;
	int err = answer_read(out, &client.name, client.type, wishes, message,
			      len);

	free(message);
	return err;
}

static const struct answer_fate whole = {
	.address_ttl = ANSWER_TTL_MAX,
	.ede = EDE_NONE,
};

/* Write it and read it back as text: answer, then authority. */
static const char *written(const struct answer *a,
			   const struct answer_fate *fate)
{
	static char text[65536];
	uint8_t *out = malloc(answer_write_max(a));
	ldns_pkt *pkt = NULL;
	size_t n = answer_write(a, &client, fate, out);

	assert_true(n <= answer_write_max(a));
	assert_int_equal(ldns_wire2pkt(&pkt, out, n), LDNS_STATUS_OK);
	assert_int_equal(ldns_pkt_id(pkt), 0x4242);
	assert_true(ldns_pkt_qr(pkt));
	text[0] = '\0';
	text_of_section(ldns_pkt_answer(pkt), "", text, sizeof(text));
	text_of_section(ldns_pkt_authority(pkt), "", text, sizeof(text));
	assert_int_equal(ldns_pkt_arcount(pkt), client.edns ? 0 : 0);
	ldns_pkt_free(pkt);
	free(out);
	return text;
}

static void check_text(const struct text_message *text, const char *expected,
		       size_t n_addresses)
{
	struct answer *a;

	assert_int_equal(read_text(&a, text), 0);
	assert_string_equal(written(a, &whole), expected);
	assert_int_equal(a->n_addresses, n_addresses);
	free(a);
}

static void addresses_of_the_name(void **state)
{
	(void)state;
	ask("good.test", TYPE_A);
	check_text(
		&(struct text_message){.name = "good.test.",
				       .type = "A",
				       .answer =
					       "good.test. 300 IN A 192.0.2.1\n"
					       "good.test. 300 IN A 192.0.2.2"},
		"good.test. 300 IN A 192.0.2.1\n"
		"good.test. 300 IN A 192.0.2.2\n",
		2);
}

static void foreign_owners_are_cut(void **state)
{
	(void)state;
	ask("good.test", TYPE_A);
	check_text(
		&(struct text_message){
			.name = "good.test.",
			.type = "A",
			.answer = "good.test. 300 IN A 192.0.2.1\n"
				  "evil.test. 300 IN A 192.0.2.66\n"
				  "x.good.test. 300 IN A 192.0.2.67\n"
				  "test. 300 IN A 192.0.2.68\n"
				  "good.test. 300 IN AAAA 2001:db8::1\n"
				  "good.test. 300 IN TXT \"x\"\n"
				  "good.test. 300 CH A 192.0.2.69",
			.authority = "test. 300 IN NS ns.test.",
			.additional = "ns.test. 300 IN A 192.0.2.70"},
		"good.test. 300 IN A 192.0.2.1\n", 1);
}

static void the_chain_is_followed(void **state)
{
	(void)state;
	ask("www.good.test", TYPE_AAAA);
	check_text(
		&(struct text_message){
			.name = "www.good.test.",
			.type = "AAAA",
			.answer = "www.good.test. 300 IN CNAME a.test.\n"
				  "a.test. 60 IN CNAME b.test.\n"
				  "b.test. 30 IN AAAA 2001:db8::1\n"
				  "a.test. 30 IN AAAA 2001:db8::2"},
		"www.good.test. 300 IN CNAME a.test.\n"
		"a.test. 60 IN CNAME b.test.\n"
		"b.test. 30 IN AAAA 2001:db8::1\n",
		1);
	/* In whatever order it comes; what no alias leads to is cut. */
	check_text(
		&(struct text_message){
			.name = "www.good.test.",
			.type = "AAAA",
			.answer = "b.test. 30 IN AAAA 2001:db8::1\n"
				  "www.good.test. 300 IN CNAME b.test.\n"
				  "www.good.test. 300 IN CNAME c.test.\n"
				  "c.test. 30 IN AAAA 2001:db8::3\n"
				  "d.test. 30 IN CNAME b.test."},
		"www.good.test. 300 IN CNAME b.test.\n"
		"b.test. 30 IN AAAA 2001:db8::1\n",
		1);
}

static void a_dname_stays_with_its_alias(void **state)
{
	(void)state;
	ask("x.good.test", TYPE_A);
	check_text(
		&(struct text_message){
			.name = "x.good.test.",
			.type = "A",
			.answer = "good.test. 300 IN DNAME other.test.\n"
				  "ood.test. 300 IN DNAME foreign.test.\n"
				  "x.good.test. 0 IN CNAME x.other.test.\n"
				  "x.other.test. 60 IN A 192.0.2.1"},
		"good.test. 300 IN DNAME other.test.\n"
		"x.good.test. 0 IN CNAME x.other.test.\n"
		"x.other.test. 60 IN A 192.0.2.1\n",
		1);
}

static void loops_and_long_chains_are_errors(void **state)
{
	struct answer *a;
	char chain[4096] = "";
	size_t n = 0;

	(void)state;
	ask("a.test", TYPE_A);
	assert_int_equal(
		read_text(&a,
			  &(struct text_message){
				  .name = "a.test.",
				  .type = "A",
				  .answer = "a.test. 1 IN CNAME b.test.\n"
					    "b.test. 1 IN CNAME a.test."}),
		-ELOOP);
	assert_int_equal(
		read_text(&a,
			  &(struct text_message){
				  .name = "a.test.",
				  .type = "A",
				  .answer = "a.test. 1 IN CNAME a.test."}),
		-ELOOP);
	ask("n0.test", TYPE_A);
	for (int i = 0; i < ANSWER_CHAIN_MAX; i++)
		n += (size_t)snprintf(chain + n, sizeof(chain) - n,
				      "n%d.test. 1 IN CNAME n%d.test.\n", i,
				      i + 1);
	assert_int_equal(
		read_text(&a, &(struct text_message){.name = "n0.test.",
						     .type = "A",
						     .answer = chain}),
		0);
	free(a);
	snprintf(chain + n, sizeof(chain) - n, "n%d.test. 1 IN CNAME x.test.",
		 ANSWER_CHAIN_MAX);
	assert_int_equal(
		read_text(&a, &(struct text_message){.name = "n0.test.",
						     .type = "A",
						     .answer = chain}),
		-ELOOP);
}

static void other_types_pass(void **state)
{
	(void)state;
	ask("good.test", 15);
	check_text(
		&(struct text_message){
			.name = "good.test.",
			.type = "MX",
			.answer = "good.test. 300 IN MX 10 mail.good.test.\n"
				  "good.test. 300 IN A 192.0.2.1",
			.additional = "mail.good.test. 300 IN A 192.0.2.2"},
		"good.test. 300 IN MX 10 mail.good.test.\n", 0);
	ask("good.test", TYPE_CNAME);
	check_text(
		&(struct text_message){
			.name = "good.test.",
			.type = "CNAME",
			.answer = "good.test. 300 IN CNAME x.test.\n"
				  "x.test. 300 IN CNAME y.test."},
		"good.test. 300 IN CNAME x.test.\n", 0);
}

static void hints_are_taken_out(void **state)
{
	(void)state;
	ask("good.test", TYPE_HTTPS);
	check_text(
		&(struct text_message){
			.name = "good.test.",
			.type = "HTTPS",
			.answer = "good.test. 300 IN HTTPS 1 . alpn=h2 "
				  "port=8443 ipv4hint=192.0.2.9 ech=vu8= "
				  "ipv6hint=2001:db8::9"},
		"good.test. 300 IN HTTPS 1 . alpn=h2 port=8443 ech=vu8=\n", 0);
}

static void ech_is_taken_out_where_wished(void **state)
{
	struct text_message text = {
		.name = "good.test.",
		.type = "HTTPS",
		.answer = "good.test. 300 IN HTTPS 1 . alpn=h2 ech=vu8=\n"
			  "good.test. 300 IN HTTPS 2 a.test. port=8443",
	};

	(void)state;
	also = ANSWER_WITHOUT_ECH;
	ask("good.test", TYPE_HTTPS);
	check_text(&text,
		   "good.test. 300 IN HTTPS 1 . alpn=h2\n"
		   "good.test. 300 IN HTTPS 2 a.test. port=8443\n",
		   0);
	text.answer = "good.test. 300 IN HTTPS 1 . mandatory=ech ech=vu8=\n"
		      "good.test. 300 IN HTTPS 2 a.test. port=8443";
	check_text(&text, "good.test. 300 IN HTTPS 2 a.test. port=8443\n", 0);
	text.answer = "good.test. 300 IN HTTPS 1 . mandatory=ech ech=vu8=";
	check_text(&text, "", 0);
	text.type = "SVCB";
	text.answer = "good.test. 300 IN SVCB 1 a.test. ech=vu8=";
	ask("good.test", TYPE_SVCB);
	check_text(&text, "good.test. 300 IN SVCB 1 a.test.\n", 0);
	also = 0;
}

static void ttls_are_brought_into_bounds(void **state)
{
	struct answer *a;

	(void)state;
	ask("good.test", TYPE_A);
	check_text(&(struct text_message){.name = "good.test.",
					  .type = "A",
					  .answer = "good.test. 2147483648 IN "
						    "A 192.0.2.1"},
		   "good.test. 604800 IN A 192.0.2.1\n", 1);
	assert_int_equal(
		read_text(&a,
			  &(struct text_message){
				  .name = "good.test.",
				  .type = "A",
				  .answer = "good.test. 0 IN A 192.0.2.1"}),
		0);
	assert_int_equal(a->ttl, 0);
	assert_int_equal(answer_address_ttl(a, 0), 0);
	free(a);
}

static void negative_answers_live_as_their_soa_says(void **state)
{
	static const struct {
		const char *authority;
		uint32_t ttl;
	} row[] = {
		{"test. 300 IN SOA n.test. r.test. 1 2 3 4 60", 60},
		{"test. 30 IN SOA n.test. r.test. 1 2 3 4 60", 30},
		{"test. 86400 IN SOA n.test. r.test. 1 2 3 4 86400",
		 ANSWER_NEGATIVE_TTL_MAX},
		{"test. 300 IN NS n.test.", 0},
		{NULL, 0},
	};
	struct answer *a;

	(void)state;
	ask("good.test", TYPE_A);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(
			read_text(&a,
				  &(struct text_message){
					  .name = "good.test.",
					  .type = "A",
					  .rcode = i ? "NXDOMAIN" : "NOERROR",
					  .authority = row[i].authority}),
			0);
		assert_int_equal(a->ttl, row[i].ttl);
		assert_int_equal(a->rcode, i ? RCODE_NXDOMAIN : 0);
		if (i == 0)
			assert_string_equal(written(a, &whole),
					    "test. 300 IN SOA n.test. r.test. "
					    "1 2 3 4 60\n");
		free(a);
	}
}

static void addresses_can_be_dropped_one_by_one(void **state)
{
	struct answer *a;
	bool keep[4] = {false, true, false, true};
	struct answer_fate fate = whole;

	(void)state;
	ask("www.good.test", TYPE_A);
	assert_int_equal(
		read_text(&a,
			  &(struct text_message){
				  .name = "www.good.test.",
				  .type = "A",
				  .answer =
					  "www.good.test. 9 IN CNAME a.test.\n"
					  "a.test. 100 IN A 192.0.2.1\n"
					  "a.test. 100 IN A 192.0.2.2\n"
					  "a.test. 100 IN A 192.0.2.3\n"
					  "a.test. 100 IN A 192.0.2.4"}),
		0);
	fate.keep = keep;
	fate.n_kept = 2;
	fate.age_s = 5;
	fate.address_ttl = 60;
	assert_string_equal(written(a, &fate),
			    "www.good.test. 4 IN CNAME a.test.\n"
			    "a.test. 60 IN A 192.0.2.2\n"
			    "a.test. 60 IN A 192.0.2.4\n");
	fate.age_s = 99;
	assert_string_equal(written(a, &fate),
			    "www.good.test. 0 IN CNAME a.test.\n"
			    "a.test. 1 IN A 192.0.2.2\n"
			    "a.test. 1 IN A 192.0.2.4\n");
	keep[1] = keep[3] = false;
	fate.n_kept = 0;
	assert_string_equal(written(a, &fate), "");
	free(a);
}

/* n addresses, of which each takes 16 bytes. */
static struct answer *many(int n)
{
	char *text = malloc((size_t)n * 64);
	struct answer *a;
	size_t at = 0;

	for (int i = 0; i < n; i++)
		at += (size_t)sprintf(text + at,
				      "good.test. 300 IN A 198.%d.%d.%d\n",
				      18 + i / 65536, i / 256 % 256, i % 256);
	assert_int_equal(
		read_text(&a, &(struct text_message){.name = "good.test.",
						     .type = "A",
						     .answer = text}),
		0);
	free(text);
	return a;
}

static void what_does_not_fit_is_truncated(void **state)
{
	static const struct {
		bool edns;
		int n;
		size_t limit;
		bool truncated;
	} row[] = {{false, 30, 512, false},  {false, 31, 512, true},
		   {true, 30, 512, true},    {true, 29, 512, false},
		   {true, 250, 1232, true},  {true, 250, 4096, false},
		   {true, 250, 65535, false}};
	uint8_t out[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct answer *a;
		struct answer_fate fate = whole;
		bool keep[ANSWER_ADDRESSES_MAX];
		size_t n, records;

		ask("good.test", TYPE_A);
		client.edns = row[i].edns;
		a = many(row[i].n);
		memset(keep, true, sizeof(keep));
		fate.keep = keep;
		fate.n_kept = (size_t)row[i].n;
		answer_fit(a, &client, &fate, row[i].limit);
		n = answer_write(a, &client, &fate, out);
		assert_int_equal(fate.truncated, row[i].truncated);
		assert_true(n <= row[i].limit);
		assert_int_equal((out[2] & FLAG2_TC) != 0, row[i].truncated);
		/* As many whole records as there is room for. */
		records = wire_get16(out + 6);
		assert_int_equal(records, fate.n_kept);
		if (fate.truncated)
			assert_true(n + 16 > row[i].limit);
		else
			assert_int_equal(records, row[i].n);
		free(a);
	}
}

static void addresses_are_bounded(void **state)
{
	struct answer *a;

	(void)state;
	ask("good.test", TYPE_A);
	a = many(1200);
	assert_int_equal(a->n_addresses, ANSWER_ADDRESSES_MAX);
	free(a);
}

static void failures_have_no_records(void **state)
{
	struct answer *a;

	(void)state;
	ask("good.test", TYPE_A);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			read_text(&a,
				  &(struct text_message){
					  .name = "good.test.",
					  .type = "A",
					  .rcode = i ? "REFUSED" : "NOTIMPL",
					  .answer = "good.test. 1 IN A "
						    "192.0.2.1"}),
			0);
		assert_int_equal(a->rcode, i ? RCODE_REFUSED : RCODE_SERVFAIL);
		assert_int_equal(a->n_addresses, 0);
		assert_int_equal(a->ttl, 0);
		assert_string_equal(written(a, &whole), "");
		free(a);
	}
}

/* The AD bit (RFC 4035, 3.2.3) lasts while the records are all there, in
 * whatever order they came; it goes with a record that is cut. */
static void what_is_whole_stays_authentic(void **state)
{
	static const struct {
		const char *records;
		bool authentic;
	} row[] = {
		{"www.good.test. 300 IN CNAME a.test.\n"
		 "a.test. 60 IN A 192.0.2.1",
		 true},
		{"a.test. 60 IN A 192.0.2.1\n"
		 "www.good.test. 300 IN CNAME a.test.\n"
		 "a.test. 60 IN A 192.0.2.2",
		 true},
		{"www.good.test. 300 IN CNAME a.test.\n"
		 "a.test. 60 IN A 192.0.2.1\n"
		 "b.test. 60 IN A 192.0.2.2",
		 false},
	};

	(void)state;
	ask("www.good.test", TYPE_A);
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct text_message text = {.name = "www.good.test.",
						  .type = "A",
						  .answer = row[i].records};
		struct answer *a;
		size_t len;
		uint8_t *message = text_to_message(&text, &len);

		message[3] |= FLAG3_AD;
		assert_int_equal(answer_read(&a, &client.name, client.type,
					     false, message, len),
				 0);
		assert_int_equal(a->authentic, row[i].authentic);
		free(a);
		free(message);
	}
}

static void what_answers_another_question_is_no_answer(void **state)
{
	struct text_message text = {.name = "good.test.",
				    .type = "A",
				    .answer = "good.test. 1 IN A 192.0.2.1"};
	struct answer *a;
	uint8_t *message;
	size_t len;

	(void)state;
	ask("other.test", TYPE_A);
	assert_int_equal(read_text(&a, &text), -EBADMSG);
	ask("good.test", TYPE_AAAA);
	assert_int_equal(read_text(&a, &text), -EBADMSG);
	ask("good.test", TYPE_A);
	message = text_to_message(&text, &len);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(
			answer_read(&a, &client.name, TYPE_A, 0, message, cut),
			-EBADMSG);
	message[2] |= FLAG2_TC;
	assert_int_equal(answer_read(&a, &client.name, TYPE_A, 0, message, len),
			 -EBADMSG);
	message[2] = 0;
	assert_int_equal(answer_read(&a, &client.name, TYPE_A, 0, message, len),
			 -EBADMSG);
	free(message);
}

static void pointers_that_loop_are_errors(void **state)
{
	/* good.test A, with an answer whose owner is a pointer. */
	uint8_t m[] = {0, 1, 0x81, 0x80, 0,   1,    0,   1,   0,   0,   0,
		       0, 4, 'g',  'o',  'o', 'd',  4,   't', 'e', 's', 't',
		       0, 0, 1,    0,    1,   0xc0, 0,   0,   1,   0,   1,
		       0, 0, 0,    9,    0,   4,    192, 0,   2,   1};
	struct answer *a;

	(void)state;
	ask("good.test", TYPE_A);
	m[28] = 12;
	assert_int_equal(answer_read(&a, &client.name, TYPE_A, 0, m, sizeof(m)),
			 0);
	free(a);
	/* Into the header, whose bytes change. */
	for (unsigned to = 0; to < 12; to++) {
		m[28] = (uint8_t)to;
		assert_int_equal(
			answer_read(&a, &client.name, TYPE_A, 0, m, sizeof(m)),
			-EBADMSG);
	}
	/* To itself, forwards, past the end. */
	for (unsigned to = 27; to < 0x100; to++) {
		m[28] = (uint8_t)to;
		assert_int_equal(
			answer_read(&a, &client.name, TYPE_A, 0, m, sizeof(m)),
			-EBADMSG);
	}
	m[27] = 0xff;
	m[28] = 0xff;
	assert_int_equal(answer_read(&a, &client.name, TYPE_A, 0, m, sizeof(m)),
			 -EBADMSG);
}

static void pointers_into_a_ttl_are_errors(void **state)
{
	/* An alias whose target's last part is in its own record's TTL: it
	 * would be another name a second later. */
	uint8_t m[] = {0, 1, 0x81, 0x80, 0,   1,    0,  1,   0,    0,   0,
		       0, 4, 'g',  'o',  'o', 'd',  4,  't', 'e',  's', 't',
		       0, 0, 1,    0,    1,   0xc0, 12, 0,   5,    0,   1,
		       0, 0, 1,    'x',  0,   4,    1,  'a', 0xc0, 35};
	struct answer *a;

	(void)state;
	ask("good.test", TYPE_A);
	assert_int_equal(answer_read(&a, &client.name, TYPE_A, 0, m, sizeof(m)),
			 -EBADMSG);
	m[42] = 17;
	assert_int_equal(answer_read(&a, &client.name, TYPE_A, 0, m, sizeof(m)),
			 0);
	free(a);
}

static void signatures_only_for_who_asks(void **state)
{
	struct text_message text = {
		.name = "good.test.",
		.type = "A",
		.answer = "good.test. 300 IN A 192.0.2.1\n"
			  "good.test. 300 IN RRSIG A 8 2 300 20300101000000 "
			  "20200101000000 1 test. AAAA\n"
			  "good.test. 300 IN RRSIG TXT 8 2 300 20300101000000 "
			  "20200101000000 1 test. AAAA"};

	(void)state;
	ask("good.test", TYPE_A);
	check_text(&text, "good.test. 300 IN A 192.0.2.1\n", 1);
	client.dnssec_ok = true;
	check_text(&text,
		   "good.test. 300 IN A 192.0.2.1\n"
		   "good.test. 300 IN RRSIG A 8 2 300 20300101000000 "
		   "20200101000000 1 test. AAAA\n",
		   1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_the_name),
		cmocka_unit_test(foreign_owners_are_cut),
		cmocka_unit_test(the_chain_is_followed),
		cmocka_unit_test(a_dname_stays_with_its_alias),
		cmocka_unit_test(loops_and_long_chains_are_errors),
		cmocka_unit_test(other_types_pass),
		cmocka_unit_test(hints_are_taken_out),
		cmocka_unit_test(ech_is_taken_out_where_wished),
		cmocka_unit_test(ttls_are_brought_into_bounds),
		cmocka_unit_test(negative_answers_live_as_their_soa_says),
		cmocka_unit_test(addresses_can_be_dropped_one_by_one),
		cmocka_unit_test(what_does_not_fit_is_truncated),
		cmocka_unit_test(addresses_are_bounded),
		cmocka_unit_test(failures_have_no_records),
		cmocka_unit_test(what_is_whole_stays_authentic),
		cmocka_unit_test(what_answers_another_question_is_no_answer),
		cmocka_unit_test(pointers_that_loop_are_errors),
		cmocka_unit_test(pointers_into_a_ttl_are_errors),
		cmocka_unit_test(signatures_only_for_who_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
