/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection carries a conntrack mark once it was judged: the generation of
 * the policy that let it out, or the mark of those that were let in. Each is
 * good for one direction of packets at each hook, since with a raw socket the
 * sandbox can send packets of either direction from any address: a forged
 * source must not make the reply direction a way out.
 */
#include "chains.h"

#include "neighbours.h"
#include "rule.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum {
	LOOPBACK_INDEX = 1, /* of "lo", in every namespace */
	/* Of IPv4: the header's length in 32-bit words, options from 20 on,
	 * and the router alert (RFC 2113), which fills one word. */
	WORDS_MASK = 0x0f,
	WORDS = 5,
	OPTIONS_OFFSET = 20,
	ROUTER_ALERT = 0x94,
	TCP_FLAGS_OFFSET = 13,
	TCP_FLAGS = 0x17, /* FIN, SYN, RST, ACK */
	TCP_SYN = 0x02,
	/* Before Docker's own redirection of its resolver at 127.0.0.11. */
	PRIORITY_DNS = NF_IP_PRI_NAT_DST - 5,
	/* Behind conntrack. */
	PRIORITY_SOURCE = NF_IP_PRI_MANGLE,
	PRIORITY_LAST = NF_IP_PRI_LAST - 1
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP};
static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};

static bool is_v6(uint8_t family)
{
	return family == NFPROTO_IPV6;
}

void chains_add_base(struct batch *b, const struct ruleset *r)
{
	/* Without a hole they would be empty, and every packet cross them. */
	if (r->settings->n_resolvers) {
		batch_add_chain(b, "raw_prerouting", "filter",
				NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, false,
				NULL);
		batch_add_chain(b, "raw_output", "filter", NF_INET_LOCAL_OUT,
				NF_IP_PRI_RAW, false, NULL);
	}
	if (r->settings->n_resolvers || !r->settings->dns_only)
		batch_add_chain(b, "postrouting", "filter",
				NF_INET_POST_ROUTING, PRIORITY_LAST, false,
				NULL);
	batch_add_chain(b, RULESET_DNS, "nat", NF_INET_LOCAL_OUT, PRIORITY_DNS,
			false, NULL);
	if (r->settings->dns_only)
		return;
	if (r->has_fib) {
		batch_add_chain(b, "prerouting", "filter", NF_INET_PRE_ROUTING,
				PRIORITY_SOURCE, false, NULL);
		batch_add_chain(b, RULESET_GUESTS, "nat", NF_INET_PRE_ROUTING,
				PRIORITY_DNS, false, NULL);
	}
	batch_add_chain(b, "input", "filter", NF_INET_LOCAL_IN,
			NF_IP_PRI_FILTER, true, NULL);
	batch_add_chain(b, "forward", "filter", NF_INET_FORWARD,
			NF_IP_PRI_FILTER, true, NULL);
	batch_add_chain(b, "output", "filter", NF_INET_LOCAL_OUT,
			NF_IP_PRI_FILTER, true, NULL);
}

static void load_source(struct batch *b, uint8_t family, uint32_t first)
{
	rule_nfproto(b, family);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, is_v6(family) ? 8 : 12,
			  is_v6(family) ? 16 : 4, first);
}

static void load_destination(struct batch *b, uint8_t family, uint32_t first)
{
	rule_nfproto(b, family);
	rule_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER,
			  is_v6(family) ? 24 : 16, is_v6(family) ? 16 : 4,
			  first);
}

/* address . port (of the transport header) is an element of the set */
static void is_peer(struct batch *b, uint8_t family, bool source,
		    const char *set4, const char *set6)
{
	uint32_t behind = is_v6(family) ? 4 : 1;

	if (source)
		load_source(b, family, 0);
	else
		load_destination(b, family, 0);
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, source ? 0 : 2, 2,
			  behind);
	rule_lookup(b, is_v6(family) ? set6 : set4, 0);
}

