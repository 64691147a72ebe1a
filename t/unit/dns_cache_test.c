/* SPDX-License-Identifier: Apache-2.0 */
/* The cache, the brake on new names, and records without hints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/message.h"
#include "dns/parts.h"

static struct domain_name name_of(const char *text)
{
	struct domain_name name;
	const char *why;

	assert_int_equal(domain_name_from_text(&name, text, &why), 0);
	return name;
}

static struct answer *answer_of(uint32_t ttl, uint16_t len)
{
	struct answer *a = calloc(1, sizeof(*a) + len);

	a->ttl = ttl;
	a->len = len;
	return a;
}

static void an_answer_ends_with_its_ttl(void **state)
{
	struct domain_name name = name_of("good.test");
	struct cache_key key =
		cache_key(&name, domain_name_hash(&name), TYPE_A, false, false);
	struct cache *cache;
	uint32_t age;
	bool refresh;

	(void)state;
	assert_int_equal(cache_new(&cache, 0), 0);
	assert_null(cache_get(cache, &key, 0, &age, &refresh));
	cache_put(cache, &key, answer_of(60, 100), 5000);
	assert_non_null(cache_get(cache, &key, 5000, &age, &refresh));
	assert_int_equal(age, 0);
	assert_non_null(cache_get(cache, &key, 5999, &age, &refresh));
	assert_int_equal(age, 0);
	assert_non_null(cache_get(cache, &key, 64999, &age, &refresh));
	assert_int_equal(age, 59);
	assert_null(cache_get(cache, &key, 65000, &age, &refresh));
	assert_int_equal(cache_count(cache), 0);
	assert_int_equal(cache_bytes(cache), 0);
	cache_put(cache, &key, answer_of(0, 100), 70000);
	assert_int_equal(cache_count(cache), 0);
	cache_free(cache);
}

static void what_differs_is_kept_apart(void **state)
{
	struct domain_name name = name_of("good.test");
	struct domain_name other = name_of("good.tes");
	struct cache_key key[5] = {
		cache_key(&name, domain_name_hash(&name), TYPE_A, false, false),
		cache_key(&name, domain_name_hash(&name), TYPE_AAAA, false,
			  false),
		cache_key(&name, domain_name_hash(&name), TYPE_A, true, false),
		cache_key(&name, domain_name_hash(&name), TYPE_A, false, true),
		cache_key(&other, domain_name_hash(&other), TYPE_A, false,
			  false),
	};
	struct cache *cache;
	uint32_t age;
	bool refresh;

	(void)state;
	assert_int_equal(cache_new(&cache, 0), 0);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned j = 0; j < 5; j++) {
			const struct answer *a =
				cache_get(cache, &key[j], 0, &age, &refresh);

			assert_int_equal(a ? a->ttl : 0, j < i ? j + 1 : 0);
		}
		cache_put(cache, &key[i], answer_of(i + 1, 10), 0);
	}
	/* A newer answer takes the place of the older. */
	cache_put(cache, &key[0], answer_of(77, 10), 0);
	assert_int_equal(cache_count(cache), 5);
	assert_int_equal(cache_get(cache, &key[0], 0, &age, &refresh)->ttl, 77);
	cache_free(cache);
}

static void it_stays_within_its_bytes(void **state)
{
	const size_t most = 64 * 1024;
	struct domain_name first = name_of("n0.test");
	struct cache_key first_key = cache_key(&first, domain_name_hash(&first),
					       TYPE_A, false, false);
	struct cache *cache;
	uint32_t age;
	bool refresh;
	char text[32];

	(void)state;
	assert_int_equal(cache_new(&cache, most), 0);
	for (unsigned i = 0; i < 5000; i++) {
		struct domain_name name;
		struct cache_key key;

		snprintf(text, sizeof(text), "n%u.test", i);
		name = name_of(text);
		key = cache_key(&name, domain_name_hash(&name), TYPE_A, false,
				false);
		cache_put(cache, &key, answer_of(300, (uint16_t)(i % 500)), i);
		assert_true(cache_bytes(cache) <= most);
		assert_non_null(cache_get(cache, &key, i, &age, &refresh));
		/* What is used stays. */
		assert_non_null(
			cache_get(cache, &first_key, i, &age, &refresh));
	}
	assert_true(cache_count(cache) > 50);
	/* One that is larger than everything is not kept, nor in the way. */
	cache_put(cache, &first_key, answer_of(300, 65535), 5000);
	assert_null(cache_get(cache, &first_key, 5000, &age, &refresh));
	cache_free(cache);
}

