/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"

#include "nat64.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_PREFIX_LEN 12

static const uint8_t mapped_prefix[MAPPED_PREFIX_LEN] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
};

/* Special-purpose addresses; the first entry that holds an address is its
 * kind, so the narrow ones stand before the wide ones around them. What none
 * holds is public; documentation prefixes (RFC 5737, RFC 3849) are as well,
 * for they lead nowhere. */
struct special_inet {
	uint32_t prefix;
	uint8_t bits; /* at least 1 */
	uint8_t kind;
};

#define INET(a, b, c, d)                                                  \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | \
	 (uint32_t)(d))

static const struct special_inet special_inet[] = {
	/* Alibaba Cloud, ECS instance metadata */
	{INET(100, 100, 100, 200), 32, ADDRESS_METADATA},
	/* Azure, "What is IP address 168.63.129.16" (WireServer) */
	{INET(168, 63, 129, 16), 32, ADDRESS_METADATA},
	/* Oracle Cloud Infrastructure Classic, instance metadata */
	{INET(192, 0, 0, 192), 32, ADDRESS_METADATA},
	{INET(0, 0, 0, 0), 8, ADDRESS_UNSPECIFIED},        /* RFC 1122 */
	{INET(10, 0, 0, 0), 8, ADDRESS_PRIVATE},           /* RFC 1918 */
	{INET(100, 64, 0, 0), 10, ADDRESS_PRIVATE},        /* RFC 6598 */
	{INET(127, 0, 0, 0), 8, ADDRESS_LOOPBACK},         /* RFC 1122 */
	{INET(169, 254, 0, 0), 16, ADDRESS_LINK_LOCAL},    /* RFC 3927 */
	{INET(172, 16, 0, 0), 12, ADDRESS_PRIVATE},        /* RFC 1918 */
	{INET(192, 0, 0, 0), 24, ADDRESS_RESERVED},        /* RFC 6890 */
	{INET(192, 168, 0, 0), 16, ADDRESS_PRIVATE},       /* RFC 1918 */
	{INET(198, 18, 0, 0), 15, ADDRESS_PRIVATE},        /* RFC 2544 */
	{INET(255, 255, 255, 255), 32, ADDRESS_MULTICAST}, /* RFC 919 */
	{INET(224, 0, 0, 0), 4, ADDRESS_MULTICAST},        /* RFC 5771 */
	{INET(240, 0, 0, 0), 4, ADDRESS_RESERVED},         /* RFC 1112 */
};

struct special {
	uint8_t prefix[16];
	uint8_t bits;
	uint8_t kind;
};

