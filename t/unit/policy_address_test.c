/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct address parse(const char *text)
{
	struct address a;

	if (address_from_text(&a, text) < 0)
		fail_msg("%s is not read", text);
	return a;
}

static void text_reads_back_canonical(void **state)
{
	static const char *const texts[][2] = {
		{"192.0.2.1", "192.0.2.1"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"::ffff:a00:1", "10.0.0.1"},
		{"::", "::"},
		{"fe80::1", "fe80::1"},
	};
	char out[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address a = parse(texts[i][0]);

		assert_string_equal(address_to_text(&a, out), texts[i][1]);
	}
}

static void text_that_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = {
		"",          "1.2.3",      "1.2.3.4.5",  "01.2.3.4",
		"1.2.3.256", " 1.2.3.4",   "1.2.3.4 ",   "0x1.2.3.4",
		":::",       "1::2::3",    "fe80::1%lo", "[::1]",
		"1.2.3.4/8", "2130706433", "::1.2.3",
	};
	struct address a;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_not_equal(address_from_text(&a, texts[i]), 0);
}

static void bytes_of_mapped_addresses_are_ipv4(void **state)
{
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
	struct address a, inet = parse("10.0.0.1");

	(void)state;
	assert_int_equal(address_from_bytes(&a, mapped, 16), 0);
	assert_memory_equal(&a, &inet, sizeof(a));
	assert_int_equal(address_size(&a), 4);
	assert_int_not_equal(address_from_bytes(&a, mapped, 15), 0);
	assert_int_not_equal(address_from_bytes(&a, mapped, 0), 0);
}

static void ipv4_sorts_before_ipv6(void **state)
{
	struct address low = parse("1.2.3.4"), high = parse("1.2.3.5");
	struct address inet6 = parse("::2");

	(void)state;
	assert_true(address_compare(&low, &high) < 0);
	assert_true(address_compare(&high, &low) > 0);
	assert_true(address_compare(&high, &inet6) < 0);
	assert_true(address_compare(&inet6, &low) > 0);
	assert_int_equal(address_compare(&low, &low), 0);
}

