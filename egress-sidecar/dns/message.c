/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

/* The same record without what clients are not to have; NULL: none is left. */
static ldns_rr *cut(const ldns_rr *rr, bool ech)
{
	ldns_rr *clean = NULL;
	uint8_t *wire = NULL;
	uint8_t data[DNS_MESSAGE_MAX];
	size_t size, at = 0;
	struct wire_record r;
	int n;

	if (ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &size) !=
	    LDNS_STATUS_OK)
		return NULL;
	if (wire_record(&r, wire, size, 0) == 0) {
		n = svcb_cut(data, wire + r.data, r.end - r.data, ech);
		if (n >= 0) {
			memcpy(wire + r.data, data, (size_t)n);
			wire_put16(wire + r.data - 2, (uint16_t)n);
			if (ldns_wire2rr(&clean, wire, r.data + (size_t)n, &at,
					 LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
				clean = NULL;
		}
	}
	free(wire);
	return clean;
}

/* Signatures last, what was asked for before them. */
static int pass_of(const ldns_rr *rr, ldns_rr_type asked)
{
	ldns_rr_type type = ldns_rr_get_type(rr);

	if (type == LDNS_RR_TYPE_RRSIG)
		return 2;
	return type == asked ? 1 : 0;
}

static int copy_answers(ldns_pkt *to, const ldns_pkt *from, ldns_rr_type asked,
			const bool *keep, bool ech)
{
	const ldns_rr_list *list = ldns_pkt_answer(from);

	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
			const ldns_rr *rr = ldns_rr_list_rr(list, i);
			unsigned type = ldns_rr_get_type(rr);
			ldns_rr *copy;

			if (!keep[i] || pass_of(rr, asked) != pass)
				continue;
			if (type == TYPE_SVCB || type == TYPE_HTTPS) {
				copy = cut(rr, ech);
				if (!copy)
					continue;
			} else {
				copy = ldns_rr_clone(rr);
			}
			if (!copy ||
			    !ldns_pkt_push_rr(to, LDNS_SECTION_ANSWER, copy)) {
				ldns_rr_free(copy);
				return -ENOMEM;
			}
		}
	return 0;
}

static int copy_section(ldns_pkt *to, ldns_pkt_section section,
			const ldns_rr_list *list)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		ldns_rr *copy = ldns_rr_clone(ldns_rr_list_rr(list, i));

		if (!copy || !ldns_pkt_push_rr(to, section, copy)) {
			ldns_rr_free(copy);
			return -ENOMEM;
		}
	}
	return 0;
}

int message_rebuild(uint8_t **out, size_t *out_len, const uint8_t *message,
		    size_t len, const bool *keep, bool authority, bool ech)
{
	ldns_pkt *from = NULL, *to = NULL;
	const ldns_rr_list *question;
	int err = -EBADMSG;

	*out = NULL;
	if (len < DNS_HEADER ||
	    ldns_wire2pkt(&from, message, len) != LDNS_STATUS_OK)
		return -EBADMSG;
	question = ldns_pkt_question(from);
	if (ldns_rr_list_rr_count(question) != 1 ||
	    ldns_rr_list_rr_count(ldns_pkt_answer(from)) !=
		    wire_get16(message + 6))
		goto cleanup;
	err = -ENOMEM;
	to = ldns_pkt_new();
	if (!to)
		goto cleanup;
	ldns_pkt_set_qr(to, true);
	ldns_pkt_set_rcode(to, (uint8_t)ldns_pkt_get_rcode(from));
	err = copy_section(to, LDNS_SECTION_QUESTION, question);
	if (!err)
		err = copy_answers(
			to, from,
			ldns_rr_get_type(ldns_rr_list_rr(question, 0)), keep,
			ech);
	if (!err && authority)
		err = copy_section(to, LDNS_SECTION_AUTHORITY,
				   ldns_pkt_authority(from));
	if (!err && ldns_pkt2wire(out, to, out_len) != LDNS_STATUS_OK)
		err = -EBADMSG;
cleanup:
	ldns_pkt_free(to);
	ldns_pkt_free(from);
	return err;
}
