/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a resolver's answer to the question they repeat; what is written
 * from it must be a message that reads the same again. The first byte says
 * which addresses are dropped, and whether signatures are wanted.
 *
 * Counted: egress-sidecar/dns/answer.c
 * Counted: egress-sidecar/dns/answer_write.c
 * Counted: egress-sidecar/dns/svcb.c
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

/* The question that the bytes repeat. */
static bool question_of(struct question *q, const uint8_t *data, size_t size)
{
	int taken;

	memset(q, 0, sizeof(*q));
	if (size < DNS_HEADER)
		return false;
	taken = domain_name_from_wire(&q->name, data + DNS_HEADER,
				      size - DNS_HEADER);
	if (taken < 0 || size - DNS_HEADER - (size_t)taken < 4)
		return false;
	memcpy(q->spelled, q->name.wire, q->name.len);
	q->type = wire_get16(data + DNS_HEADER + taken);
	q->class = CLASS_IN;
	q->whole = true;
	return true;
}

/* Write it with some addresses dropped and read that. */
static void write_and_read(const struct answer *a, const struct question *q,
			   unsigned drop)
{
	static uint8_t out[2 * DNS_MESSAGE_MAX];
	static bool keep[ANSWER_ADDRESSES_MAX];
	struct answer_fate fate = {.keep = keep,
				   .age_s = drop,
				   .address_ttl = 60,
				   .ede = EDE_NONE};
	struct answer *again;
	size_t n;

	check(a->n_addresses <= ANSWER_ADDRESSES_MAX);
	for (size_t i = 0; i < a->n_addresses; i++) {
		struct address address;

		answer_address(a, i, &address);
		keep[i] = !(drop >> i % 7 & 1);
		fate.n_kept += keep[i];
	}
	check(answer_write_max(a) <= sizeof(out));
	answer_fit(a, q, &fate, DNS_MESSAGE_MAX);
	n = answer_write(a, q, &fate, out);
	check(n <= DNS_MESSAGE_MAX);
	if (fate.truncated || a->rcode > RCODE_NXDOMAIN ||
	    a->rcode == RCODE_SERVFAIL)
		return;
	check(answer_read(&again, &q->name, q->type, ANSWER_SIGNATURES, out,
			  n) == 0);
	check(again->n_addresses == fate.n_kept);
	for (size_t i = 0; i < again->n_addresses; i++)
		check(answer_address_ttl(again, i) <= 60);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct question q;
	struct answer *a;
	unsigned drop, wishes;

	if (size < 1)
		return 0;
	drop = *data++;
	size--;
	if (size > DNS_MESSAGE_MAX || !question_of(&q, data, size))
		return 0;
	wishes = (drop & 0x80 ? ANSWER_SIGNATURES : 0) |
		 (drop & 0x40 ? ANSWER_WITHOUT_ECH : 0);
	if (answer_read(&a, &q.name, q.type, wishes, data, size) != 0)
		return 0;
	check(answer_size(a) >= a->len);
	write_and_read(a, &q, drop);
	write_and_read(a, &q, 0);
	free(a);
	return 0;
}
