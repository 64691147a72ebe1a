/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <assert.h>
#include <string.h>

size_t answer_size(const struct answer *answer)
{
	return sizeof(*answer) +
	       ((size_t)answer->n_ttls + answer->n_addresses) *
		       sizeof(answer->offsets[0]) +
	       answer->len;
}

void answer_address(const struct answer *answer, size_t i, struct address *a)
{
	const uint8_t *r =
		answer_message(answer) + answer->offsets[answer->n_ttls + i];
	size_t size = wire_get16(r + OWNER_POINTER + 8);
	int err = address_from_bytes(a, r + OWNER_POINTER + DNS_RECORD_FIXED,
				     size);

	assert(i < answer->n_addresses && err == 0);
	(void)err;
}

uint32_t answer_address_ttl(const struct answer *answer, size_t i)
{
	assert(i < answer->n_addresses);
	return wire_get32(answer_message(answer) +
			  answer->offsets[answer->n_ttls + i] + OWNER_POINTER +
			  4);
}

void answer_heads(const struct answer *a,
		  void (*each)(void *arg, uint16_t type, const uint8_t *message,
			       size_t len, size_t data, uint32_t ttl_s),
		  void *arg)
{
	const uint8_t *m = answer_message(a);
	int at = wire_skip_name(m, a->len, DNS_HEADER);
	size_t next = (size_t)at + 4;

	for (uint16_t i = 0; at >= 0 && i < a->head_records; i++) {
		struct wire_record r;

		if (wire_record(&r, m, a->len, next) < 0)
			return;
		each(arg, r.type, m, a->len, r.data, r.ttl);
		next = r.end;
	}
}

size_t answer_write_max(const struct answer *answer)
{
	return (size_t)answer->len + DNS_OPT_FIXED + 6 + EDE_TEXT_MAX;
}

static uint32_t aged(uint32_t ttl, uint32_t age_s)
{
	return ttl > age_s ? ttl - age_s : 0;
}

static void count_down(uint8_t *m, const uint16_t *offsets, size_t n,
		       uint32_t age_s)
{
	for (size_t i = 0; i < n && age_s; i++) {
		uint8_t *ttl = m + offsets[i];

		wire_put32(ttl, aged(wire_get32(ttl), age_s));
	}
}

static void lower_ttl(uint8_t *ttl, uint32_t most)
{
	if (wire_get32(ttl) > most)
		wire_put32(ttl, most);
}

/* The whole message; no address was cut. */
static size_t write_whole(const struct answer *a, const struct answer_fate *f,
			  uint8_t *out)
{
	memcpy(out, answer_message(a), a->len);
	count_down(out, a->offsets, a->n_ttls, f->age_s);
	for (size_t i = 0; i < a->n_addresses; i++)
		lower_ttl(out + a->offsets[a->n_ttls + i] + OWNER_POINTER + 4,
			  f->address_ttl);
	return a->len;
}

/* Bytes of address i's record. */
static size_t record_size(const struct answer *a, size_t i)
{
	const uint8_t *r = answer_message(a) + a->offsets[a->n_ttls + i];

	return OWNER_POINTER + DNS_RECORD_FIXED +
	       (size_t)wire_get16(r + OWNER_POINTER + 8);
}

/* The records before the addresses, and those that stay. */
static size_t write_some(const struct answer *a, const struct answer_fate *f,
			 uint8_t *out)
{
	size_t n = a->head;

	memcpy(out, answer_message(a), n);
	count_down(out, a->offsets, a->n_head_ttls, f->age_s);
	for (size_t i = 0; i < a->n_addresses; i++) {
		const uint8_t *r =
			answer_message(a) + a->offsets[a->n_ttls + i];
		size_t size = record_size(a, i);
		uint8_t *ttl = out + n + OWNER_POINTER + 4;

		if (!f->keep[i])
			continue;
		memcpy(out + n, r, size);
		wire_put32(ttl, aged(wire_get32(ttl), f->age_s));
		lower_ttl(ttl, f->address_ttl);
		n += size;
	}
	wire_put16(out + 6, (uint16_t)(a->head_records + f->n_kept));
	wire_put16(out + 8, 0);
	return n;
}

static size_t write_none(const struct answer *a, const struct question *q,
			 uint8_t *out)
{
	size_t n = DNS_HEADER + (size_t)q->name.len + 4;

	memcpy(out, answer_message(a), n);
	memset(out + 6, 0, 4);
	return n;
}

/* Are all addresses kept, and with them all records? */
static bool keeps_all(const struct answer *a, const struct answer_fate *f)
{
	return !f->keep || f->n_kept == a->n_addresses;
}

static size_t opt_size(const struct question *q, const struct answer_fate *f)
{
	size_t text = f->ede_text ? strnlen(f->ede_text, EDE_TEXT_MAX) : 0;

	if (!q->edns)
		return 0;
	return DNS_OPT_FIXED + (f->ede == EDE_NONE ? 0 : 6 + text);
}

static size_t kept_size(const struct answer *a, const struct question *q,
			const struct answer_fate *f)
{
	size_t n = a->head;

	if (keeps_all(a, f))
		return a->len;
	if (!f->n_kept)
		return DNS_HEADER + (size_t)q->name.len + 4;
	for (size_t i = 0; i < a->n_addresses; i++)
		n += f->keep[i] ? record_size(a, i) : 0;
	return n;
}

void answer_fit(const struct answer *answer, const struct question *q,
		struct answer_fate *fate, size_t limit)
{
	size_t opt = opt_size(q, fate), n = answer->head;
	bool full = false;

	if (kept_size(answer, q, fate) + opt <= limit)
		return;
	fate->truncated = true;
	fate->n_kept = 0;
	for (size_t i = 0; i < answer->n_addresses; i++) {
		if (!fate->keep[i])
			continue;
		full |= n + record_size(answer, i) + opt > limit;
		fate->keep[i] = !full;
		if (!full) {
			n += record_size(answer, i);
			fate->n_kept++;
		}
	}
}

size_t answer_write(const struct answer *answer, const struct question *q,
		    const struct answer_fate *fate, uint8_t *out)
{
	bool all = keeps_all(answer, fate) && !fate->truncated;
	bool wants_ad = q->dnssec_ok || q->flags3 & FLAG3_AD;
	size_t n;

	if (all)
		n = write_whole(answer, fate, out);
	else if (fate->n_kept)
		n = write_some(answer, fate, out);
	else
		n = write_none(answer, q, out);
	wire_put16(out, q->id);
	out[2] = (uint8_t)(FLAG2_QR | (q->flags2 & FLAG2_RD) |
			   (fate->truncated ? FLAG2_TC : 0));
	out[3] = (uint8_t)(FLAG3_RA | (q->flags3 & FLAG3_CD) | answer->rcode |
			   (wants_ad && all && answer->authentic ? FLAG3_AD
								 : 0));
	memcpy(out + DNS_HEADER, q->spelled, q->name.len);
	if (q->edns) {
		out[11] = 1;
		n += question_opt(q, out + n, 0, fate->ede, fate->ede_text);
	}
	return n;
}
