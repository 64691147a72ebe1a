/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	HOUR_MS = 3600 * 1000
};

static struct filter_flow of(uint32_t id)
{
	struct filter_flow f = {.id = id, .tuple_len = 4, .protocol = 6};

	memcpy(f.tuple, &id, sizeof(id));
	return f;
}

static struct flow *add(struct flow_table *t, uint32_t id)
{
	struct filter_flow f = of(id);
	struct flow *flow = flow_table_add(t, &f, "a.test", NULL, true);

	assert_non_null(flow);
	return flow;
}

static bool has(const struct flow_table *t, uint32_t id)
{
	struct filter_flow f = of(id);

	return flow_table_find(t, &f) != NULL;
}

static void test_nothing_before_the_first(void **state)
{
	struct flow_table t = {0};

	(void)state;
	flow_table_init(&t, 1);
	assert_null(t.bucket);
	assert_false(has(&t, 1));
	assert_int_equal(flow_table_expire(&t, 1), UINT64_MAX);
	flow_table_free(&t);
}

static void test_found_by_id_and_tuple(void **state)
{
	struct flow_table t = {0};
	struct filter_flow other = of(7);
	struct flow *flow;

	(void)state;
	flow_table_init(&t, 100);
	flow = add(&t, 7);
	/* The same bucket. */
	add(&t, 7 + 1024);
	assert_int_equal(flow->id, 100);
	assert_string_equal(flow->name, "a.test");
	assert_null(flow->rule);
	other.tuple[0] = 8;
	assert_null(flow_table_find(&t, &other));
	assert_true(has(&t, 7));
	flow_table_forget(&t, flow);
	flow_table_forget(&t, flow);
	assert_false(has(&t, 7));
	assert_true(has(&t, 7 + 1024));
	assert_int_equal(t.n, 2);
	flow_table_free(&t);
}

/* Who makes room: those that have ended, in the order of their ends, then the
 * oldest. */
static void test_room(void **state)
{
	struct flow_table t = {0};
	struct flow *second, *third;

	(void)state;
	flow_table_init(&t, 1);
	add(&t, 1);
	second = add(&t, 2);
	third = add(&t, 3);
	for (uint32_t i = 4; i <= FLOWS_MAX; i++)
		add(&t, i);
	flow_table_end(&t, third, 10);
	flow_table_end(&t, second, 20);
	assert_int_equal(t.n, FLOWS_MAX);
	assert_int_equal(t.n_open, FLOWS_MAX - 2);
	assert_int_equal(t.dropped, 0);
	add(&t, FLOWS_MAX + 1);
	assert_false(has(&t, 3));
	assert_true(has(&t, 2));
	add(&t, FLOWS_MAX + 2);
	assert_false(has(&t, 2));
	assert_true(has(&t, 1));
	add(&t, FLOWS_MAX + 3);
	assert_false(has(&t, 1));
	assert_int_equal(t.n, FLOWS_MAX);
	assert_int_equal(t.n_open, FLOWS_MAX);
	assert_int_equal(t.dropped, 3);
	flow_table_free(&t);
	assert_int_equal(t.n, 0);
}

static void test_hour(void **state)
{
	struct flow_table t = {0};

	(void)state;
	flow_table_init(&t, 1);
	add(&t, 1);
	flow_table_end(&t, add(&t, 2), 1000);
	flow_table_end(&t, add(&t, 3), 2000);
	assert_int_equal(flow_table_expire(&t, 2000), 1000 + HOUR_MS);
	assert_int_equal(flow_table_expire(&t, 1000 + HOUR_MS), 2000 + HOUR_MS);
	assert_false(has(&t, 2));
	assert_int_equal(flow_table_expire(&t, 3000 + HOUR_MS), UINT64_MAX);
	/* What is open stays. */
	assert_true(has(&t, 1));
	assert_int_equal(t.n, 1);
	assert_int_equal(t.dropped, 0);
	flow_table_free(&t);
}

static void test_refused(void **state)
{
	struct flow_table t = {0};
	struct filter_flow f = {.protocol = 17, .destination_port = 9};
	struct flow *flow;

	(void)state;
	flow_table_init(&t, 1);
	assert_null(flow_table_refused(&t, &f, NULL, NULL));
	flow = flow_table_add(&t, &f, NULL, "deny.test", false);
	assert_non_null(flow);
	assert_string_equal(flow->rule, "deny.test");
	flow->verdict = FLOW_DENY;
	flow_table_end(&t, flow, 1000);
	flow_table_end(&t, add(&t, 2), 2000);
	assert_ptr_equal(flow_table_refused(&t, &f, NULL, NULL), flow);
	assert_null(flow_table_refused(&t, &f, "connections", NULL));
	assert_null(flow_table_refused(&t, &f, NULL, "a.test"));
	f.destination_port = 10;
	assert_null(flow_table_refused(&t, &f, NULL, NULL));
	/* Another packet: the end is a later one. */
	flow_table_end(&t, flow, 3000);
	assert_ptr_equal(TAILQ_LAST(&t.by_end, flow_list), flow);
	for (uint32_t i = 0; i < 32; i++)
		flow_table_end(&t, add(&t, 100 + i), 4000);
	f.destination_port = 9;
	assert_null(flow_table_refused(&t, &f, NULL, NULL));
	flow_table_free(&t);
}

static void test_sort(void **state)
{
	struct flow_table t = {0};
	struct flow *late, *early, *same;

	(void)state;
	flow_table_init(&t, 1);
	flow_table_sort(&t);
	late = add(&t, 1);
	early = add(&t, 2);
	same = add(&t, 3);
	late->start_ms = 20;
	early->start_ms = same->start_ms = 10;
	flow_table_sort(&t);
	assert_ptr_equal(TAILQ_FIRST(&t.by_id), early);
	assert_ptr_equal(TAILQ_NEXT(early, by_id), same);
	assert_ptr_equal(TAILQ_NEXT(same, by_id), late);
	assert_int_equal(early->id, 4);
	assert_int_equal(late->id, 6);
	assert_true(has(&t, 1));
	flow_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_before_the_first),
		cmocka_unit_test(test_found_by_id_and_tuple),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_hour),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