static void is_resolver(struct batch *b, uint8_t family, bool source)
{
	is_peer(b, family, source, "resolvers4", "resolvers6");
}

/* A packet of our own resolver sockets: their mark, which is random, and their
 * owner. */
static void is_ours(struct batch *b, const struct filter_settings *s)
{
	rule_meta_is(b, NFT_META_MARK, s->mark);
	rule_meta_is(b, NFT_META_SKUID, s->uid);
}

static bool address_is(const struct address *a, const uint8_t *bytes)
{
	return memcmp(a->bytes, bytes, address_size(a)) == 0;
}

static bool is_loopback(const struct address *a)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	return a->family == AF_INET ? a->bytes[0] == 127
				    : address_is(a, loopback6);
}

static bool is_exempt(const struct filter_settings *s, const struct address *a)
{
	for (size_t i = 0; i < s->n_exempt; i++) {
		if (address_compare(&s->exempt[i], a) == 0)
			return true;
	}
	return false;
}

/* Any resolver that can go untracked? Not one on loopback, which may itself be
 * behind a translation (Docker's), nor one that the sandbox asks as well. */
static bool any_untracked(const struct filter_settings *s)
{
	for (size_t i = 0; i < s->n_resolvers; i++) {
		if (!is_loopback(&s->resolvers[i].a) &&
		    !is_exempt(s, &s->resolvers[i].a))
			return true;
	}
	return false;
}

static void skip_exempt(struct batch *b, const char *chain,
			const struct filter_settings *s, uint8_t family,
			bool source)
{
	if (!s->n_exempt)
		return;
	rule_begin(b, chain);
	if (source)
		load_source(b, family, 0);
	else
		load_destination(b, family, 0);
	rule_lookup(b, is_v6(family) ? "exempt6" : "exempt4", 0);
	rule_return(b);
}

/*
 * Our queries leave no trace in conntrack: a packet of the sandbox with the
 * ports of one of them would else belong to its entry, and the redirection,
 * which sees only the first packet of a connection, would miss it.
 */
static void write_untracked(struct batch *b, const struct filter_settings *s)
{
	if (!any_untracked(s))
		return;
	rule_begin(b, "raw_output");
	rule_meta_is(b, NFT_META_OIF, LOOPBACK_INDEX);
	rule_return(b);
	rule_begin(b, "raw_prerouting");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_return(b);
	for (size_t f = 0; f < COUNT(families); f++) {
		skip_exempt(b, "raw_output", s, families[f], false);
		skip_exempt(b, "raw_prerouting", s, families[f], true);
		for (size_t i = 0; i < COUNT(with_ports); i++) {
			rule_begin(b, "raw_output");
			is_ours(b, s);
			rule_l4proto(b, with_ports[i]);
			is_resolver(b, families[f], false);
			rule_notrack(b);
			rule_begin(b, "raw_prerouting");
			rule_l4proto(b, with_ports[i]);
			is_resolver(b, families[f], true);
			rule_notrack(b);
		}
	}
}

/* A question of ours that is led to whoever answers for a resolver (a service's
 * load balancer chooses one each time): it is tracked, under our own mark. */
static void write_rewritten(struct batch *b, const char *chain,
			    const struct filter_settings *s)
{
	for (size_t k = 0; k < s->n_rewritten; k++) {
		for (size_t i = 0; i < COUNT(with_ports); i++) {
			rule_begin(b, chain);
			is_ours(b, s);
			rule_l4proto(b, with_ports[i]);
			rule_destination_port(b, s->rewritten[k]);
			if (strcmp(chain, "output") == 0)
				rule_set_ct_mark(b, RULESET_MARK_OURS);
			rule_accept(b);
		}
	}
}

