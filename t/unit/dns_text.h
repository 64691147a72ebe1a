/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages as text, for tests: records a line each, as in a zone file with
 * every field ("good.test. 300 IN A 203.0.113.10").
 */
#ifndef UNIT_DNS_TEXT_H
#define UNIT_DNS_TEXT_H

#include <assert.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an answer says, by section; NULL: nothing. */
struct text_message {
	const char *name; /* with its trailing dot */
	const char *type;
	const char *rcode; /* NULL: NOERROR */
	const char *answer;
	const char *authority;
	const char *additional;
};

static inline void text_add_section(ldns_pkt *pkt, ldns_pkt_section section,
				    const char *text)
{
	char line[2048];

	while (text && *text) {
		size_t len = strcspn(text, "\n");
		ldns_rr *rr = NULL;

		assert(len < sizeof(line));
		memcpy(line, text, len);
		line[len] = '\0';
		text += len + (text[len] == '\n');
		if (!len)
			continue;
		if (ldns_rr_new_frm_str(&rr, line, 0, NULL, NULL) !=
		    LDNS_STATUS_OK) {
			fprintf(stderr, "no record: %s\n", line);
			abort();
		}
		ldns_pkt_push_rr(pkt, section, rr);
	}
}

/* Returns the message's bytes, to be freed. */
static inline uint8_t *text_to_message(const struct text_message *text,
				       size_t *len)
{
	ldns_pkt *pkt = ldns_pkt_new();
	ldns_rr *question = ldns_rr_new();
	ldns_lookup_table *rcode = ldns_lookup_by_name(
		ldns_rcodes, text->rcode ? text->rcode : "NOERROR");
	uint8_t *wire = NULL;

	assert(rcode);
	ldns_rr_set_owner(question, ldns_dname_new_frm_str(text->name));
	ldns_rr_set_type(question, ldns_get_rr_type_by_name(text->type));
	ldns_rr_set_class(question, LDNS_RR_CLASS_IN);
	ldns_rr_set_question(question, true);
	ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, question);
	text_add_section(pkt, LDNS_SECTION_ANSWER, text->answer);
	text_add_section(pkt, LDNS_SECTION_AUTHORITY, text->authority);
	text_add_section(pkt, LDNS_SECTION_ADDITIONAL, text->additional);
	ldns_pkt_set_qr(pkt, true);
	ldns_pkt_set_ra(pkt, true);
	ldns_pkt_set_rcode(pkt, (uint8_t)rcode->id);
	if (ldns_pkt2wire(&wire, pkt, len) != LDNS_STATUS_OK)
		abort();
	ldns_pkt_free(pkt);
	return wire;
}

/* The records of a section, a line each, single blanks between fields. */
static inline void text_of_section(const ldns_rr_list *list, const char *indent,
				   char *out, size_t room)
{
	size_t n = strlen(out);

	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		char *line = ldns_rr2str(ldns_rr_list_rr(list, i));

		for (char *c = line; *c; c++)
			if (*c == '\t')
				*c = ' ';
		n += (size_t)snprintf(out + n, room - n, "%s%s", indent, line);
		assert(n < room);
		free(line);
	}
}

#endif
