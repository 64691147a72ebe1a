/* SPDX-License-Identifier: Apache-2.0 */
/* What comes to the sandbox. */
#include "ruleset.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum {
	TCP_FLAGS_OFFSET = 13,
	TCP_FLAGS = 0x17, /* FIN, SYN, RST, ACK */
	TCP_SYN = 0x02
};

static void refuse_midway(struct batch *b)
{
	static const uint8_t mask[] = {TCP_FLAGS}, syn[] = {TCP_SYN};

	rule_l4proto(b, IPPROTO_TCP);
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, 1,
			  0);
	rule_mask(b, 0, mask, sizeof(mask));
	rule_compare(b, 0, NFT_CMP_NEQ, syn, sizeof(syn));
	rule_goto(b, "refuse_in");
}

/*
 * A TCP connection comes in by its first packet alone. One that conntrack sees
 * midway may be the sandbox's: opened while there were no rules, and its peer
 * only spoke first. Nor is it the peer's if conntrack has known it for a while,
 * but nobody judged it: a table of somebody's had it tracked, one of our own
 * that was still without its rules, or an audit let it be.
 */
static void write_admit_in(struct batch *b, const struct ruleset *r)
{
	static const uint32_t unjudged[] = {0, RULESET_MARK_AUDITED};

	rule_begin(b, "admit_in");
	rule_ct_state(b, NFT_STATE_NEW);
	refuse_midway(b);
	for (size_t i = 0; i < COUNT(unjudged); i++) {
		rule_begin(b, "admit_in");
		rule_ct_mark(b, unjudged[i]);
		refuse_midway(b);
	}
	rule_begin(b, "admit_in");
	rule_set_ct_mark(b, r->inbound_mark);
	rule_accept(b);
}

void chain_admit_inbound(struct batch *b, const char *chain)
{
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		rule_begin(b, chain);
		if (strcmp(chain, "forward") == 0)
			rule_ct_status(b, IPS_DST_NAT);
		chain_load_source(b, chain_families[f], 0);
		rule_lookup(b,
			    chain_is_v6(chain_families[f]) ? "inbound6"
							   : "inbound4",
			    0);
		rule_goto(b, "admit_in");
	}
}

static void net4_is(struct batch *b, uint32_t op)
{
	static const uint8_t net[] = {127, 0, 0, 0}, mask[] = {255, 0, 0, 0};

	rule_mask(b, 0, mask, sizeof(mask));
	rule_compare(b, 0, op, net, sizeof(net));
}

/* Where a device may lead to loopback, for the DNS of those behind it, nothing
 * takes that road but what others' rules lead there: the first direction of
 * what was sent elsewhere. */
static void refuse_to_loopback(struct batch *b)
{
	rule_begin(b, "input");
	chain_load_destination(b, NFPROTO_IPV4, 0);
	net4_is(b, NFT_CMP_EQ);
	rule_jump(b, "to_loopback");
	rule_begin(b, "to_loopback");
	rule_ct_status(b, IPS_DST_NAT);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_load_ct(b, NFT_CT_DST_IP, IP_CT_DIR_ORIGINAL, 0);
	net4_is(b, NFT_CMP_NEQ);
	rule_return(b);
	rule_begin(b, "to_loopback");
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

/* Replies of the resolvers, which are untracked, neighbour discovery, and the
 * answers of a DHCP server. */
static void write_input_services(struct batch *b,
				 const struct filter_settings *s)
{
	static const struct {
		uint8_t family;
		uint16_t from, to;
	} dhcp[] = {{NFPROTO_IPV4, 67, 68}, {NFPROTO_IPV6, 547, 546}};

	for (size_t f = 0; s->n_resolvers && f < COUNT(chain_families); f++) {
		for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
			rule_begin(b, "input");
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], true);
			rule_accept(b);
		}
	}
	neighbours_write_in(b, "input");
	for (size_t i = 0; i < COUNT(dhcp); i++) {
		rule_begin(b, "input");
		rule_nfproto(b, dhcp[i].family);
		rule_l4proto(b, IPPROTO_UDP);
		rule_source_port(b, dhcp[i].from);
		rule_destination_port(b, dhcp[i].to);
		rule_accept(b);
	}
}