/* DNS to any address is ours to answer. */
static void write_redirection(struct batch *b, const struct filter_settings *s)
{
	write_rewritten(b, RULESET_DNS, s);
	for (size_t f = 0; f < COUNT(families); f++) {
		for (size_t i = 0; s->n_resolvers && i < COUNT(with_ports);
		     i++) {
			rule_begin(b, RULESET_DNS);
			is_ours(b, s);
			rule_l4proto(b, with_ports[i]);
			is_resolver(b, families[f], false);
			rule_return(b);
		}
		skip_exempt(b, RULESET_DNS, s, families[f], false);
	}
	for (size_t i = 0; i < COUNT(with_ports); i++) {
		rule_begin(b, RULESET_DNS);
		rule_l4proto(b, with_ports[i]);
		rule_destination_port(b, PORT_DNS);
		rule_set_ct_mark(b, RULESET_MARK_REDIRECTED);
		rule_redirect(b, s->dns_port);
	}
}

/*
 * A machine behind a routed tap, or a container inside, asks a resolver beyond
 * us: what comes from one device and leaves by another. What is for an address
 * of the namespace's own is for a server there. IPv4 alone: the kernel takes
 * no packet to ::1 from a device.
 */
static void write_guests(struct batch *b, const struct filter_settings *s)
{
	uint32_t unicast = RTN_UNICAST, none = 0;

	skip_exempt(b, RULESET_GUESTS, s, NFPROTO_IPV4, false);
	for (size_t i = 0; i < COUNT(with_ports); i++) {
		rule_begin(b, RULESET_GUESTS);
		rule_nfproto(b, NFPROTO_IPV4);
		rule_l4proto(b, with_ports[i]);
		rule_destination_port(b, PORT_DNS);
		rule_load_fib(b, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &unicast, sizeof(unicast));
		rule_load_fib(b, NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF,
			      NFT_FIB_RESULT_OIF, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &none, sizeof(none));
		rule_set_ct_mark(b, RULESET_MARK_GUESTS);
		rule_dnat_loopback4(b, s->dns_port);
	}
}

/* A connection that a conntrack helper expects (FTP's data) begins with the
 * mark of the one that spoke of it; it is judged for itself. Chains of type nat
 * see the first packet alone, so that the others cost nothing. */
static void write_expected(struct batch *b)
{
	rule_begin(b, RULESET_DNS);
	rule_ct_status(b, IPS_EXPECTED);
	rule_set_ct_mark(b, 0);
	rule_end(b);
}

void chains_write_dns(struct batch *b, const struct ruleset *r)
{
	const struct filter_settings *s = r->settings;

	write_untracked(b, s);
	write_expected(b);
	write_redirection(b, s);
	if (!s->n_resolvers)
		return;
	/* The mark has done its work; who captures packets (SO_RCVMARK) need
	 * not learn it. */
	rule_begin(b, "postrouting");
	rule_meta_is(b, NFT_META_MARK, s->mark);
	rule_set_meta_mark(b, 0);
	rule_end(b);
}

/* Loopback is free, but for a resolver there (Docker's, a stub), which would
 * answer everything. */
static void write_loopback(struct batch *b, const struct ruleset *r)
{
	const struct filter_settings *s = r->settings;
	static const uint8_t self4[] = {127, 0, 0, 1};

	for (size_t i = 0; i < s->n_resolvers; i++) {
		const struct filter_peer *resolver = &s->resolvers[i];
		uint8_t family = resolver->a.family == AF_INET6 ? NFPROTO_IPV6
								: NFPROTO_IPV4;
		/* Docker's listens on another port than the one it shows. */
		bool whole = family == NFPROTO_IPV4 &&
			     !address_is(&resolver->a, self4);
		uint32_t size = (uint32_t)address_size(&resolver->a);

		if (!is_loopback(&resolver->a) || is_exempt(s, &resolver->a))
			continue;
		rule_begin(b, "loopback");
		is_ours(b, s);
		load_destination(b, family, 0);
		rule_compare(b, 0, NFT_CMP_EQ, resolver->a.bytes, size);
		rule_accept(b);
		for (size_t k = 0; k < (whole ? 1 : COUNT(with_ports)); k++) {
			rule_begin(b, "loopback");
			load_destination(b, family, 0);
			rule_compare(b, 0, NFT_CMP_EQ, resolver->a.bytes, size);
			if (!whole) {
				rule_l4proto(b, with_ports[k]);
				rule_destination_port(b, resolver->port);
			}
			rule_goto(b, "refuse");
		}
	}
	/* Nor does loopback lead elsewhere. A socket that is bound to it would
	 * begin a connection there that only looks like one, and that answers
	 * from a raw socket could make look established. */
	if (r->has_fib) {
		uint32_t unicast = RTN_UNICAST;

		rule_begin(b, "loopback");
		rule_ct_state(b, NFT_STATE_NEW);
		rule_load_fib(b, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &unicast, sizeof(unicast));
		rule_count(b, RULESET_REFUSED);
		rule_drop(b);
	}
	rule_begin(b, "loopback");
	rule_accept(b);
}

