/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kind of place an address is. Data: the special-purpose addresses, and
 * the IPv6 prefixes that carry an IPv4 address.
 */
#include "inner.h"

#include <errno.h>
#include <string.h>

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
