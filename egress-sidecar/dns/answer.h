/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolver's answer, read, cleaned and ready to be given any number of
 * times: what does not belong to the question is gone, its addresses can be
 * dropped one by one, its TTLs counted down in place. Pure.
 */
#ifndef EGRESS_DNS_ANSWER_H
#define EGRESS_DNS_ANSWER_H

#include "policy/address.h"
#include "question.h"

enum {
	ANSWER_CHAIN_MAX = 16,       /* CNAMEs from the question to its end */
	ANSWER_ADDRESSES_MAX = 1024, /* more are cut */
	ANSWER_RECORDS_MAX = 2048,   /* of the answer section */
	ANSWER_TTL_MAX = 604800,     /* seconds, RFC 8767, 4 */
	ANSWER_NEGATIVE_TTL_MAX = 900
};

/* One block; the arrays and the message follow it. */
struct answer {
	uint16_t len;    /* bytes of the message, without an OPT record */
	uint16_t n_ttls; /* records of which the TTL is to count down */
	uint16_t n_addresses;
	uint16_t head; /* bytes before the first address record */
	uint16_t head_records;
	uint16_t n_head_ttls; /* ttl offsets below head */
	uint8_t rcode;
	bool authentic; /* the resolver set AD, and nothing was cut */
	uint32_t ttl;   /* seconds for which it may be kept, 0: not at all */
	/* Offsets in the message: the TTLs', then the address records'. */
	uint16_t offsets[];
};

/*
 * Read a resolver's answer to the question name, type (class IN). Follows the
 * CNAMEs from the name; keeps those, the DNAMEs above them, the records of the
 * type at the chain's end and, with dnssec_ok, their signatures. Everything
 * else goes, as do address hints. *out is freed with free().
 * 0, -EBADMSG (out of form, another question's, truncated), -ELOOP (a chain
 * that loops or is too long), -E2BIG (too many records), -ENOMEM.
 */
int answer_read(struct answer **out, const struct domain_name *name,
		uint16_t type, bool dnssec_ok, const uint8_t *message,
		size_t len);

/* Bytes of the block. */
size_t answer_size(const struct answer *answer);

void answer_address(const struct answer *answer, size_t i, struct address *a);
/* The TTL that address i came with, seconds. */
uint32_t answer_address_ttl(const struct answer *answer, size_t i);

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

#endif
