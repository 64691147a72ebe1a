/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the chains' rules are made of: whom a packet is from or for, and what
 * every chain at a hook does alike.
 */
#include "ruleset.h"

#include <linux/netfilter/nf_tables.h>
#include <string.h>

enum {
	/* Of IPv4: the header's length in 32-bit words, options from 20 on,
	 * and the router alert (RFC 2113), which fills one word. */
	WORDS_MASK = 0x0f,
	WORDS = 5,
	OPTIONS_OFFSET = 20,
	ROUTER_ALERT = 0x94
};

const uint8_t chain_with_ports[2] = {IPPROTO_TCP, IPPROTO_UDP};
const uint8_t chain_families[2] = {NFPROTO_IPV4, NFPROTO_IPV6};

bool chain_is_v6(uint8_t family)
{
	return family == NFPROTO_IPV6;
}

void chain_load_source(struct batch *b, uint8_t family, uint32_t first)
{
	rule_nfproto(b, family);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER,
			  chain_is_v6(family) ? 8 : 12,
			  chain_is_v6(family) ? 16 : 4, first);
}

void chain_load_destination(struct batch *b, uint8_t family, uint32_t first)
{
	rule_nfproto(b, family);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER,
			  chain_is_v6(family) ? 24 : 16,
			  chain_is_v6(family) ? 16 : 4, first);
}

/* address . port (of the transport header) is an element of the set */
void chain_is_peer(struct batch *b, uint8_t family, bool source,
		   const char *set4, const char *set6)
{
	uint32_t behind = chain_is_v6(family) ? 4 : 1;

	if (source)
		chain_load_source(b, family, 0);
	else
		chain_load_destination(b, family, 0);
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, source ? 0 : 2, 2,
			  behind);
	rule_lookup(b, chain_is_v6(family) ? set6 : set4, 0);
}

void chain_is_resolver(struct batch *b, uint8_t family, bool source)
{
	chain_is_peer(b, family, source, "resolvers4", "resolvers6");
}

/* A packet of our own resolver sockets: their mark, which is random, and their
 * owner. */
void chain_is_ours(struct batch *b, const struct filter_settings *s)
{
	rule_meta_is(b, NFT_META_MARK, s->mark);
	rule_meta_is(b, NFT_META_SKUID, s->uid);
}

bool chain_address_is(const struct address *a, const uint8_t *bytes)
{
	return memcmp(a->bytes, bytes, address_size(a)) == 0;
}

bool chain_is_loopback(const struct address *a)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	return a->family == AF_INET ? a->bytes[0] == 127
				    : chain_address_is(a, loopback6);
}

bool chain_is_exempt(const struct filter_settings *s, const struct address *a)
{
	for (size_t i = 0; i < s->n_exempt; i++) {
		if (address_compare(&s->exempt[i], a) == 0)
			return true;
	}
	return false;
}

void chain_accept_marked(struct batch *b, const char *chain, uint32_t mark,
			 uint8_t direction)
{
	rule_begin(b, chain);
	rule_ct_mark(b, mark);
	rule_ct_direction(b, direction);
	rule_accept(b);
}

/* What conntrack makes nothing of is not refused with a reset, which could
 * end the connection that a late packet belongs to. */
void chain_drop_invalid(struct batch *b, const char *chain, bool audit)
{
	rule_begin(b, chain);
	rule_ct_state(b, NFT_STATE_INVALID | NFT_STATE_UNTRACKED);
	rule_count(b, RULESET_REFUSED);
	if (audit)
		rule_accept(b);
	else
		rule_drop(b);
}

void chain_refuse(struct batch *b, const char *chain, bool drop)
{
	rule_begin(b, chain);
	/* Coming in, or through: whether the sender is who it says is not
	 * known, and an answer would go out unjudged. */
	if (!drop)
		rule_meta_is_not(b, NFT_META_IIF, 0);
	rule_drop(b);
	if (drop)
		return;
	rule_begin(b, chain);
	rule_l4proto(b, IPPROTO_TCP);
	rule_reject_tcp_reset(b);
	rule_begin(b, chain);
	rule_reject_admin(b);
}

static void words_are(struct batch *b, uint32_t op, uint8_t words)
{
	static const uint8_t mask[] = {WORDS_MASK};

	rule_nfproto(b, NFPROTO_IPV4);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, 0, 1, 0);
	rule_mask(b, 0, mask, sizeof(mask));
	rule_compare(b, 0, op, &words, sizeof(words));
}

/*
 * A packet that says itself which way it goes on (source routes of RFC 791,
 * routing headers of RFC 8200) is not for whom it is addressed to; one that
 * has its way recorded tells of it. Of IPv4's options the alert for routers
 * alone is good, on IGMP.
 */
void chain_write_options(struct batch *b)
{
	static const uint8_t alert = ROUTER_ALERT;

	rule_begin(b, "options");
	words_are(b, NFT_CMP_EQ, WORDS + 1);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, OPTIONS_OFFSET, 1, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &alert, sizeof(alert));
	rule_return(b);
	rule_begin(b, "options");
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

void chain_refuse_detours(struct batch *b, const char *chain,
			  const struct filter_settings *s)
{
	static const uint8_t yes = 1;

	if (s->audit)
		return;
	rule_begin(b, chain);
	words_are(b, NFT_CMP_NEQ, WORDS);
	rule_jump(b, "options");
	rule_begin(b, chain);
	rule_nfproto(b, NFPROTO_IPV6);
	rule_load_has_header6(b, IPPROTO_ROUTING, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &yes, sizeof(yes));
	rule_goto(b, "options");
}