static void only_own(struct batch *b, uint8_t protocol, uint16_t port)
{
	rule_begin(b, "loopback_in");
	rule_l4proto(b, protocol);
	rule_destination_port(b, port);
	rule_jump(b, "own");
}

/*
 * The API tells by a client's address who is outside. With a raw socket the
 * sandbox can send in anybody's name over loopback, and read the answers where
 * they leave, if the name is of an allowed address: nobody else's name is good
 * there, not in a connection that is marked either. Nor do we answer DNS to
 * somebody who did not ask, or go on for whoever did not come.
 */
static void write_input_own(struct batch *b, const struct ruleset *r)
{
	uint32_t local = RTN_LOCAL;

	if (!r->has_fib)
		return;
	if (r->settings->api_port)
		only_own(b, IPPROTO_TCP, r->settings->api_port);
	for (size_t i = 0; i < COUNT(chain_with_ports); i++)
		only_own(b, chain_with_ports[i], r->settings->dns_port);
	if (r->settings->n_gated)
		only_own(b, IPPROTO_TCP, r->settings->gate_port);
	rule_begin(b, "own");
	rule_load_fib(b, NFTA_FIB_F_SADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &local, sizeof(local));
	rule_return(b);
	/* Link-local ones have no route without their device. */
	rule_begin(b, "own");
	chain_load_source(b, NFPROTO_IPV6, 0);
	rule_lookup(b, "own6", 0);
	rule_return(b);
	rule_begin(b, "own");
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

/*
 * The gate's connections lead outside. What comes in them over loopback is the
 * sandbox's, in the server's name: that a protocol was switched, say, after
 * which the gate would read no more. So may be what the gate itself answers to
 * a connection that was forged with the ends of one that it has open. So may be
 * what conntrack makes nothing of, from an address that is not here.
 */
static void write_loopback_forged(struct batch *b,
				  const struct filter_settings *s, bool has_fib)
{
	rule_begin(b, "loopback_in");
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
	hole_write_socket(b, s);
	rule_begin(b, "loopback_in");
	rule_ct_state(b, NFT_STATE_INVALID);
	if (has_fib) {
		rule_jump(b, "own");
		return;
	}
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

void chain_write_input(struct batch *b, const struct ruleset *r)
{
	const struct filter_settings *s = r->settings;

	write_admit_in(b, r);
	chain_refuse_detours(b, "input", s);
	write_input_own(b, r);
	if (s->n_gated)
		write_loopback_forged(b, s, r->has_fib);
	rule_begin(b, "loopback_in");
	rule_accept(b);
	rule_begin(b, "input");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_goto(b, "loopback_in");
	limits_write_marked(b, r, "input", IP_CT_DIR_REPLY);
	chain_accept_marked(b, "input", r->generation, IP_CT_DIR_REPLY);
	chain_accept_marked(b, "input", r->inbound_mark, IP_CT_DIR_ORIGINAL);
	if (s->audit)
		chain_accept_marked(b, "input", RULESET_MARK_AUDITED,
				    IP_CT_DIR_ORIGINAL);
	if (r->has_fib)
		chain_accept_marked(b, "input", RULESET_MARK_GUESTS,
				    IP_CT_DIR_ORIGINAL);
	limits_write_ours_in(b, r);
	if (s->mark)
		chain_accept_marked(b, "input", RULESET_MARK_OURS,
				    IP_CT_DIR_REPLY);
	refuse_to_loopback(b);
	write_input_services(b, s);
	chain_drop_invalid(b, "input", s->audit);
	/* Data of a peer that may have been revoked. */
	rule_begin(b, "input");
	rule_ct_direction(b, IP_CT_DIR_REPLY);
	rule_goto(b, "judge");
	if (s->api_port) {
		rule_begin(b, "input");
		rule_l4proto(b, IPPROTO_TCP);
		rule_destination_port(b, s->api_port);
		rule_goto(b, "admit_in");
	}
	chain_admit_inbound(b, "input");
	rule_begin(b, "input");
	rule_goto(b, "refuse_in");
}
