/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of the DNS message format (RFC 1035, 4.1) and names with
 * compression. Nothing here reads past a length that it was given.
 */
#ifndef EGRESS_DNS_WIRE_H
#define EGRESS_DNS_WIRE_H

#include "policy/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER = 12,         /* bytes */
	DNS_MESSAGE_MAX = 65535, /* bytes, RFC 1035, 4.2.2 */
	DNS_RECORD_FIXED = 10,   /* type, class, TTL, length; bytes */
	DNS_UDP_PLAIN = 512,     /* bytes without EDNS */
	DNS_UDP_OURS = 1232,     /* what we announce, bytes */
	DNS_UDP_CLIENT_MAX = 4096,
	DNS_OPT_FIXED = 11, /* an OPT record without options, bytes */
	EDE_TEXT_MAX = 200  /* bytes; any refusal fits into 512 with it */
};

enum dns_type {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_AAAA = 28,
	TYPE_SRV = 33,
	TYPE_DNAME = 39,
	TYPE_OPT = 41,
	TYPE_DS = 43,
	TYPE_RRSIG = 46,
	TYPE_NSEC = 47,
	TYPE_NSEC3 = 50,
	TYPE_SVCB = 64,
	TYPE_HTTPS = 65,
	TYPE_IXFR = 251,
	TYPE_AXFR = 252,
	TYPE_MAILB = 253,
	TYPE_MAILA = 254,
	TYPE_ANY = 255
};

enum {
	CLASS_IN = 1
};

enum dns_rcode {
	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	RCODE_BADVERS = 16 /* RFC 6891, 6.1.3: needs an OPT record */
};

/* Extended DNS Errors (RFC 8914, 4). */
enum dns_ede {
	EDE_NONE = -1,
	EDE_OTHER = 0,
	EDE_BLOCKED = 15,
	EDE_FILTERED = 17,
	EDE_NOT_SUPPORTED = 21,
	EDE_NO_REACHABLE_AUTHORITY = 22,
	EDE_NETWORK_ERROR = 23
};

/* Bits of the header's third and fourth byte. */
enum {
	FLAG2_QR = 0x80,
	FLAG2_OPCODE = 0x78,
	FLAG2_TC = 0x02,
	FLAG2_RD = 0x01,
	FLAG3_RA = 0x80,
	FLAG3_AD = 0x20,
	FLAG3_CD = 0x10,
	FLAG3_RCODE = 0x0f
};

static inline uint16_t wire_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t wire_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static inline void wire_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void wire_put32(uint8_t *p, uint32_t v)
{
	wire_put16(p, (uint16_t)(v >> 16));
	wire_put16(p + 2, (uint16_t)v);
}

/*
 * Read the name at message[at], following compression pointers, each of which
 * must lead further back than every byte of the name read so far (RFC 1035,
 * 4.1.4), so that no chain of them can loop. Returns where the name ends in
 * the message, or -EBADMSG.
 */
int wire_name(struct domain_name *name, const uint8_t *message, size_t len,
	      size_t at);

/* The same without keeping the name. */
int wire_skip_name(const uint8_t *message, size_t len, size_t at);

/* One resource record's place in a message: offsets in bytes. */
struct wire_record {
	size_t at;    /* its owner name */
	size_t fixed; /* type, class, TTL, length */
	size_t data;
	size_t end;
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
};

/* Read the record at message[at]. 0 or -EBADMSG. */
int wire_record(struct wire_record *record, const uint8_t *message, size_t len,
		size_t at);

#endif
