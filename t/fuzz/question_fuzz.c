/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a client's question, and what is written from them.
 *
 * Counted: egress-sidecar/dns/question.c
 * Counted: egress-sidecar/dns/wire.c
 */
#include "dns/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
	if (!right)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[QUESTION_REFUSAL_MAX];
	struct question q, again;
	int rcode = question_read(&q, data, size);
	size_t n;

	if (rcode < 0)
		return 0;
	n = question_refuse(&q, out, rcode ? (unsigned)rcode : RCODE_NXDOMAIN,
			    EDE_BLOCKED, "denied by policy: rule 1 (x.test)");
	check(n <= sizeof(out) && out[2] & FLAG2_QR);
	/* A refusal is never itself answered. */
	check(question_read(&again, out, n) < 0);
	if (rcode)
		return 0;
	check(q.whole && memcmp(out + DNS_HEADER, data + DNS_HEADER,
				(size_t)q.name.len + 4) == 0);
	n = question_upstream(&q, out);
	check(n <= QUESTION_UPSTREAM_MAX);
	check(question_read(&again, out, n) == 0 && again.type == q.type &&
	      again.dnssec_ok == q.dnssec_ok &&
	      domain_name_equal(&again.name, &q.name));
	return 0;
}