static void a_hot_answer_is_refreshed_once(void **state)
{
	struct domain_name name = name_of("good.test");
	struct cache_key key =
		cache_key(&name, domain_name_hash(&name), TYPE_A, false, false);
	struct cache *cache;
	uint32_t age;
	bool refresh;

	(void)state;
	assert_int_equal(cache_new(&cache, 0), 0);
	cache_put(cache, &key, answer_of(100, 10), 0);
	cache_get(cache, &key, 95000, &age, &refresh);
	assert_false(refresh); /* asked once: not hot */
	cache_get(cache, &key, 90000, &age, &refresh);
	assert_false(refresh); /* not yet the last tenth */
	cache_get(cache, &key, 90001, &age, &refresh);
	assert_true(refresh);
	cache_get(cache, &key, 90002, &age, &refresh);
	assert_false(refresh); /* under way */
	cache_refresh_failed(cache, &key);
	cache_get(cache, &key, 90003, &age, &refresh);
	assert_true(refresh);
	/* Short ones are left to end. */
	cache_put(cache, &key, answer_of(9, 10), 0);
	for (int i = 0; i < 5; i++) {
		cache_get(cache, &key, 8900, &age, &refresh);
		assert_false(refresh);
	}
	cache_free(cache);
}

static bool is_it(void *arg, const struct domain_name *name)
{
	return domain_name_equal(arg, name);
}

static void names_can_be_forgotten(void **state)
{
	struct domain_name name[2] = {name_of("good.test"),
				      name_of("evil.test")};
	struct cache *cache;
	uint32_t age;
	bool refresh;

	(void)state;
	assert_int_equal(cache_new(&cache, 0), 0);
	for (int i = 0; i < 4; i++) {
		struct cache_key key =
			cache_key(&name[i & 1], domain_name_hash(&name[i & 1]),
				  (uint16_t)(i + 1), false, false);

		cache_put(cache, &key, answer_of(300, 10), 0);
	}
	cache_forget(cache, is_it, &name[1]);
	assert_int_equal(cache_count(cache), 2);
	for (int i = 0; i < 4; i++) {
		struct cache_key key =
			cache_key(&name[i & 1], domain_name_hash(&name[i & 1]),
				  (uint16_t)(i + 1), false, false);

		assert_int_equal(cache_get(cache, &key, 0, &age, &refresh) !=
					 NULL,
				 !(i & 1));
	}
	cache_free(cache);
}

