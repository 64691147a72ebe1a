/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever draws on one pool gets a share, however many want all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns/parts.h"

enum {
	SIZE = 1200,
	MANY = 99
};

static size_t take_all(struct share *share)
{
	size_t n = 0;

	while (share_take(share, 1))
		n++;
	return n;
}

static void one_alone_gets_half(void **state)
{
	struct share_pool pool = {.size = SIZE};
	struct share one = {.pool = &pool};

	(void)state;
	assert_int_equal(take_all(&one), SIZE / 2);
	share_give_back(&one, SIZE / 2);
	assert_int_equal(pool.used, 0);
	assert_false(share_take(&one, SIZE / 2 + 1));
	assert_false(share_take(&one, SIZE_MAX));
	assert_true(share_take(&one, SIZE / 2));
}

/* In turn, as questions come: each the same, and as much for one more. */
static void many_get_the_same(void **state)
{
	struct share_pool pool = {.size = SIZE};
	struct share share[MANY], late = {.pool = &pool};
	bool taken = true;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		share[i] = (struct share){.pool = &pool};
	while (taken) {
		taken = false;
		for (size_t i = 0; i < MANY; i++)
			taken |= share_take(&share[i], 1);
	}
	for (size_t i = 0; i < MANY; i++)
		assert_in_range(share[i].used, SIZE / (MANY + 1) - 1,
				SIZE / (MANY + 1) + 1);
	assert_in_range(take_all(&late), SIZE / (MANY + 1) / 2,
			SIZE / (MANY + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_gets_half),
		cmocka_unit_test(many_get_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