static void accept_marked(struct batch *b, const char *chain, uint32_t mark,
			  uint8_t direction)
{
	rule_begin(b, chain);
	rule_ct_mark(b, mark);
	rule_ct_direction(b, direction);
	rule_accept(b);
}

/* What conntrack makes nothing of is not refused with a reset, which could
 * end the connection that a late packet belongs to. */
static void drop_invalid(struct batch *b, const char *chain, bool audit)
{
	rule_begin(b, chain);
	rule_ct_state(b, NFT_STATE_INVALID | NFT_STATE_UNTRACKED);
	rule_count(b, RULESET_REFUSED);
	if (audit)
		rule_accept(b);
	else
		rule_drop(b);
}

/* The sandbox's DNS after its redirection: on its way to loopback, though the
 * hook still names the device that it was for. */
static void accept_redirected(struct batch *b, const char *chain,
			      const struct filter_settings *s)
{
	static const uint8_t self4[] = {127, 0, 0, 1};
	static const uint8_t self6[16] = {[15] = 1};
	uint16_t port = htons(s->dns_port);

	for (size_t f = 0; f < COUNT(families); f++) {
		rule_begin(b, chain);
		rule_ct_status(b, IPS_DST_NAT);
		rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &port, sizeof(port));
		load_destination(b, families[f], 0);
		if (is_v6(families[f]))
			rule_compare(b, 0, NFT_CMP_EQ, self6, sizeof(self6));
		else
			rule_compare(b, 0, NFT_CMP_EQ, self4, sizeof(self4));
		rule_accept(b);
	}
}

/*
 * Our HTTP is tracked, unlike our questions: its connections have a mark of
 * their own, which lets answers in, but nothing out that is not ours, packet by
 * packet. Those that are open outlive a change of addresses.
 */
static void write_own_connections(struct batch *b,
				  const struct filter_settings *s)
{
	if (!s->mark)
		return;
	rule_begin(b, "output");
	is_ours(b, s);
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_accept(b);
	for (size_t f = 0; f < COUNT(families); f++) {
		rule_begin(b, "output");
		is_ours(b, s);
		rule_l4proto(b, IPPROTO_TCP);
		is_peer(b, families[f], false, "peers4", "peers6");
		rule_ct_state(b, NFT_STATE_NEW | NFT_STATE_ESTABLISHED);
		rule_set_ct_mark(b, RULESET_MARK_OURS);
		rule_accept(b);
	}
}

