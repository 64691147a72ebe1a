/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FEW_RECORDS = 32,                      /* read without an allocation */
	QUESTION_POINTER = 0xc000 | DNS_HEADER /* to the question's name */
};

struct reading {
	const uint8_t *m;
	size_t len;
	uint16_t type;
	bool dnssec_ok;
	bool ech; /* is cut from SVCB and HTTPS records */
	bool address_type;
	/* The answer section. */
	struct wire_record *r;
	bool *keep;
	size_t n;
	size_t question_end; /* of its name */
	size_t answers_end;
	/* The question's name and what it is an alias of, in turn. */
	struct domain_name chain[ANSWER_CHAIN_MAX + 1];
	size_t n_chain;
	size_t n_found;    /* records of the type at the chain's end */
	uint16_t found_at; /* an owner pointer that is known to lead there */
	bool cut;          /* the message must be written anew */
	bool authority;
	size_t end; /* of what is kept, where it is kept as it is */
	uint32_t ttl;
	uint32_t negative_ttl;
};

static uint32_t sane_ttl(uint32_t ttl)
{
	return ttl > ANSWER_TTL_MAX ? ANSWER_TTL_MAX : ttl;
}

/* Does name lie below above? */
static bool is_below(const struct domain_name *name,
		     const struct domain_name *above)
{
	size_t at = 0;

	if (above->len >= name->len)
		return false;
	while (at < (size_t)(name->len - above->len))
		at += (size_t)name->wire[at] + 1;
	return at == (size_t)(name->len - above->len) &&
	       memcmp(name->wire + at, above->wire, above->len) == 0;
}

static bool on_chain(const struct reading *rd, const struct domain_name *name)
{
	for (size_t i = 0; i < rd->n_chain; i++)
		if (domain_name_equal(&rd->chain[i], name))
			return true;
	return false;
}

static bool above_chain(const struct reading *rd,
			const struct domain_name *name)
{
	for (size_t i = 0; i < rd->n_chain; i++)
		if (is_below(&rd->chain[i], name))
			return true;
	return false;
}

static const struct domain_name *chain_end(const struct reading *rd)
{
	return &rd->chain[rd->n_chain - 1];
}

/* Header and question: an answer, whole, to this very question. */
static int read_question(struct reading *rd)
{
	const struct domain_name *asked = &rd->chain[0];
	const uint8_t *m = rd->m;
	uint8_t name[DOMAIN_NAME_MAX];
	size_t at = DNS_HEADER + (size_t)asked->len;

	if (rd->len < at + 4 || !(m[2] & FLAG2_QR) ||
	    m[2] & (FLAG2_TC | FLAG2_OPCODE) || wire_get16(m + 4) != 1)
		return -EBADMSG;
	domain_octets_fold(name, m + DNS_HEADER, asked->len);
	if (memcmp(name, asked->wire, asked->len) != 0 ||
	    wire_get16(m + at) != rd->type ||
	    wire_get16(m + at + 2) != CLASS_IN)
		return -EBADMSG;
	rd->question_end = at;
	rd->answers_end = at + 4;
	return 0;
}

/* Do these bytes lie within the question's name, a record's owner or its
 * data? Not in the header, nor where TTLs and lengths are, which change. */
static bool may_hold_name(const struct reading *rd, size_t from, size_t to)
{
	size_t low = 0, high = rd->n;

	if (to <= rd->question_end)
		return from >= DNS_HEADER;
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (rd->r[middle].at <= from)
			low = middle;
		else
			high = middle;
	}
	return rd->n && rd->r[low].at <= from &&
	       (to <= rd->r[low].fixed ||
		(from >= rd->r[low].data && to <= rd->r[low].end));
}

/* Read a name whose every label lies where names may be. Returns where it
 * ends, or -EBADMSG. */
static int read_name(const struct reading *rd, struct domain_name *name,
		     size_t at)
{
	int end = wire_name(name, rd->m, rd->len, at);

	while (end >= 0) {
		uint8_t label = rd->m[at];

		if ((label & 0xc0) == 0xc0) {
			at = wire_get16(rd->m + at) & 0x3fff;
			continue;
		}
		if (!may_hold_name(rd, at, at + 1 + label))
			return -EBADMSG;
		if (!label)
			break;
		at += (size_t)label + 1;
	}
	return end;
}

static int read_records(struct reading *rd)
{
	for (size_t i = 0; i < rd->n; i++) {
		if (wire_record(&rd->r[i], rd->m, rd->len, rd->answers_end))
			return -EBADMSG;
		rd->answers_end = rd->r[i].end;
		rd->keep[i] = false;
	}
	return 0;
}

