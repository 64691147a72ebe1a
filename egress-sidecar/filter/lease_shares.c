/* SPDX-License-Identifier: Apache-2.0 */
#include "leases.h"

enum {
	LABELS = 2,
	AT_ONCE = 64 /* a walk through the table makes room for as many */
};

uint8_t lease_share_of(const struct domain_name *name, uint64_t key)
{
	uint8_t start[LABELS] = {0}; /* of the last labels */
	uint64_t h = key;

	for (uint8_t at = 0; at < name->len && name->wire[at];
	     at = (uint8_t)(at + name->wire[at] + 1)) {
		start[0] = start[1];
		start[1] = at;
	}
	for (uint8_t at = start[0]; at < name->len; at++)
		h = (h ^ name->wire[at]) * 0x100000001b3ULL;
	return (uint8_t)(h >> 32 ^ h >> 40);
}

size_t lease_shares_excess(const struct lease_shares *shares, uint8_t share,
			   uint8_t *largest)
{
	size_t half;

	*largest = share;
	for (size_t i = 0; i < LEASE_SHARES; i++)
		if (shares->n[i] > shares->n[*largest])
			*largest = (uint8_t)i;
	/* Rounded up: of two that differ by one, neither robs the other for
	 * ever. */
	half = (shares->n[*largest] - shares->n[share]) / 2;
	return half > AT_ONCE ? AT_ONCE : half;
}