static void new_names_below_a_wildcard_pay(void **state)
{
	struct domain_name good = name_of("good.test");
	struct rule below = {.kind = TARGET_BELOW, .name = &good};
	struct rule exact = {.kind = TARGET_NAME, .name = &good};
	struct domain_name shorter = name_of("a.good.test");
	struct domain_name elsewhere = name_of("a.test");
	struct domain_name longer = name_of(
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.good.test");
	struct limit limit;
	int n = 0;

	(void)state;
	limit_start(&limit, 10, 0);
	while (limit_take(&limit, &below, &shorter, TYPE_A, 0))
		n++;
	assert_int_equal(n, 10 * LIMIT_BURST_SECONDS);
	assert_int_equal(limit_report(&limit, 999), 0);
	assert_int_equal(limit_report(&limit, 1000), 1);
	assert_int_equal(limit_report(&limit, 5000), 0);
	/* Others go on. */
	assert_true(limit_take(&limit, &exact, &good, TYPE_A, 0));
	assert_false(limit_take(&limit, &exact, &shorter, TYPE_A, 0));
	assert_false(limit_take(&limit, &exact, &elsewhere, TYPE_A, 0));
	assert_true(limit_take(&limit, NULL, &shorter, TYPE_A, 0));
	/* It fills again, up to the brim. */
	assert_false(limit_take(&limit, &below, &shorter, TYPE_A, 99));
	assert_true(limit_take(&limit, &below, &shorter, TYPE_A, 100));
	assert_false(limit_take(&limit, &below, &shorter, TYPE_A, 100));
	for (n = 0; limit_take(&limit, &below, &longer, TYPE_A, 1000000);)
		n++;
	assert_int_equal(n, 10 * LIMIT_BURST_SECONDS / 4);
	for (n = 0; limit_take(&limit, &below, &shorter, 16, 2000000);)
		n++;
	assert_int_equal(n, 10 * LIMIT_BURST_SECONDS / 4);
}

static void records_are_cut(void **state)
{
	static const struct {
		const char *in;
		size_t in_len;
		bool ech;
		const char *out;
		int out_len; /* or -errno */
		bool cut;
	} row[] = {
		/* AliasMode, no parameters */
		{"\0\0\1x\0", 5, true, "\0\0\1x\0", 5, false},
		{"\0\1\0\0\1\0\3\2h2", 10, true, "\0\1\0\0\1\0\3\2h2", 10,
		 false},
		{"\0\1\0\0\4\0\4\1\2\3\4", 11, false, "\0\1\0", 3, true},
		/* mandatory=alpn,ipv4hint alpn ipv4hint */
		{"\0\1\0\0\0\0\4\0\1\0\4\0\1\0\3\2h2\0\4\0\4\1\2\3\4", 26,
		 false, "\0\1\0\0\0\0\2\0\1\0\1\0\3\2h2", 16, true},
		/* mandatory=ipv6hint */
		{"\0\1\0\0\0\0\2\0\6\0\6\0\0", 13, false, "\0\1\0", 3, true},
		/* alpn ech */
		{"\0\1\0\0\1\0\3\2h2\0\5\0\2xy", 16, false,
		 "\0\1\0\0\1\0\3\2h2\0\5\0\2xy", 16, false},
		{"\0\1\0\0\1\0\3\2h2\0\5\0\2xy", 16, true, "\0\1\0\0\1\0\3\2h2",
		 10, true},
		/* mandatory=alpn alpn ipv4hint ech ipv6hint key7 */
		{"\0\1\0\0\0\0\2\0\1\0\1\0\3\2h2\0\4\0\4\1\2\3\4"
		 "\0\5\0\1x\0\6\0\0\0\7\0\1k",
		 38, true, "\0\1\0\0\0\0\2\0\1\0\1\0\3\2h2\0\7\0\1k", 21, true},
		/* mandatory=ech, mandatory=ipv4hint,ech */
		{"\0\1\0\0\0\0\2\0\5\0\5\0\1x", 14, false,
		 "\0\1\0\0\0\0\2\0\5\0\5\0\1x", 14, false},
		{"\0\1\0\0\0\0\2\0\5\0\5\0\1x", 14, true, NULL, -EBADMSG, true},
		{"\0\1\0\0\0\0\4\0\4\0\5\0\4\0\4\1\2\3\4\0\5\0\1x", 24, true,
		 NULL, -EBADMSG, true},
		/* out of form: no target, a pointer, a cut parameter */
		{"\0\1", 2, false, NULL, -EBADMSG, true},
		{"\0\1\xc0\x0c", 4, false, NULL, -EBADMSG, true},
		{"\0\1\0\0\1\0\3\2h", 9, false, NULL, -EBADMSG, true},
		{"\0\1\0\0\1\0", 6, true, NULL, -EBADMSG, true},
		{"\0\1\0\0\5\0\3x", 8, true, NULL, -EBADMSG, true},
	};
	uint8_t out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const uint8_t *in = (const uint8_t *)row[i].in;

		assert_int_equal(svcb_is_cut(in, row[i].in_len, row[i].ech),
				 row[i].cut);
		assert_int_equal(svcb_cut(out, in, row[i].in_len, row[i].ech),
				 row[i].out_len);
		if (row[i].out)
			assert_memory_equal(out, row[i].out,
					    (size_t)row[i].out_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_ends_with_its_ttl),
		cmocka_unit_test(what_differs_is_kept_apart),
		cmocka_unit_test(it_stays_within_its_bytes),
		cmocka_unit_test(a_hot_answer_is_refreshed_once),
		cmocka_unit_test(names_can_be_forgotten),
		cmocka_unit_test(new_names_below_a_wildcard_pay),
		cmocka_unit_test(records_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
