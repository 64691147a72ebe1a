/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's question: read by hand, since it is the hottest and the most
 * hostile input there is, and answered from its own bytes where no resolver
 * is needed. Pure.
 */
#ifndef EGRESS_DNS_QUESTION_H
#define EGRESS_DNS_QUESTION_H

#include "wire.h"

struct question {
	struct domain_name name;
	uint8_t spelled[DOMAIN_NAME_MAX]; /* name.len bytes as the client
					     wrote them */
	uint16_t id;
	uint16_t type;
	uint16_t class;
	uint8_t flags2; /* QR as it was, opcode, RD */
	uint8_t flags3; /* AD, CD */
	bool whole;     /* the question could be read and is to be echoed */
	bool edns;
	bool dnssec_ok;
	uint16_t udp_size; /* bytes that the client takes over UDP */
};

enum {
	/* Bytes that question_refuse() writes at the most. */
	QUESTION_REFUSAL_MAX = DNS_HEADER + DOMAIN_NAME_MAX + 4 +
			       DNS_OPT_FIXED + 6 + EDE_TEXT_MAX,
	/* Bytes that question_upstream() writes at the most. */
	QUESTION_UPSTREAM_MAX = DNS_HEADER + DOMAIN_NAME_MAX + 4 + DNS_OPT_FIXED
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
 * be learned. A client that checks for itself is given the signatures. */
bool question_unchecked(const struct question *q);

/* Write the question for a resolver, made anew: lower case, RD set, AD set (RFC
 * 6840, 5.7: tell us whether the answer is authentic), the client's DO, its CD
 * where question_unchecked() says so, our own EDNS size; id 0. out holds
 * QUESTION_UPSTREAM_MAX bytes. Returns the bytes written. */
size_t question_upstream(const struct question *q, uint8_t *out);

#endif
