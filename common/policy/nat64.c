/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <string.h>

enum {
	U_BYTE = 8 /* bits 64 to 71, "u" in RFC 6052 */
};

static struct {
	struct address_range range;
	size_t bytes; /* of the prefix */
} prefixes[NAT64_MAX];
static size_t n_prefixes;

/* Where byte i of the IPv4 address is: one further from u on. */
static size_t place(size_t prefix_bytes, size_t i)
{
	size_t at = prefix_bytes + i;

	return prefix_bytes <= U_BYTE && at >= U_BYTE ? at + 1 : at;
}

const char *nat64_check(const struct address_range *prefix)
{
	unsigned int bits = address_range_bits(prefix);

	if (prefix->first.family != AF_INET6)
		return "not an IPv6 prefix";
	if (bits != 96 && (bits < 32 || bits > 64 || bits % 8))
		return "a prefix has 32, 40, 48, 56, 64 or 96 bits "
		       "(RFC 6052, 2.2)";
	if (bits == 96 && prefix->first.bytes[U_BYTE])
		return "bits 64 to 71 of a prefix are zero (RFC 6052, 2.2)";
	return NULL;
}

int nat64_set(const struct address_range *list, size_t n)
{
	if (n > NAT64_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		if (nat64_check(&list[i]))
			return -EINVAL;
		for (size_t j = 0; j < i; j++)
			if (address_range_holds(&list[i], &list[j].first) ||
			    address_range_holds(&list[j], &list[i].first))
				return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		prefixes[i].range = list[i];
		prefixes[i].bytes = address_range_bits(&list[i]) / 8;
	}
	n_prefixes = n;
	return 0;
}

size_t nat64_count(void)
{
	return n_prefixes;
}

int nat64_inside(const struct address *a, uint8_t inet[4])
{
	for (size_t i = 0; i < n_prefixes; i++) {
		if (!address_range_holds(&prefixes[i].range, a))
			continue;
		for (size_t k = 0; k < 4; k++)
			inet[k] = a->bytes[place(prefixes[i].bytes, k)];
		return a->bytes[U_BYTE] ? -EINVAL : 1;
	}
	return 0;
}

void nat64_range(size_t i, const struct address_range *range,
		 struct address_range *out)
{
	size_t bytes = prefixes[i].bytes, behind = place(bytes, 3) + 1;
	unsigned int bits = address_range_bits(range);

	*out = prefixes[i].range;
	memset(out->last.bytes + bytes, 0, sizeof(out->last.bytes) - bytes);
	for (size_t k = 0; k < 4; k++) {
		out->first.bytes[place(bytes, k)] = range->first.bytes[k];
		out->last.bytes[place(bytes, k)] = range->last.bytes[k];
	}
	/* Whatever stands behind the address is ignored, and u stands between
	 * bits that vary where the prefix ends before it. */
	memset(out->last.bytes + behind, 0xff,
	       sizeof(out->last.bytes) - behind);
	if (bytes < U_BYTE && bits < (U_BYTE - bytes) * 8)
		out->last.bytes[U_BYTE] = 0xff;
}