static void write_hole(struct batch *b, const struct filter_settings *s)
{
	write_rewritten(b, "output", s);
	for (size_t f = 0; s->n_resolvers && f < COUNT(families); f++) {
		for (size_t i = 0; i < COUNT(with_ports); i++) {
			rule_begin(b, "output");
			is_ours(b, s);
			rule_l4proto(b, with_ports[i]);
			is_resolver(b, families[f], false);
			rule_accept(b);
		}
	}
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
static void write_options(struct batch *b)
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

static void refuse_detours(struct batch *b, const char *chain,
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

static void write_output(struct batch *b, const struct ruleset *r)
{
	uint32_t local = RTN_LOCAL;

	refuse_detours(b, "output", r->settings);
	rule_begin(b, "output");
	rule_meta_is(b, NFT_META_OIF, LOOPBACK_INDEX);
	rule_goto(b, "loopback");
	accept_marked(b, "output", r->generation, IP_CT_DIR_ORIGINAL);
	accept_marked(b, "output", r->inbound_mark, IP_CT_DIR_REPLY);
	if (r->has_fib)
		accept_marked(b, "output", RULESET_MARK_GUESTS,
			      IP_CT_DIR_REPLY);
	accept_redirected(b, "output", r->settings);
	write_hole(b, r->settings);
	write_own_connections(b, r->settings);
	rule_begin(b, "output");
	rule_nfproto(b, NFPROTO_IPV6);
	rule_l4proto(b, IPPROTO_ICMPV6);
	rule_jump(b, "neighbours");
	drop_invalid(b, "output", r->settings->audit);
	/* Answers to a connection that nobody let in. */
	rule_begin(b, "output");
	rule_ct_direction(b, IP_CT_DIR_REPLY);
	rule_count(b, RULESET_REFUSED);
	if (r->settings->audit)
		rule_accept(b);
	else
		rule_drop(b);
	if (r->has_fib) {
		rule_begin(b, "output");
		rule_load_fib(b, NFTA_FIB_F_SADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
		rule_compare(b, 0, NFT_CMP_NEQ, &local, sizeof(local));
		rule_count(b, RULESET_REFUSED);
		rule_drop(b);
	}
	rule_begin(b, "output");
	rule_goto(b, "judge");
}

/* A socket that is bound to a device (SO_BINDTODEVICE) has its DNS routed
 * through that device after the redirection too; the hook before still named
 * the device of before. */
static void write_postrouting(struct batch *b)
{
	rule_begin(b, "postrouting");
	rule_ct_mark(b, RULESET_MARK_REDIRECTED);
	rule_meta_is_not(b, NFT_META_OIF, LOOPBACK_INDEX);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

/* A TCP connection that conntrack first sees midway: the sandbox may have
 * opened it before there were rules, or while somebody had taken them away, and
 * its peer only spoke first. */
static void refuse_midway(struct batch *b, const char *chain)
{
	static const uint8_t mask[] = {TCP_FLAGS}, syn[] = {TCP_SYN};

	rule_begin(b, chain);
	rule_ct_state(b, NFT_STATE_NEW);
	rule_l4proto(b, IPPROTO_TCP);
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, 1,
			  0);
	rule_mask(b, 0, mask, sizeof(mask));
	rule_compare(b, 0, NFT_CMP_NEQ, syn, sizeof(syn));
	rule_goto(b, "refuse_in");
}

static void admit_inbound(struct batch *b, const char *chain)
{
	for (size_t f = 0; f < COUNT(families); f++) {
		rule_begin(b, chain);
		if (strcmp(chain, "forward") == 0)
			rule_ct_status(b, IPS_DST_NAT);
		load_source(b, families[f], 0);
		rule_lookup(b, is_v6(families[f]) ? "inbound6" : "inbound4", 0);
		rule_goto(b, "admit_in");
	}
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

	for (size_t f = 0; s->n_resolvers && f < COUNT(families); f++) {
		for (size_t i = 0; i < COUNT(with_ports); i++) {
			rule_begin(b, "input");
			rule_l4proto(b, with_ports[i]);
			is_resolver(b, families[f], true);
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

static void from_loopback(struct batch *b, uint8_t protocol, uint16_t port)
{
	rule_begin(b, "input");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_l4proto(b, protocol);
	rule_destination_port(b, port);
	rule_jump(b, "own");
}

/*
 * The API tells by a client's address who is outside. With a raw socket the
 * sandbox can send in anybody's name over loopback, and read the answers where
 * they leave, if the name is of an allowed address: nobody else's name is good
 * there, not in a connection that is marked either. Nor do we answer DNS to
 * somebody who did not ask.
 */
static void write_input_own(struct batch *b, const struct ruleset *r)
{
	uint32_t local = RTN_LOCAL;

	if (!r->has_fib)
		return;
	if (r->settings->api_port)
		from_loopback(b, IPPROTO_TCP, r->settings->api_port);
	for (size_t i = 0; i < COUNT(with_ports); i++)
		from_loopback(b, with_ports[i], r->settings->dns_port);
	rule_begin(b, "own");
	rule_load_fib(b, NFTA_FIB_F_SADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &local, sizeof(local));
	rule_return(b);
	/* Link-local ones have no route without their device. */
	rule_begin(b, "own");
	load_source(b, NFPROTO_IPV6, 0);
	rule_lookup(b, "own6", 0);
	rule_return(b);
	rule_begin(b, "own");
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

static void write_input(struct batch *b, const struct ruleset *r)
{
	const struct filter_settings *s = r->settings;

	refuse_detours(b, "input", s);
	write_input_own(b, r);
	rule_begin(b, "input");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_accept(b);
	accept_marked(b, "input", r->generation, IP_CT_DIR_REPLY);
	accept_marked(b, "input", r->inbound_mark, IP_CT_DIR_ORIGINAL);
	if (r->has_fib)
		accept_marked(b, "input", RULESET_MARK_GUESTS,
			      IP_CT_DIR_ORIGINAL);
	if (s->mark)
		accept_marked(b, "input", RULESET_MARK_OURS, IP_CT_DIR_REPLY);
	write_input_services(b, s);
	drop_invalid(b, "input", s->audit);
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
	refuse_midway(b, "input");
	admit_inbound(b, "input");
	rule_begin(b, "input");
	rule_goto(b, "refuse_in");
}

/* For containers inside the sandbox and machines behind it. Port 53 does not
 * come here, but for IPv6, where it is refused. */
static void write_forward(struct batch *b, const struct ruleset *r)
{
	refuse_detours(b, "forward", r->settings);
	/* Nobody is behind loopback: a frame that was forged there. */
	rule_begin(b, "forward");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
	rule_begin(b, "forward");
	rule_ct_mark(b, r->generation);
	rule_accept(b);
	rule_begin(b, "forward");
	rule_ct_mark(b, r->inbound_mark);
	rule_accept(b);
	drop_invalid(b, "forward", r->settings->audit);
	admit_inbound(b, "forward");
	rule_begin(b, "forward");
	rule_goto(b, "judge");
}

/* A container inside must not forge its source either: no connection begins
 * with a source that is not behind the device that it came from. */
static void write_prerouting(struct batch *b)
{
	static const uint8_t loopback4[] = {127, 0, 0, 0},
			     first[] = {255, 0, 0, 0};
	uint32_t unicast = RTN_UNICAST, none = 0;

	/* Where a device may lead to loopback, for the DNS of those behind it,
	 * nothing else may take that road. */
	rule_begin(b, "prerouting");
	rule_meta_is_not(b, NFT_META_IIF, LOOPBACK_INDEX);
	load_destination(b, NFPROTO_IPV4, 0);
	rule_mask(b, 0, first, sizeof(first));
	rule_compare(b, 0, NFT_CMP_EQ, loopback4, sizeof(loopback4));
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
	rule_begin(b, "prerouting");
	rule_ct_state(b, NFT_STATE_NEW);
	rule_load_fib(b, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &unicast, sizeof(unicast));
	rule_load_fib(b, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF, NFT_FIB_RESULT_OIF,
		      0);
	rule_compare(b, 0, NFT_CMP_EQ, &none, sizeof(none));
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

void chains_write_enforcement(struct batch *b, const struct ruleset *r)
{
	neighbours_write_out(b, "neighbours");
	write_loopback(b, r);
	write_options(b);
	write_output(b, r);
	write_postrouting(b);
	write_input(b, r);
	write_forward(b, r);
	if (r->has_fib) {
		write_prerouting(b);
		write_guests(b, r->settings);
	}
}
