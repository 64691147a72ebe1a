/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

enum {
	/* A neighbour solicitation or advertisement with one option; more is
	 * somebody else's data. */
	ND_BYTES_MAX = 32,
	ND_PER_SECOND = 200,
	MLD_QUERY = 130,
	MLD_REPORT = 131,
	MLD_DONE = 132,
	ND_ROUTER_SOLICIT = 133,
	ND_NEIGHBOUR_SOLICIT = 135,
	ND_NEIGHBOUR_ADVERT = 136,
	ND_REDIRECT = 137,
	MLD2_REPORT = 143,
	MLD_PER_SECOND = 20,
	/* Bytes of a header, after hop-by-hop options that are an alert for
	 * routers, and of a record of a group without sources. */
	OPTIONS = 8,
	MLD_HEADER = 8,
	MLD_GROUP = 16,
	MLD2_RECORD = 20,
	MLD2_RECORDS_MAX = 6,
	OFFSET_LENGTH = 4, /* in the IPv6 header */
	OFFSET_DESTINATION = 24
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Those with hop limit 255 (1 for MLD) no router carries on. */
static void icmpv6(struct batch *b, uint8_t first, uint8_t last, uint8_t hops)
{
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 7, 1, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &hops, sizeof(hops));
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 0);
	rule_range(b, 0, &first, &last, sizeof(first));
}

static void length(struct batch *b, uint32_t op, uint16_t bytes)
{
	uint16_t wire = htons(bytes);

	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, OFFSET_LENGTH, 2, 0);
	rule_compare(b, 0, op, &wire, sizeof(wire));
}

static void destination_in(struct batch *b, const char *set)
{
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, OFFSET_DESTINATION, 16,
			  0);
	rule_lookup(b, set, 0);
}

static void group_at(struct batch *b, uint32_t offset)
{
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, offset, MLD_GROUP,
			  0);
	rule_lookup(b, "groups6", 0);
}

/* MLD of the first version: one group a message. */
static void write_mld(struct batch *b, const char *chain)
{
	rule_begin(b, chain);
	icmpv6(b, MLD_REPORT, MLD_DONE, 1);
	length(b, NFT_CMP_EQ, OPTIONS + MLD_HEADER + MLD_GROUP);
	destination_in(b, "groups6");
	group_at(b, MLD_HEADER);
	rule_limit(b, MLD_PER_SECOND, MLD_PER_SECOND);
	rule_accept(b);
}

/* And of the second, with so many records. */
static void write_mld2(struct batch *b, const char *chain, uint32_t records)
{
	static const uint8_t nothing[3];

	rule_begin(b, chain);
	icmpv6(b, MLD2_REPORT, MLD2_REPORT, 1);
	length(b, NFT_CMP_EQ,
	       (uint16_t)(OPTIONS + MLD_HEADER + records * MLD2_RECORD));
	destination_in(b, "groups6");
	for (uint32_t i = 0; i < records; i++) {
		uint32_t at = MLD_HEADER + i * MLD2_RECORD;

		/* No auxiliary data and no sources. */
		rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, at + 1,
				  sizeof(nothing), 0);
		rule_compare(b, 0, NFT_CMP_EQ, nothing, sizeof(nothing));
		group_at(b, at + MLD2_RECORD - MLD_GROUP);
	}
	rule_limit(b, MLD_PER_SECOND, MLD_PER_SECOND);
	rule_accept(b);
}

void neighbours_write_out(struct batch *b, const char *chain)
{
	static const struct {
		uint8_t first, last;
	} nd[] = {{ND_ROUTER_SOLICIT, ND_ROUTER_SOLICIT},
		  {ND_NEIGHBOUR_SOLICIT, ND_NEIGHBOUR_ADVERT}};

	for (size_t i = 0; i < COUNT(nd); i++) {
		rule_begin(b, chain);
		icmpv6(b, nd[i].first, nd[i].last, 255);
		length(b, NFT_CMP_LTE, ND_BYTES_MAX);
		destination_in(b, "onlink6");
		rule_limit(b, ND_PER_SECOND, ND_PER_SECOND);
		rule_accept(b);
	}
	write_mld(b, chain);
	for (uint32_t records = 1; records <= MLD2_RECORDS_MAX; records++)
		write_mld2(b, chain, records);
}

void neighbours_write_in(struct batch *b, const char *chain)
{
	static const struct {
		uint8_t first, last, hops;
	} kinds[] = {{ND_ROUTER_SOLICIT, ND_REDIRECT, 255},
		     {MLD_QUERY, MLD_DONE, 1},
		     {MLD2_REPORT, MLD2_REPORT, 1}};

	for (size_t i = 0; i < COUNT(kinds); i++) {
		rule_begin(b, chain);
		rule_nfproto(b, NFPROTO_IPV6);
		rule_l4proto(b, IPPROTO_ICMPV6);
		icmpv6(b, kinds[i].first, kinds[i].last, kinds[i].hops);
		rule_accept(b);
	}
}
