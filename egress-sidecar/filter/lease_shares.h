/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the room of a lease table is shared among the names that want it: by the
 * last two labels of a name, so that what resolves without end below one
 * wildcard takes from itself. Pure.
 */
#ifndef EGRESS_FILTER_LEASE_SHARES_H
#define EGRESS_FILTER_LEASE_SHARES_H

#include "policy/name.h"

#include <stddef.h>

enum {
	LEASE_SHARES = 256 /* those with the same hash are one */
};

struct lease_shares {
	size_t n[LEASE_SHARES]; /* addresses that each holds */
};

/* The share of a name; key keeps out who would choose names by it. */
uint8_t lease_share_of(const struct domain_name *name, uint64_t key);

/* The table is full and share wants one more: how many addresses *largest is
 * to give up, 0: it is the largest itself. */
size_t lease_shares_excess(const struct lease_shares *shares, uint8_t share,
			   uint8_t *largest);

#endif