static void every_special_address_has_its_kind(void **state)
{
	static const struct {
		const char *text;
		enum address_kind kind;
	} kinds[] = {
		{"8.8.8.8", ADDRESS_PUBLIC},
		{"1.0.0.0", ADDRESS_PUBLIC},
		{"203.0.113.1", ADDRESS_PUBLIC},
		{"223.255.255.255", ADDRESS_PUBLIC},
		{"2606:4700::1111", ADDRESS_PUBLIC},
		{"9.255.255.255", ADDRESS_PUBLIC},
		{"10.0.0.0", ADDRESS_PRIVATE},
		{"10.255.255.255", ADDRESS_PRIVATE},
		{"11.0.0.0", ADDRESS_PUBLIC},
		{"172.15.255.255", ADDRESS_PUBLIC},
		{"172.16.0.0", ADDRESS_PRIVATE},
		{"172.31.255.255", ADDRESS_PRIVATE},
		{"172.32.0.0", ADDRESS_PUBLIC},
		{"192.167.255.255", ADDRESS_PUBLIC},
		{"192.168.0.1", ADDRESS_PRIVATE},
		{"100.63.255.255", ADDRESS_PUBLIC},
		{"100.64.0.0", ADDRESS_PRIVATE},
		{"100.100.100.199", ADDRESS_PRIVATE},
		{"100.100.100.200", ADDRESS_METADATA},
		{"100.127.255.255", ADDRESS_PRIVATE},
		{"100.128.0.0", ADDRESS_PUBLIC},
		{"198.17.255.255", ADDRESS_PUBLIC},
		{"198.18.0.1", ADDRESS_PRIVATE},
		{"198.19.255.255", ADDRESS_PRIVATE},
		{"168.63.129.16", ADDRESS_METADATA},
		{"168.63.129.17", ADDRESS_PUBLIC},
		{"192.0.0.192", ADDRESS_METADATA},
		{"192.0.0.1", ADDRESS_RESERVED},
		{"169.254.169.254", ADDRESS_LINK_LOCAL},
		{"169.254.0.1", ADDRESS_LINK_LOCAL},
		{"127.0.0.1", ADDRESS_LOOPBACK},
		{"127.255.255.255", ADDRESS_LOOPBACK},
		{"0.0.0.0", ADDRESS_UNSPECIFIED},
		{"0.1.2.3", ADDRESS_UNSPECIFIED},
		{"224.0.0.1", ADDRESS_MULTICAST},
		{"239.255.255.255", ADDRESS_MULTICAST},
		{"240.0.0.1", ADDRESS_RESERVED},
		{"255.255.255.255", ADDRESS_MULTICAST},
		{"::", ADDRESS_UNSPECIFIED},
		{"::1", ADDRESS_LOOPBACK},
		{"::2", ADDRESS_UNSPECIFIED}, /* 0.0.0.2 inside */
		{"100::1", ADDRESS_RESERVED},
		{"fc00::1", ADDRESS_PRIVATE},
		{"fdff::1", ADDRESS_PRIVATE},
		{"fd00:ec2::254", ADDRESS_METADATA},
		{"fd00:ec2::23", ADDRESS_METADATA},
		{"fd00:ec2::255", ADDRESS_PRIVATE},
		{"fd20:ce::254", ADDRESS_METADATA},
		{"fd00:c1::a9fe:a9fe", ADDRESS_METADATA},
		{"fd00:42::42", ADDRESS_METADATA},
		{"fd00:a9fe:a9fe::1", ADDRESS_METADATA},
		{"fe80::1", ADDRESS_LINK_LOCAL},
		{"febf::1", ADDRESS_LINK_LOCAL},
		{"fec0::1", ADDRESS_PRIVATE},
		{"ff02::1", ADDRESS_MULTICAST},
		{"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
		{"::ffff:10.0.0.1", ADDRESS_PRIVATE},
		/* IPv4 inside: IPv4-compatible, NAT64, 6to4, Teredo */
		{"::127.0.0.1", ADDRESS_LOOPBACK},
		{"::10.0.0.1", ADDRESS_RESERVED},
		{"::8.8.8.8", ADDRESS_RESERVED},
		{"::ffff:0:127.0.0.1", ADDRESS_RESERVED},
		{"64:ff9b::8.8.8.8", ADDRESS_PUBLIC},
		{"64:ff9b::10.0.0.1", ADDRESS_PRIVATE},
		{"64:ff9b::169.254.169.254", ADDRESS_LINK_LOCAL},
		{"64:ff9b::100.100.100.200", ADDRESS_METADATA},
		{"64:ff9b:1::8.8.8.8", ADDRESS_PRIVATE},
		{"64:ff9b:1::127.0.0.1", ADDRESS_LOOPBACK},
		{"2002:808:808::1", ADDRESS_PUBLIC},
		{"2002:7f00:1::1", ADDRESS_LOOPBACK},
		{"2002:a9fe:a9fe::1", ADDRESS_LINK_LOCAL},
		{"2001:0:7f00:1::f7f7:f7f7", ADDRESS_LOOPBACK},
		{"2001:0:808:808::f5ff:fffe", ADDRESS_PRIVATE},
		{"2001:0:808:808::f7f7:f7f7", ADDRESS_PUBLIC},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct address a = parse(kinds[i].text);
		enum address_kind kind = address_kind(&a);

		if (kind != kinds[i].kind)
			fail_msg("%s is %s", kinds[i].text,
				 address_kind_name(kind));
	}
}

static void kinds_have_names(void **state)
{
	(void)state;
	assert_string_equal(address_kind_name(ADDRESS_PUBLIC), "public");
	assert_string_equal(address_kind_name(ADDRESS_LINK_LOCAL),
			    "link-local");
	assert_string_equal(address_kind_name(ADDRESS_RESERVED), "reserved");
	assert_string_equal(address_kind_name((enum address_kind)99),
			    "unknown");
}

static void ranges_reach_from_first_to_last(void **state)
{
	static const char *const ranges[][3] = {
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"192.0.2.1/32", "192.0.2.1", "192.0.2.1"},
		{"10.0.0.0/8", "10.0.0.0", "10.255.255.255"},
		{"192.168.128.0/17", "192.168.128.0", "192.168.255.255"},
		{"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
		{"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"fe80::/10",
		 "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db8::1/128", "2001:db8::1", "2001:db8::1"},
		{"::ffff:10.0.0.0/104", "10.0.0.0", "10.255.255.255"},
		{"::ffff:0.0.0.0/96", "0.0.0.0", "255.255.255.255"},
		{"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];
		struct address_range r;
		const char *why;

		assert_int_equal(
			address_range_from_text(&r, ranges[i][0], &why), 0);
		assert_null(why);
		assert_string_equal(address_to_text(&r.first, first),
				    ranges[i][1]);
		assert_string_equal(address_to_text(&r.last, last),
				    ranges[i][2]);
		assert_true(address_range_holds(&r, &r.first));
		assert_true(address_range_holds(&r, &r.last));
	}
}

static void ranges_out_of_form_say_why(void **state)
{
	static const char *const ranges[][2] = {
		{"", "not an IP address"},
		{"/8", "not an IP address"},
		{"10.0.0/8", "not an IP address"},
		{"10.0.0.0/", "the prefix length is not a number in range"},
		{"10.0.0.0/33", "the prefix length is not a number in range"},
		{"10.0.0.0/08", "the prefix length is not a number in range"},
		{"10.0.0.0/-1", "the prefix length is not a number in range"},
		{"10.0.0.0/8 ", "the prefix length is not a number in range"},
		{"10.0.0.0/99999999999999999999",
		 "the prefix length is not a number in range"},
		{"::/129", "the prefix length is not a number in range"},
		{"10.0.0.1/8", "host bits are set below the prefix"},
		{"10.128.0.0/8", "host bits are set below the prefix"},
		{"2001:db8::1/64", "host bits are set below the prefix"},
		{"::ffff:0:0/95", "an IPv4-mapped prefix is of 96 bits or "
				  "more"},
		{"::ffff:10.0.0.1/104", "host bits are set below the prefix"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct address_range r;
		const char *why = NULL;

		assert_int_not_equal(
			address_range_from_text(&r, ranges[i][0], &why), 0);
		assert_string_equal(why, ranges[i][1]);
	}
}

/* The prefix that is meant, and as text. */
static void host_bits_are_cleared(void **state)
{
	static const char *const ranges[][2] = {
		{"10.0.0.1/8", "10.0.0.0/8"},
		{"10.128.0.0/8", "10.0.0.0/8"},
		{"255.255.255.255/31", "255.255.255.254/31"},
		{"1.2.3.4/0", "0.0.0.0/0"},
		{"2001:db8::1/64", "2001:db8::/64"},
		{"2001:db8:ffff::/33", "2001:db8:8000::/33"},
		{"::ffff:10.0.0.1/104", "10.0.0.0/8"},
	};
	char text[ADDRESS_RANGE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct address_range r, again;
		const char *why = NULL;

		assert_int_equal(
			address_range_from_text(&r, ranges[i][0], &why), 1);
		assert_string_equal(why, "host bits are set below the prefix");
		assert_string_equal(address_range_to_text(&r, text),
				    ranges[i][1]);
		assert_int_equal(address_range_from_text(&again, text, &why),
				 0);
		assert_int_equal(address_compare(&r.first, &again.first), 0);
		assert_int_equal(address_compare(&r.last, &again.last), 0);
	}
	assert_int_equal(address_range_from_text(&(struct address_range){0},
						 "10.0.0.1/32",
						 &(const char *){NULL}),
			 0);
}

static void ranges_hold_their_own_family_alone(void **state)
{
	struct address inet = parse("0.0.0.1"), inet6 = parse("::1");
	struct address_range all;
	const char *why;

	(void)state;
	assert_int_equal(address_range_from_text(&all, "0.0.0.0/0", &why), 0);
	assert_true(address_range_holds(&all, &inet));
	assert_false(address_range_holds(&all, &inet6));
	assert_int_equal(address_range_from_text(&all, "::/0", &why), 0);
	assert_false(address_range_holds(&all, &inet));
	assert_true(address_range_holds(&all, &inet6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_reads_back_canonical),
		cmocka_unit_test(text_that_is_no_address_is_refused),
		cmocka_unit_test(bytes_of_mapped_addresses_are_ipv4),
		cmocka_unit_test(ipv4_sorts_before_ipv6),
		cmocka_unit_test(every_special_address_has_its_kind),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(ranges_reach_from_first_to_last),
		cmocka_unit_test(ranges_out_of_form_say_why),
		cmocka_unit_test(host_bits_are_cleared),
		cmocka_unit_test(ranges_hold_their_own_family_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
