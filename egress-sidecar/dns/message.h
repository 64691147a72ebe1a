/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: their format, questions and answers in it. Nothing here reads past
 * a length that it was given. Pure.
 */
#ifndef EGRESS_DNS_MESSAGE_H
#define EGRESS_DNS_MESSAGE_H

#include "dns.h"

/* wire.c: numbers of the format (RFC 1035, 4.1) and names with compression */

enum {
	DNS_MESSAGE_MAX = 65535, /* bytes, RFC 1035, 4.2.2 */
	DNS_RECORD_FIXED = 10,   /* type, class, TTL, length; bytes */
	DNS_UDP_PLAIN = 512,     /* bytes without EDNS */
	DNS_UDP_OURS = 1232,     /* what we announce, bytes */
	DNS_UDP_CLIENT_MAX = 4096,
	EDE_TEXT_MAX = 200 /* bytes; any refusal fits into 512 with it */
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

/*
 * question.c: a client's question, read by hand, since it is the hottest and
 * the most hostile input there is, and answered from its own bytes where no
 * resolver is needed
 */

enum {
	/* Bytes that question_refuse() writes at the most. */
	QUESTION_REFUSAL_MAX = DNS_HEADER + DOMAIN_NAME_MAX + 4 +
			       DNS_OPT_FIXED + 6 + EDE_TEXT_MAX
};

/*
 * Read a query. 0: it may be answered from a resolver. A positive number is
 * the RCODE that it has to be answered with. -EBADMSG: never to be answered
 * (no header, or itself a response). Beyond RFC 1035 and RFC 6891: exactly
 * one question (RFC 9619), no transfers, ANY (RFC 8482) or meta types, class
 * IN alone, nothing behind the last record.
 */
int question_read(struct question *q, const uint8_t *message, size_t len);

/*
 * Write an answer without records: the question as the client spelled it, the
 * RCODE, and, where the client speaks EDNS, an OPT record with an Extended DNS
 * Error (EDE_NONE: none; text may be NULL and is cut at EDE_TEXT_MAX bytes).
 * out holds QUESTION_REFUSAL_MAX bytes and may be the message that q was read
 * from. Returns the bytes written.
 */
size_t question_refuse(const struct question *q, uint8_t *out, unsigned rcode,
		       int ede, const char *text);

/* Write the OPT record of an answer, DNS_OPT_FIXED bytes and 6 more with the
 * text's if ede is not EDE_NONE. Returns the bytes written. */
size_t question_opt(const struct question *q, uint8_t *out, unsigned rcode,
		    int ede, const char *text);

/* Is the resolver to be asked with CD, not to check what it answers (RFC 4035,
 * 3.2.2)? Not for addresses, whoever asks: what it would find forged must not
 * be admitted. A client that checks for itself is given the signatures. */
bool question_unchecked(const struct question *q);

/* answer.c, answer_write.c: a resolver's answer, on its way to a client */

enum {
	ANSWER_CHAIN_MAX = 16,       /* CNAMEs from the question to its end */
	ANSWER_ADDRESSES_MAX = 1024, /* more are cut */
	ANSWER_RECORDS_MAX = 2048,   /* of the answer section */
	ANSWER_TTL_MAX = 604800,     /* seconds, RFC 8767, 4 */
	ANSWER_NEGATIVE_TTL_MAX = 900,
	OWNER_POINTER = 2 /* bytes of an address record's owner name */
};

/* Behind the arrays. */
static inline const uint8_t *answer_message(const struct answer *answer)
{
	return (const uint8_t *)(answer->offsets + answer->n_ttls +
				 answer->n_addresses);
}

/* Bytes of the block. */
size_t answer_size(const struct answer *answer);

/* Call each() for the records of the answer section but its addresses, with
 * where their data is in the message. Aliases are among them. */
void answer_heads(const struct answer *answer,
		  void (*each)(void *arg, uint16_t type, const uint8_t *message,
			       size_t len, size_t data, uint32_t ttl_s),
		  void *arg);

/* What becomes of an answer on its way to one client. */
struct answer_fate {
	bool *keep;           /* by address; NULL: all of them */
	size_t n_kept;        /* how many that are */
	bool truncated;       /* TC is set */
	uint32_t age_s;       /* since it was read, seconds */
	uint32_t address_ttl; /* no address's TTL is above this, seconds */
	int ede;              /* EDE_NONE or an Extended DNS Error */
	const char *ede_text; /* may be NULL */
};

/* Bytes that answer_write() may need: the whole answer for any client. */
size_t answer_write_max(const struct answer *answer);

/*
 * Have the answer fit into limit bytes: where it does not, fate->truncated is
 * set and what is too much is kept no longer: the last addresses, since whole
 * records may stay under TC (RFC 2181, 9) and are all that a client without
 * TCP gets; of other records all. fate->keep is an array if there are
 * addresses.
 */
void answer_fit(const struct answer *answer, const struct question *q,
		struct answer_fate *fate, size_t limit);

/*
 * Write the answer for a client's question, with its id and spelling, into
 * out, which holds answer_write_max() bytes, or as many as answer_fit() was
 * told. Returns the bytes written.
 */
size_t answer_write(const struct answer *answer, const struct question *q,
		    const struct answer_fate *fate, uint8_t *out);

/* hosts.c: names that the policy itself gives addresses ("hosts") */

enum {
	HOST_RECORD_MAX = 12 + 16, /* bytes of an address record */
	HOST_TTL_S = 60            /* policies change */
};

/*
 * Write the message with which a resolver would answer the question for this
 * host: its addresses of the type that was asked for, which may be none. out
 * holds the header, the question and HOST_RECORD_MAX bytes an address. Returns
 * the bytes written.
 */
size_t host_answer(const struct host *host, const struct question *q,
		   uint8_t *out);

/*
 * svcb.c: SVCB and HTTPS records (RFC 9460) without their address hints, which
 * would lead a client to an address that no A or AAAA answer has admitted; and,
 * if ech, without the keys that would have it hide the name that it asks for
 */

/* Does the record's data hold what is to be cut, or is it out of form? */
bool svcb_is_cut(const uint8_t *data, size_t len, bool ech);

/*
 * Copy the data without that and without mention of hints in "mandatory". out
 * holds len bytes. Returns the bytes written, or -EBADMSG: out of form, or of
 * no use without what is cut.
 */
int svcb_cut(uint8_t *out, const uint8_t *data, size_t len, bool ech);

/*
 * message.c: messages that have to be written anew, since records were cut from
 * them; the one place that knows ldns
 */

/*
 * Write message again with those records of its answer section for which
 * keep[i] is true: first the others, then those of the question's type, then
 * signatures. SVCB and HTTPS records are cut (svcb_cut()) or left out. The
 * authority section stays if authority, the additional never. *out is the
 * caller's, to be freed with free(). 0, -EBADMSG, -ENOMEM.
 */
int message_rebuild(uint8_t **out, size_t *out_len, const uint8_t *message,
		    size_t len, const bool *keep, bool authority, bool ech);

#endif