static const struct special special_inet6[] = {
	/* Amazon EC2, instance metadata over IPv6 */
	{{0xfd, 0, 0x0e, 0xc2, [15] = 0x54, [14] = 0x02},
	 128,
	 ADDRESS_METADATA},
	/* Amazon EKS, Pod Identity Agent over IPv6 */
	{{0xfd, 0, 0x0e, 0xc2, [15] = 0x23}, 128, ADDRESS_METADATA},
	/* Google Compute Engine, metadata server over IPv6 */
	{{0xfd, 0x20, 0, 0xce, [15] = 0x54, [14] = 0x02},
	 128,
	 ADDRESS_METADATA},
	/* Oracle Cloud Infrastructure, instance metadata over IPv6 */
	{{0xfd, 0, 0, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe},
	 128,
	 ADDRESS_METADATA},
	/* Scaleway, instance metadata over IPv6 */
	{{0xfd, 0, 0, 0x42, [15] = 0x42}, 128, ADDRESS_METADATA},
	/* Akamai (Linode), Metadata Service over IPv6 */
	{{0xfd, 0, 0xa9, 0xfe, 0xa9, 0xfe, [15] = 1}, 128, ADDRESS_METADATA},
	{{0}, 128, ADDRESS_UNSPECIFIED},                    /* RFC 4291 */
	{{[15] = 1}, 128, ADDRESS_LOOPBACK},                /* RFC 4291 */
	{{0, 0x64, 0xff, 0x9b}, 96, ADDRESS_PUBLIC},        /* RFC 6052 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, ADDRESS_PRIVATE}, /* RFC 8215 */
	{{0}, 8, ADDRESS_RESERVED},                         /* RFC 4291 */
	{{1}, 64, ADDRESS_RESERVED},                        /* RFC 6666 */
	{{0x20, 1, 0, 2}, 48, ADDRESS_PRIVATE},             /* RFC 5180 */
	{{0xfc}, 7, ADDRESS_PRIVATE},                       /* RFC 4193 */
	{{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},             /* RFC 4291 */
	{{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},                /* RFC 3879 */
	{{0xff}, 8, ADDRESS_MULTICAST},                     /* RFC 4291 */
};

/* IPv6 prefixes whose addresses carry an IPv4 address at byte `at`; flip
 * turns an obscured one back. */
static const struct embedding {
	uint8_t prefix[16];
	uint8_t bits;
	uint8_t at;
	uint8_t flip;
} embeddings[] = {
	{{0}, 96, 12, 0},                         /* RFC 4291, 2.5.5.1 */
	{{0, 0x64, 0xff, 0x9b}, 96, 12, 0},       /* RFC 6052 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, 12, 0}, /* RFC 8215 */
	{{0x20, 2}, 16, 2, 0},                    /* RFC 3056: 6to4 */
	{{0x20, 1, 0, 0}, 32, 4, 0},     /* RFC 4380: Teredo's server */
	{{0x20, 1, 0, 0}, 32, 12, 0xff}, /* and its client */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

static bool prefix_holds(const uint8_t *prefix, unsigned int bits,
			 const uint8_t *bytes)
{
	unsigned int whole = bits / 8;
	unsigned int mask = 0xff00u >> (bits % 8) & 0xff;

	if (memcmp(prefix, bytes, whole))
		return false;
	return bits % 8 == 0 || ((prefix[whole] ^ bytes[whole]) & mask) == 0;
}

static enum address_kind kind_of_inet(const uint8_t *bytes)
{
	uint32_t a = INET(bytes[0], bytes[1], bytes[2], bytes[3]);

	for (size_t i = 0; i < COUNT(special_inet); i++) {
		const struct special_inet *special = &special_inet[i];

		if ((a ^ special->prefix) >> (32 - special->bits) == 0)
			return (enum address_kind)special->kind;
	}
	return ADDRESS_PUBLIC;
}

static enum address_kind kind_of_inet6(const uint8_t *bytes)
{
	for (size_t i = 0; i < COUNT(special_inet6); i++) {
		const struct special *special = &special_inet6[i];

		if (prefix_holds(special->prefix, special->bits, bytes))
			return (enum address_kind)special->kind;
	}
	return ADDRESS_PUBLIC;
}

enum address_kind address_kind(const struct address *a)
{
	enum address_kind kind;
	uint8_t inside[4];
	int ret;

	if (a->family == AF_INET)
		return kind_of_inet(a->bytes);
	ret = nat64_inside(a, inside);
	if (ret)
		return ret < 0 ? ADDRESS_RESERVED : kind_of_inet(inside);

	kind = kind_of_inet6(a->bytes);
	if (kind == ADDRESS_UNSPECIFIED || kind == ADDRESS_LOOPBACK)
		return kind;
	for (size_t i = 0; i < COUNT(embeddings); i++) {
		const struct embedding *e = &embeddings[i];
		enum address_kind inner;
		uint8_t inet[4];

		if (!prefix_holds(e->prefix, e->bits, a->bytes))
			continue;
		for (size_t j = 0; j < sizeof(inet); j++)
			inet[j] = a->bytes[e->at + j] ^ e->flip;
		inner = kind_of_inet(inet);
		/* public, then private, then all that is never admitted */
		if (inner > ADDRESS_PRIVATE || inner > kind)
			kind = inner;
	}
	return kind;
}

const char *address_kind_name(enum address_kind kind)
{
	static const char *const names[] = {
		[ADDRESS_PUBLIC] = "public",
		[ADDRESS_PRIVATE] = "private",
		[ADDRESS_LOOPBACK] = "loopback",
		[ADDRESS_LINK_LOCAL] = "link-local",
		[ADDRESS_MULTICAST] = "multicast",
		[ADDRESS_UNSPECIFIED] = "unspecified",
		[ADDRESS_METADATA] = "metadata",
		[ADDRESS_RESERVED] = "reserved",
	};

	return (size_t)kind < COUNT(names) ? names[kind] : "unknown";
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

bool address_range_holds(const struct address_range *r, const struct address *a)
{
	return a->family == r->first.family &&
	       address_compare(&r->first, a) <= 0 &&
	       address_compare(a, &r->last) <= 0;
}