/* From alias to alias. */
static int follow_chain(struct reading *rd)
{
	bool moved = rd->type != TYPE_CNAME;

	while (moved) {
		moved = false;
		for (size_t i = 0; i < rd->n && !moved; i++) {
			const struct wire_record *r = &rd->r[i];
			struct domain_name owner, target;
			int end;

			if (r->type != TYPE_CNAME || r->class != CLASS_IN)
				continue;
			if (read_name(rd, &owner, r->at) < 0)
				return -EBADMSG;
			if (!domain_name_equal(&owner, chain_end(rd)))
				continue;
			end = read_name(rd, &target, r->data);
			if (end < 0 || (size_t)end != r->end)
				return -EBADMSG;
			if (rd->n_chain > ANSWER_CHAIN_MAX ||
			    on_chain(rd, &target))
				return -ELOOP;
			rd->keep[i] = true;
			rd->chain[rd->n_chain++] = target;
			rd->found_at = 0;
			moved = true;
		}
	}
	return 0;
}

/* Is the record of the asked type, at the chain's end, and in form? */
static bool is_found(struct reading *rd, const struct wire_record *r,
		     const struct domain_name *owner)
{
	if (r->type != rd->type || !domain_name_equal(owner, chain_end(rd)))
		return false;
	if (!rd->address_type)
		return true;
	return r->end - r->data == (r->type == TYPE_A ? 4 : 16) &&
	       rd->n_found < ANSWER_ADDRESSES_MAX;
}

static bool is_signature(const struct reading *rd, const struct wire_record *r,
			 const struct domain_name *owner)
{
	uint16_t covered;

	if (r->type != TYPE_RRSIG || !rd->dnssec_ok || r->end - r->data < 18)
		return false;
	covered = wire_get16(rd->m + r->data);
	if (covered == TYPE_DNAME)
		return above_chain(rd, owner);
	if (covered == TYPE_CNAME && rd->type != TYPE_CNAME)
		return on_chain(rd, owner);
	return covered == rd->type && domain_name_equal(owner, chain_end(rd));
}

static int keep_record(struct reading *rd, size_t i)
{
	const struct wire_record *r = &rd->r[i];
	struct domain_name owner;
	uint16_t pointer = 0;

	if (rd->keep[i])
		return 0;
	if (r->class != CLASS_IN)
		return 0;
	if (r->fixed - r->at == OWNER_POINTER)
		pointer = wire_get16(rd->m + r->at);
	if (pointer && pointer == rd->found_at)
		owner = *chain_end(rd);
	else if (read_name(rd, &owner, r->at) < 0)
		return -EBADMSG;
	if (is_found(rd, r, &owner)) {
		rd->keep[i] = true;
		rd->n_found++;
		if (pointer)
			rd->found_at = pointer;
	} else {
		rd->keep[i] =
			(r->type == TYPE_DNAME && above_chain(rd, &owner)) ||
			is_signature(rd, r, &owner);
	}
	return 0;
}

static int keep_records(struct reading *rd)
{
	for (size_t i = 0; i < rd->n; i++) {
		const struct wire_record *r = &rd->r[i];
		int err = keep_record(rd, i);

		if (err)
			return err;
		if (!rd->keep[i]) {
			rd->cut = true;
			continue;
		}
		if (sane_ttl(r->ttl) < rd->ttl)
			rd->ttl = sane_ttl(r->ttl);
		if ((r->type == TYPE_HTTPS || r->type == TYPE_SVCB) &&
		    svcb_is_cut(rd->m + r->data, r->end - r->data, rd->ech))
			rd->cut = true;
	}
	return 0;
}

/* RFC 2308, 5: the lesser of the SOA's own TTL and its last field. */
static void read_soa(struct reading *rd, const struct wire_record *r)
{
	uint32_t minimum, ttl = sane_ttl(r->ttl);

	if (r->end - r->data < 22)
		return;
	minimum = wire_get32(rd->m + r->end - 4);
	if (minimum < ttl)
		ttl = minimum;
	rd->negative_ttl =
		ttl < ANSWER_NEGATIVE_TTL_MAX ? ttl : ANSWER_NEGATIVE_TTL_MAX;
}

/* The authority section stays with a negative answer and with signatures, if
 * nothing is in it that has no place there. */
