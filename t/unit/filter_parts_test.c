/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/batch.h"
#include "filter/inner.h"
#include "filter/netlink.h"
#include "filter/ruleset.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct address_range range_of(const char *text)
{
	struct address_range r;
	const char *why;

	assert_int_equal(address_range_from_text(&r, text, &why), 0);
	return r;
}

static void test_ranges_merge(void **state)
{
	struct address_range r[] = {
		range_of("10.0.1.0/24"), range_of("2001:db8::/32"),
		range_of("10.0.0.0/24"), range_of("10.0.0.128/25"),
		range_of("10.0.3.0/24"), range_of("255.255.255.255"),
		range_of("255.0.0.0/8"),
	};
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	assert_int_equal(ranges_merge(r, 7), 4);
	assert_string_equal(address_to_text(&r[0].first, text), "10.0.0.0");
	assert_string_equal(address_to_text(&r[0].last, text), "10.0.1.255");
	assert_string_equal(address_to_text(&r[1].first, text), "10.0.3.0");
	assert_string_equal(address_to_text(&r[2].last, text),
			    "255.255.255.255");
	assert_string_equal(address_to_text(&r[3].first, text), "2001:db8::");
	assert_int_equal(ranges_merge(r, 0), 0);
}

static void test_interval_ends(void **state)
{
	struct address_range some = range_of("10.0.0.0/8");
	struct address_range top = range_of("240.0.0.0/4");
	struct elements list = {0};

	(void)state;
	assert_int_equal(elements_add_range(&list, &some, NULL), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.e[1].key[0], 11);
	assert_true(list.e[1].end);
	assert_int_equal(elements_add_range(&list, &top, NULL), 0);
	assert_int_equal(list.n, 3);
	elements_free(&list);
}

static void test_unique_keeps_longest(void **state)
{
	struct elements list = {0};

	(void)state;
	for (uint32_t i = 0; i < 9; i++) {
		struct set_element *e = elements_add(&list);

		assert_non_null(e);
		e->key[0] = (uint8_t)(i % 3);
		e->timeout_s = i * 7 % 5;
	}
	elements_unique(&list);
	assert_int_equal(list.n, 3);
	assert_int_equal(list.e[0].timeout_s, 2);
	assert_int_equal(list.e[1].timeout_s, 4);
	assert_int_equal(list.e[2].timeout_s, 4);
	elements_free(&list);
}

/* Whatever the settings hash to, what was let in has a mark of its own, and no
 * generation is ever one of those. */
static void test_marks(void **state)
{
	static const uint32_t edges[] = {
		0,          1,          2,          3,          0x7ffffffc,
		0x7ffffffd, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001,
		0x80000002, 0x80000003, 0xfffffffd, 0xfffffffe, 0xffffffff,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		uint32_t inbound = mark_inbound(edges[i]);
		uint32_t generation = mark_generation(edges[i]);
		bool again;

		assert_true(inbound & RULESET_MARK_INBOUND);
		assert_int_not_equal(inbound, RULESET_MARK_INBOUND);
		assert_int_not_equal(inbound, RULESET_MARK_REDIRECTED);
		assert_int_not_equal(inbound, RULESET_MARK_OURS);
		assert_int_not_equal(inbound, RULESET_MARK_GUESTS);
		assert_int_not_equal(inbound, RULESET_MARK_AUDITED);
		for (int k = 0; k < 5; k++) {
			uint32_t before = generation;

			assert_int_not_equal(generation, 0);
			assert_false(generation & RULESET_MARK_INBOUND);
			generation = mark_next(generation, &again);
			assert_int_equal(again, generation <= before);
		}
	}
}

/* Four octets of options, then UDP to port 8443. */
static const uint8_t packet4[] = {
	0x46, 0, 0,   32, 0, 1, 0, 0, 64, 17, 0,    0,    10, 99, 0, 2,
	203,  0, 113, 9,  1, 1, 1, 1, 1,  2,  0x20, 0xfb, 0,  8,  0, 0,
};

/* A hop-by-hop header of 16 octets, then TCP to port 443. */
static const uint8_t packet6[] = {
	0x60, 0, 0, 0, 0, 20, 0, 64, 0x20, 1,    0x0d, 0xb8, 0,    0, 0,
	0,    0, 0, 0, 0, 0,  0, 0,  2,    0x20, 1,    0x0d, 0xb8, 0, 0,
	0,    0, 0, 0, 0, 0,  0, 0,  0,    9,    6,    1,    0,    0, 0,
	0,    0, 0, 0, 0, 0,  0, 0,  0,    0,    0,    1,    2,    1, 0xbb,
};

static void test_packets(void **state)
{
	char text[ADDRESS_TEXT_MAX];
	struct refused_packet p;

	(void)state;
	assert_int_equal(nflog_parse_packet(&p, packet4, sizeof(packet4)), 0);
	assert_string_equal(address_to_text(&p.destination, text),
			    "203.0.113.9");
	assert_int_equal(p.protocol, 17);
	assert_int_equal(p.destination_port, 8443);
	assert_int_equal(nflog_parse_packet(&p, packet6, sizeof(packet6)), 0);
	assert_string_equal(address_to_text(&p.source, text), "2001:db8::2");
	assert_int_equal(p.protocol, 6);
	assert_int_equal(p.destination_port, 443);
}

