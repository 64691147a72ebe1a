/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's NAT64 prefixes (RFC 6052): what a packet to an IPv6 address
 * below one of them reaches is the IPv4 address inside, so that is what is
 * judged. Set once, before policies are compiled; the whole process has one
 * network.
 */
#ifndef EGRESS_POLICY_NAT64_H
#define EGRESS_POLICY_NAT64_H

#include "address.h"

enum {
	NAT64_MAX = 8
};

/* Is it a prefix of RFC 6052, 2.2: of 32, 40, 48, 56, 64 or 96 bits, the bits
 * 64 to 71 zero? NULL, or a constant that says what is wrong. */
const char *nat64_check(const struct address_range *prefix);

/* These n prefixes, copied, in place of those before. -EINVAL where one is
 * none, or two overlap, -E2BIG over NAT64_MAX; then nothing changes. */
int nat64_set(const struct address_range *prefixes, size_t n);
size_t nat64_count(void);

/* The IPv4 address inside. 1; 0: a is below no prefix; -EINVAL: it is, and its
 * bits 64 to 71 are not zero. */
int nat64_inside(const struct address *a, uint8_t inet[4]);

/* Prefix i's addresses that have one of the IPv4 prefix range inside. */
void nat64_range(size_t i, const struct address_range *range,
		 struct address_range *out);

#endif