static int read_authority(struct reading *rd, size_t *at)
{
	bool proper = true;

	for (unsigned i = wire_get16(rd->m + 8); i > 0; i--) {
		struct wire_record r;

		if (wire_record(&r, rd->m, rd->len, *at) != 0)
			return -EBADMSG;
		*at = r.end;
		if (r.type == TYPE_SOA)
			read_soa(rd, &r);
		else if (r.type != TYPE_NS && r.type != TYPE_NSEC &&
			 r.type != TYPE_NSEC3 && r.type != TYPE_RRSIG)
			proper = false;
		if (r.class != CLASS_IN)
			proper = false;
	}
	rd->authority = proper && (!rd->n_found || rd->dnssec_ok);
	rd->end = rd->authority ? *at : rd->answers_end;
	return 0;
}

/* Nothing of the additional section stays, but it must be in form. */
static int read_additional(const struct reading *rd, size_t at)
{
	for (unsigned i = wire_get16(rd->m + 10); i > 0; i--) {
		struct wire_record r;

		if (wire_record(&r, rd->m, rd->len, at) != 0)
			return -EBADMSG;
		if (r.type == TYPE_OPT && r.ttl >> 24)
			return -EBADMSG;
		at = r.end;
	}
	return at == rd->len ? 0 : -EBADMSG;
}

/* Can single addresses be dropped from the message as it stands? They must
 * follow each other, each under a pointer to a name before them. */
static bool is_tidy(const struct reading *rd)
{
	size_t first = 0, last = 0, seen = 0;

	if (!rd->address_type || rd->n_found == 0)
		return true;
	for (size_t i = 0; i < rd->n; i++) {
		const struct wire_record *r = &rd->r[i];

		if (r->type != rd->type)
			continue;
		if (seen++ == 0)
			first = i;
		last = i;
		if (r->fixed - r->at != OWNER_POINTER ||
		    (wire_get16(rd->m + r->at) & 0x3fff) >= rd->r[first].at)
			return false;
	}
	return last - first + 1 == seen && seen == rd->n_found;
}

static int read_sections(struct reading *rd)
{
	size_t at;
	int err = read_records(rd);

	if (!err)
		err = follow_chain(rd);
	if (!err)
		err = keep_records(rd);
	at = rd->answers_end;
	if (!err)
		err = read_authority(rd, &at);
	return err ? err : read_additional(rd, at);
}

/* The offsets of what is kept. */
static void fill_offsets(struct answer *a, const struct reading *rd)
{
	uint16_t *address = a->offsets + a->n_ttls;
	uint16_t *ttl = a->offsets;
	size_t at = rd->answers_end;

	for (size_t i = 0; i < rd->n; i++) {
		const struct wire_record *r = &rd->r[i];

		*ttl++ = (uint16_t)(r->fixed + 4);
		if (rd->address_type && r->type == rd->type) {
			if (address == a->offsets + a->n_ttls) {
				a->head = (uint16_t)r->at;
				a->head_records = (uint16_t)i;
				a->n_head_ttls = (uint16_t)i;
			}
			*address++ = (uint16_t)r->at;
		}
	}
	while (at < rd->end) {
		struct wire_record r;
		int err = wire_record(&r, rd->m, rd->len, at);

		assert(err == 0);
		(void)err;
		*ttl++ = (uint16_t)(r.fixed + 4);
		at = r.end;
	}
	assert(ttl == a->offsets + a->n_ttls);
}

/* The block, from a message that is kept as it stands up to rd->end. */
static int make_answer(struct answer **out, const struct reading *rd)
{
	unsigned n_authority = rd->authority ? wire_get16(rd->m + 8) : 0;
	size_t n_ttls = rd->n + n_authority;
	size_t n_addresses = rd->address_type ? rd->n_found : 0;
	struct answer *a;
	uint8_t *m;

	if (n_ttls > UINT16_MAX)
		return -E2BIG;
	a = calloc(1, sizeof(*a) +
			      (n_ttls + n_addresses) * sizeof(a->offsets[0]) +
			      rd->end);
	if (!a)
		return -ENOMEM;
	a->len = a->head = (uint16_t)rd->end;
	a->n_ttls = a->n_head_ttls = (uint16_t)n_ttls;
	a->n_addresses = (uint16_t)n_addresses;
	a->head_records = (uint16_t)rd->n;
	a->rcode = rd->m[3] & FLAG3_RCODE;
	a->authentic = (rd->m[3] & FLAG3_AD) != 0;
	a->ttl = rd->n_found ? rd->ttl
			     : (rd->negative_ttl < rd->ttl ? rd->negative_ttl
							   : rd->ttl);
	fill_offsets(a, rd);
	m = (uint8_t *)answer_message(a);
	memcpy(m, rd->m, rd->end);
	wire_put16(m + 8, (uint16_t)n_authority);
	wire_put16(m + 10, 0);
	for (size_t i = 0; i < n_ttls; i++) {
		uint8_t *ttl = m + a->offsets[i];

		wire_put32(ttl, sane_ttl(wire_get32(ttl)));
	}
	*out = a;
	return 0;
}

