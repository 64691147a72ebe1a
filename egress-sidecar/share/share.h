/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A share for each of those who draw on one pool, however many they are and
 * whatever the others do: nobody may hold more than what is left free
 * (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
 * Packet Switches", 1998). One alone gets half of the pool, n who want all of
 * it get an (n+1)th part each, and as much stays free for the next.
 */
#ifndef EGRESS_SHARE_H
#define EGRESS_SHARE_H

#include <stdbool.h>
#include <stddef.h>

/* Of questions, bytes, or whatever those who share it count. */
struct share_pool {
	size_t size;
	size_t used;
};

struct share {
	struct share_pool *pool; /* borrowed */
	size_t used;
};

/* Take n more. False: that would be more than the share, nothing is taken. */
bool share_take(struct share *share, size_t n);
void share_give_back(struct share *share, size_t n);

#endif