/* Cut anywhere, nothing is read behind the end (the sanitizer watches), and
 * no port is made up. */
static void test_short_packets(void **state)
{
	struct refused_packet p;

	(void)state;
	for (size_t len = 0; len < sizeof(packet4); len++) {
		uint8_t copy[sizeof(packet4)];

		memcpy(copy, packet4, len);
		if (nflog_parse_packet(&p, copy, len) < 0)
			assert_true(len < 20);
		else if (len < 28)
			assert_int_equal(p.destination_port, 0);
	}
	for (size_t len = 0; len < sizeof(packet6); len++) {
		if (nflog_parse_packet(&p, packet6, len) < 0)
			assert_true(len < 40);
		else
			assert_int_equal(p.destination_port, 0);
	}
	assert_int_equal(nflog_parse_packet(&p, (const uint8_t *)"\x50", 1),
			 -EINVAL);
}

/* What conntrack tells of a connection, and what is too short to be it. */
static void test_connection(void **state)
{
	const uint8_t far4[] = {203, 0, 113, 20}, near4[] = {10, 0, 0, 5};
	char buf[1024] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *nest, *inner;
	struct connection c;

	(void)state;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG);
	inner = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	mnl_attr_put(nlh, CTA_IP_V4_SRC, 4, near4);
	mnl_attr_nest_end(nlh, inner);
	inner = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, 17);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(4000));
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_REPLY);
	inner = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	mnl_attr_put(nlh, CTA_IP_V4_SRC, 4, far4);
	mnl_attr_nest_end(nlh, inner);
	inner = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(53));
	mnl_attr_nest_end(nlh, inner);
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_put_u32(nlh, CTA_ID, htonl(77));
	mnl_attr_put_u16(nlh, CTA_MARK, 1); /* too short */
	nest = mnl_attr_nest_start(nlh, CTA_COUNTERS_REPLY);
	mnl_attr_put_u64(nlh, CTA_COUNTERS_PACKETS, htobe64(3));
	mnl_attr_put_u64(nlh, CTA_COUNTERS_BYTES, htobe64(1ULL << 40));
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TIMESTAMP);
	mnl_attr_put_u64(nlh, CTA_TIMESTAMP_START, htobe64(5000000));
	mnl_attr_put_u32(nlh, CTA_TIMESTAMP_STOP, 1); /* too short */
	mnl_attr_nest_end(nlh, nest);
	connection_read(&c, nlh);
	assert_int_equal(c.id, 77);
	assert_int_equal(c.mark, 0);
	assert_int_equal(c.protocol, 17);
	assert_memory_equal(c.source.bytes, near4, 4);
	assert_int_equal(c.source_port, 4000);
	assert_memory_equal(c.far.bytes, far4, 4);
	assert_int_equal(c.port, 53);
	assert_true(c.counted);
	assert_int_equal(c.packets[0], 0);
	assert_int_equal(c.packets[1], 3);
	assert_int_equal(c.bytes[1], 1ULL << 40);
	assert_int_equal(c.start_ns, 5000000);
	assert_int_equal(c.stop_ns, 0);
	assert_non_null(c.tuple);
}

/* Of our own connections those of the gate's are the sandbox's. */
static void test_onward(void **state)
{
	struct connection c = {.mark = RULESET_MARK_OURS,
			       .protocol = IPPROTO_TCP,
			       .far = range_of("203.0.113.20").first,
			       .port = 443};
	struct filter *filter = calloc(1, sizeof(*filter));

	(void)state;
	assert_non_null(filter);
	assert_false(flow_is_onward(filter, &c));
	filter->settings.n_gated = 2;
	filter->settings.gated[0] = 80;
	filter->settings.gated[1] = 443;
	assert_true(flow_is_onward(filter, &c));
	c.port = 8443;
	assert_false(flow_is_onward(filter, &c));
	c.port = 443;
	c.mark = RULESET_MARK_REDIRECTED;
	assert_false(flow_is_onward(filter, &c));
	c.mark = RULESET_MARK_OURS;
	/* The webhook's. */
	filter->n_peers = 1;
	filter->peers[0].a = c.far;
	filter->peers[0].port = 443;
	assert_false(flow_is_onward(filter, &c));
	c.port = 80;
	assert_true(flow_is_onward(filter, &c));
	free(filter);
}

/* However many want a list at once, the loop comes to its sockets between two.
 */
static void test_lists_wait(void **state)
{
	enum {
		FILTERS = 200
	};
	struct filter_kernel kernel = {.known = true};
	unsigned due[FILTERS] = {0}, now = 0, lists = 0;

	(void)state;
	for (; now < 10 * FILTERS; now++) {
		unsigned begun = 0;

		for (int i = 0; i < FILTERS; i++) {
			unsigned wait;

			if (due[i] > now)
				continue;
			wait = renewal_wait(&kernel, now + 1);
			due[i] = wait ? now + wait : UINT_MAX;
			begun += wait == 0;
		}
		assert_in_range(begun, 0, 1);
		lists += begun;
	}
	assert_int_equal(lists, FILTERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_onward),
		cmocka_unit_test(test_lists_wait),
		cmocka_unit_test(test_ranges_merge),
		cmocka_unit_test(test_interval_ends),
		cmocka_unit_test(test_unique_keeps_longest),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_short_packets),
	};

	return cmocka_run_group_tests_name("filter parts", tests, NULL, NULL);
}