/* Errors of the resolver: an answer without records. */
static int make_failure(struct answer **out, const struct reading *rd)
{
	struct answer *a = calloc(1, sizeof(*a) + rd->answers_end);
	unsigned rcode = rd->m[3] & FLAG3_RCODE;
	uint8_t *m;

	if (!a)
		return -ENOMEM;
	a->len = a->head = (uint16_t)rd->answers_end;
	a->rcode = rcode == RCODE_REFUSED ? RCODE_REFUSED : RCODE_SERVFAIL;
	m = (uint8_t *)answer_message(a);
	memcpy(m, rd->m, rd->answers_end);
	memset(m + 6, 0, 6);
	*out = a;
	return 0;
}

static int read_once(struct answer **out, struct reading *rd, bool last,
		     uint8_t **again, size_t *again_len)
{
	unsigned rcode;
	int err = read_question(rd);

	if (err)
		return err;
	rcode = rd->m[3] & FLAG3_RCODE;
	if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN)
		return make_failure(out, rd);
	err = read_sections(rd);
	if (err)
		return err;
	if (!rd->cut && is_tidy(rd))
		return make_answer(out, rd);
	if (last)
		return -EBADMSG;
	return message_rebuild(again, again_len, rd->m, rd->len, rd->keep,
			       rd->authority, rd->ech);
}

/* Read with room for the records; *again is a message written anew, which is
 * to be read in its place. */
static int read_with_room(struct answer **out, struct reading *rd, bool last,
			  uint8_t **again, size_t *again_len)
{
	struct wire_record few[FEW_RECORDS];
	bool few_kept[FEW_RECORDS];
	int err;

	*again = NULL;
	rd->n = rd->len < DNS_HEADER ? 0 : wire_get16(rd->m + 6);
	if (rd->n > ANSWER_RECORDS_MAX)
		return -E2BIG;
	if (rd->n <= FEW_RECORDS) {
		rd->r = few;
		rd->keep = few_kept;
		err = read_once(out, rd, last, again, again_len);
		rd->r = NULL;
		rd->keep = NULL;
		return err;
	}
	rd->r = calloc(rd->n, sizeof(*rd->r) + sizeof(*rd->keep));
	if (!rd->r)
		return -ENOMEM;
	rd->keep = (bool *)(rd->r + rd->n);
	err = read_once(out, rd, last, again, again_len);
	free(rd->r);
	return err;
}

static void start_reading(struct reading *rd, const struct domain_name *name,
			  uint16_t type, unsigned wishes,
			  const uint8_t *message, size_t len)
{
	rd->m = message;
	rd->len = len;
	rd->type = type;
	rd->dnssec_ok = wishes & ANSWER_SIGNATURES;
	rd->ech = wishes & ANSWER_WITHOUT_ECH;
	rd->address_type = type == TYPE_A || type == TYPE_AAAA;
	rd->chain[0] = *name;
	rd->n_chain = 1;
	rd->n_found = 0;
	rd->found_at = QUESTION_POINTER;
	rd->cut = rd->authority = false;
	rd->ttl = ANSWER_TTL_MAX;
	rd->negative_ttl = 0;
}

int answer_read(struct answer **out, const struct domain_name *name,
		uint16_t type, unsigned wishes, const uint8_t *message,
		size_t len)
{
	struct reading rd;
	uint8_t *again, *unused;
	size_t again_len = 0;
	bool whole;
	int err;

	*out = NULL;
	start_reading(&rd, name, type, wishes, message, len);
	err = read_with_room(out, &rd, false, &again, &again_len);
	if (err || !again)
		return err;
	/* Records in another order or spelling are as authentic as they were;
	 * what something was taken from is not. */
	whole = !rd.cut;
	start_reading(&rd, name, type, wishes, again, again_len);
	err = read_with_room(out, &rd, true, &unused, &again_len);
	if (!err)
		(*out)->authentic = whole && (message[3] & FLAG3_AD) != 0;
	free(again);
	return err;
}
