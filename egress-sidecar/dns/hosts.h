/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that the policy itself gives addresses ("hosts"). Pure.
 */
#ifndef EGRESS_DNS_HOSTS_H
#define EGRESS_DNS_HOSTS_H

#include "policy/rules.h"
#include "question.h"

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

#endif
