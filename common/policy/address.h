/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses and prefixes as values, and what kind of place an address is.
 */
#ifndef EGRESS_POLICY_ADDRESS_H
#define EGRESS_POLICY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 or IPv6 address. family is AF_INET or AF_INET6; bytes are in network
 * order, an IPv4 address in the first four, the rest zero. IPv4-mapped IPv6
 * addresses are never stored as such: address_from_* turn them into IPv4. */
struct address {
	uint8_t family;
	uint8_t bytes[16];
};

/* The addresses from first to last, both included, of one family. */
struct address_range {
	struct address first;
	struct address last;
};

#define ADDRESS_TEXT_MAX       46 /* INET6_ADDRSTRLEN, the end's NUL included */
#define ADDRESS_RANGE_TEXT_MAX (ADDRESS_TEXT_MAX + 4)

/* What an address is good for as the answer to a name (RFC 6890, RFC 4291,
 * the clouds' documentation for the metadata services). */
enum address_kind {
	ADDRESS_PUBLIC,
	ADDRESS_PRIVATE, /* RFC 1918, RFC 6598 (100.64/10), RFC 2544
			    (198.18/15), RFC 4193, ... */
	ADDRESS_LOOPBACK,
	ADDRESS_LINK_LOCAL,
	ADDRESS_MULTICAST,   /* and broadcast */
	ADDRESS_UNSPECIFIED, /* 0.0.0.0/8 and :: */
	ADDRESS_METADATA,    /* cloud metadata services outside 169.254/16:
				100.100.100.200, fd00:ec2::254, ... */
	ADDRESS_RESERVED,    /* 240/4, 192.0.0/24, ... */
};

/* Bytes of the family's addresses: 4 or 16. */
size_t address_size(const struct address *a);

/* Read the text of one address, without zone or prefix. 0 or -EINVAL. */
int address_from_text(struct address *a, const char *text);

/* Take len (4 or 16) bytes in network order. 0 or -EINVAL. */
int address_from_bytes(struct address *a, const void *bytes, size_t len);

/* Write the canonical text (RFC 5952) into out, ADDRESS_TEXT_MAX bytes;
 * returns out. */
char *address_to_text(const struct address *a, char *out);

/* Order within a family; IPv4 sorts before IPv6. <0, 0, >0. */
int address_compare(const struct address *a, const struct address *b);

/* An address below one of the operator's NAT64 prefixes (nat64.h) is of the
 * kind of the address inside. Another that embeds IPv4 (NAT64 64:ff9b::/96,
 * 6to4, Teredo's server) is
 * of the worse of its own kind and its inner address's kind, since that is
 * where a packet to it may end. */
enum address_kind address_kind(const struct address *a);

const char *address_kind_name(enum address_kind kind);

/* Read "ADDRESS" or "ADDRESS/BITS". 0; 1 where host bits are set below the
 * prefix: *r is the prefix without them; or -EINVAL. Other than with 0, *why is
 * a constant that says what is wrong. */
int address_range_from_text(struct address_range *r, const char *text,
			    const char **why);

/* The bits that first and last begin with alike: the length of a prefix. */
unsigned int address_range_bits(const struct address_range *r);

/* Write a range that is an address or a prefix as text that can be read again
 * into out, ADDRESS_RANGE_TEXT_MAX bytes; returns out. */
char *address_range_to_text(const struct address_range *r, char *out);

bool address_range_holds(const struct address_range *r,
			 const struct address *a);

#endif
