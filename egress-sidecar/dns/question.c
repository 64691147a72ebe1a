/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <string.h>

/* The options of an OPT record: each length must fit (RFC 6891, 6.1.2). */
static bool options_fit(const uint8_t *data, size_t len)
{
	while (len >= 4) {
		size_t option = (size_t)wire_get16(data + 2) + 4;

		if (option > len)
			return false;
		data += option;
		len -= option;
	}
	return len == 0;
}

static int read_opt(struct question *q, const uint8_t *message,
		    const struct wire_record *r)
{
	uint16_t size = r->class;

	if (q->edns || message[r->at] != 0 ||
	    !options_fit(message + r->data, r->end - r->data))
		return RCODE_FORMERR;
	q->edns = true;
	q->dnssec_ok = (r->ttl & 0x8000) != 0;
	if (size > DNS_UDP_CLIENT_MAX)
		size = DNS_UDP_CLIENT_MAX;
	if (size > q->udp_size)
		q->udp_size = size;
	return (r->ttl >> 16 & 0xff) ? RCODE_BADVERS : 0;
}

/* What follows the question: an OPT record, and records of other types (a
 * TSIG, say), which are passed over. */
static int read_additional(struct question *q, const uint8_t *message,
			   size_t len, size_t at, unsigned count)
{
	int result = 0;

	for (unsigned i = 0; i < count; i++) {
		struct wire_record r;

		if (wire_record(&r, message, len, at) != 0)
			return RCODE_FORMERR;
		if (r.type == TYPE_OPT) {
			int rcode = read_opt(q, message, &r);

			if (rcode == RCODE_FORMERR)
				return rcode;
			if (rcode)
				result = rcode;
		}
		at = r.end;
	}
	return at == len ? result : RCODE_FORMERR;
}

static int judge_type(const struct question *q)
{
	switch (q->type) {
	case 0:
	case TYPE_OPT:
		return RCODE_FORMERR;
	case TYPE_IXFR:
	case TYPE_AXFR:
	case TYPE_MAILB:
	case TYPE_MAILA:
	case TYPE_ANY:
		return RCODE_REFUSED;
	default:
		/* 128 to 255 are for meta queries (RFC 6895, 3.1). */
		if (q->type >= 128 && q->type <= 255)
			return RCODE_REFUSED;
		return q->class == CLASS_IN ? 0 : RCODE_REFUSED;
	}
}

int question_read(struct question *q, const uint8_t *message, size_t len)
{
	const uint8_t *p = message + DNS_HEADER;
	int rcode, result;
	int taken;

	if (len < DNS_HEADER || message[2] & FLAG2_QR)
		return -EBADMSG;
	q->id = wire_get16(message);
	q->flags2 = message[2];
	q->flags3 = message[3] & (FLAG3_AD | FLAG3_CD);
	q->whole = q->edns = q->dnssec_ok = false;
	q->udp_size = DNS_UDP_PLAIN;
	q->name.len = 0;
	if (message[2] & FLAG2_OPCODE)
		return RCODE_NOTIMP;
	if (wire_get16(message + 4) != 1)
		return RCODE_FORMERR;
	taken = domain_name_from_wire(&q->name, p, len - DNS_HEADER);
	if (taken < 0 || len - DNS_HEADER - (size_t)taken < 4) {
		q->name.len = 0;
		return RCODE_FORMERR;
	}
	memcpy(q->spelled, p, q->name.len);
	q->type = wire_get16(p + taken);
	q->class = wire_get16(p + taken + 2);
	q->whole = true;
	rcode = judge_type(q);
	/* IXFR brings a record of its own (RFC 1995, 3). */
	if (wire_get32(message + 6) != 0 || message[2] & FLAG2_TC)
		return rcode ? rcode : RCODE_FORMERR;
	result =
		read_additional(q, message, len, DNS_HEADER + (size_t)taken + 4,
				wire_get16(message + 10));
	return result ? result : rcode;
}

size_t question_opt(const struct question *q, uint8_t *out, unsigned rcode,
		    int ede, const char *text)
{
	size_t n = text ? strnlen(text, EDE_TEXT_MAX) : 0;

	out[0] = 0;
	wire_put16(out + 1, TYPE_OPT);
	wire_put16(out + 3, DNS_UDP_OURS);
	out[5] = (uint8_t)(rcode >> 4);
	out[6] = 0;
	wire_put16(out + 7, q->dnssec_ok ? 0x8000 : 0);
	if (ede == EDE_NONE) {
		wire_put16(out + 9, 0);
		return DNS_OPT_FIXED;
	}
	wire_put16(out + 9, (uint16_t)(n + 6));
	wire_put16(out + 11, 15); /* the option's code, RFC 8914, 2 */
	wire_put16(out + 13, (uint16_t)(n + 2));
	wire_put16(out + 15, (uint16_t)ede);
	if (n)
		memcpy(out + 17, text, n);
	return DNS_OPT_FIXED + 6 + n;
}

size_t question_refuse(const struct question *q, uint8_t *out, unsigned rcode,
		       int ede, const char *text)
{
	size_t n = DNS_HEADER;

	wire_put16(out, q->id);
	out[2] = (uint8_t)(FLAG2_QR | (q->flags2 & (FLAG2_OPCODE | FLAG2_RD)));
	out[3] = (uint8_t)(FLAG3_RA | (q->flags3 & FLAG3_CD) |
			   (rcode & FLAG3_RCODE));
	memset(out + 4, 0, 8);
	if (q->whole) {
		out[5] = 1;
		memcpy(out + n, q->spelled, q->name.len);
		n += q->name.len;
		wire_put16(out + n, q->type);
		wire_put16(out + n + 2, q->class);
		n += 4;
	}
	if (q->edns) {
		out[11] = 1;
		n += question_opt(q, out + n, rcode, ede, text);
	}
	return n;
}

bool question_unchecked(const struct question *q)
{
	return q->flags3 & FLAG3_CD && q->type != TYPE_A &&
	       q->type != TYPE_AAAA;
}

size_t question_upstream(const struct question *q, uint8_t *out)
{
	size_t n = DNS_HEADER;

	memset(out, 0, DNS_HEADER);
	out[2] = FLAG2_RD;
	/* Who asked for AD is told from a cache that others fill, too. */
	out[3] = FLAG3_AD | (question_unchecked(q) ? FLAG3_CD : 0);
	out[5] = 1;
	out[11] = 1;
	memcpy(out + n, q->name.wire, q->name.len);
	n += q->name.len;
	wire_put16(out + n, q->type);
	wire_put16(out + n + 2, CLASS_IN);
	n += 4;
	return n + question_opt(q, out + n, 0, EDE_NONE, NULL);
}
