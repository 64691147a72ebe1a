/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <assert.h>

bool share_take(struct share *share, size_t n)
{
	struct share_pool *pool = share->pool;

	if (n > pool->size - pool->used ||
	    share->used + n > pool->size - pool->used)
		return false;
	share->used += n;
	pool->used += n;
	return true;
}

void share_give_back(struct share *share, size_t n)
{
	assert(n <= share->used && n <= share->pool->used);
	share->used -= n;
	share->pool->used -= n;
}
