/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_PREFIX_LEN 12

static const uint8_t mapped_prefix[MAPPED_PREFIX_LEN] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
};

size_t address_size(const struct address *a)
{
	return a->family == AF_INET ? 4 : 16;
}

int address_from_bytes(struct address *a, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	if (len != 4 && len != 16)
		return -EINVAL;
	if (len == 16 && !memcmp(from, mapped_prefix, MAPPED_PREFIX_LEN)) {
		from += MAPPED_PREFIX_LEN;
		len = 4;
	}
	memset(a, 0, sizeof(*a));
	a->family = len == 4 ? AF_INET : AF_INET6;
	memcpy(a->bytes, from, len);
	return 0;
}

int address_from_text(struct address *a, const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		return address_from_bytes(a, bytes, 4);
	if (inet_pton(AF_INET6, text, bytes) == 1)
		return address_from_bytes(a, bytes, 16);
	return -EINVAL;
}

char *address_to_text(const struct address *a, char *out)
{
	if (!inet_ntop(a->family, a->bytes, out, ADDRESS_TEXT_MAX))
		out[0] = '\0';
	return out;
}

int address_compare(const struct address *a, const struct address *b)
{
	if (a->family != b->family)
		return a->family == AF_INET ? -1 : 1;
	return memcmp(a->bytes, b->bytes, address_size(a));
}

/* Decimal without sign or leading zeros, at most max. */
static int bits_from_text(unsigned int *bits, const char *text,
			  unsigned int max)
{
	unsigned int value = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > max)
			return -EINVAL;
	}
	*bits = value;
	return 0;
}

/* The prefix's first and last address; 1 where a has host bits that are set,
 * which are cleared. */
static int range_from_prefix(struct address_range *r, const struct address *a,
			     unsigned int bits)
{
	int cleared = 0;

	r->first = *a;
	r->last = *a;
	for (unsigned int i = bits / 8; i < address_size(a); i++) {
		uint8_t host = 0xff;

		if (i == bits / 8)
			host = (uint8_t)(0xff >> bits % 8);
		if (a->bytes[i] & host)
			cleared = 1;
		r->first.bytes[i] &= (uint8_t)~host;
		r->last.bytes[i] |= host;
	}
	return cleared;
}

int address_range_from_text(struct address_range *r, const char *text,
			    const char **why)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char copy[ADDRESS_TEXT_MAX];
	unsigned int bits, bits_max;
	struct address a;
	int ret;

	*why = "not an IP address";
	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (address_from_text(&a, copy) < 0)
		return -EINVAL;

	bits_max = (unsigned int)address_size(&a) * 8;
	bits = bits_max;
	if (slash) {
		/* a v4-mapped prefix counts its bits from the IPv6 start */
		unsigned int skip =
			strchr(copy, ':') && bits_max == 32 ? 96 : 0;

		*why = "the prefix length is not a number in range";
		if (bits_from_text(&bits, slash + 1, bits_max + skip) < 0)
			return -EINVAL;
		*why = "an IPv4-mapped prefix is of 96 bits or more";
		if (bits < skip)
			return -EINVAL;
		bits -= skip;
	}
	ret = range_from_prefix(r, &a, bits);
	*why = ret ? "host bits are set below the prefix" : NULL;
	return ret;
}

unsigned int address_range_bits(const struct address_range *r)
{
	unsigned int most = (unsigned int)address_size(&r->first) * 8;
	unsigned int bits = 0;

	while (bits < most &&
	       !((r->first.bytes[bits / 8] ^ r->last.bytes[bits / 8]) &
		 0x80 >> bits % 8))
		bits++;
	return bits;
}

char *address_range_to_text(const struct address_range *r, char *out)
{
	unsigned int bits = address_range_bits(r);
	size_t len;

	address_to_text(&r->first, out);
	len = strlen(out);
	if (bits < address_size(&r->first) * 8)
		snprintf(out + len, ADDRESS_RANGE_TEXT_MAX - len, "/%u", bits);
	return out;
}

char *address_range_ends(const struct address_range *r, char *out)
{
	size_t len;

	address_to_text(&r->first, out);
	if (address_compare(&r->first, &r->last) == 0)
		return out;
	len = strlen(out);
	memcpy(out + len, " - ", 3);
	address_to_text(&r->last, out + len + 3);
	return out;
}

bool address_range_holds(const struct address_range *r, const struct address *a)
{
	return a->family == r->first.family &&
	       address_compare(&r->first, a) <= 0 &&
	       address_compare(a, &r->last) <= 0;
}
