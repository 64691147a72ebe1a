/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <assert.h>

bool share_take(struct share *share, size_t n)
{
	struct share_pool *pool = share->pool;
	size_t left = pool->size - pool->used;

	if (n > left || share->used + n > left - n)
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
