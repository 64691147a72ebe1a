/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS in the chains: the sandbox's questions are led to us, ours to the
 * resolvers.
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum {
	OUR_ZONE = 1 /* of conntrack */
};

/* Any resolver that can go untracked? Not one on loopback, which may itself be
 * behind a translation (Docker's), nor one that the sandbox asks as well. */
static bool any_untracked(const struct filter_settings *s)
{
	for (size_t i = 0; i < s->n_resolvers; i++) {
		if (!chain_is_loopback(&s->resolvers[i].a) &&
		    !chain_is_exempt(s, &s->resolvers[i].a))
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
		chain_load_source(b, family, 0);
	else
		chain_load_destination(b, family, 0);
	rule_lookup(b, chain_is_v6(family) ? "exempt6" : "exempt4", 0);
	rule_return(b);
}

/* Most packets are not from the port of a resolver, which they mostly share. */
static void pass_other_ports(struct batch *b, const struct filter_settings *s)
{
	uint16_t port = htons(s->resolvers[0].port);

	for (size_t i = 1; i < s->n_resolvers; i++) {
		if (s->resolvers[i].port != s->resolvers[0].port)
			return;
	}
	rule_begin(b, "raw_prerouting");
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(port), 0);
	rule_compare(b, 0, NFT_CMP_NEQ, &port, sizeof(port));
	rule_return(b);
}

/*
 * The gate's way on and the connection that it goes on for may have the same
 * two ends, one after the other: a client takes a port that the way on just
 * had. What conntrack remembers of one must not lead the other past the
 * redirection, or into it, so ours begin in a zone of their own; answers come
 * in the common one. Of closed sockets too, which have no owner. On the gate's
 * ports alone, where guesses at the mark are counted.
 */
static void write_zone(struct batch *b, const struct filter_settings *s)
{
	for (size_t i = 0; i < s->n_gated; i++) {
		rule_begin(b, "raw_output");
		rule_meta_is(b, NFT_META_MARK, s->mark);
		rule_l4proto(b, IPPROTO_TCP);
		rule_destination_port(b, s->gated[i]);
		rule_set_ct_zone(b, OUR_ZONE, IP_CT_DIR_ORIGINAL);
	}
}

/*
 * Our queries leave no trace in conntrack: a packet of the sandbox with the
 * ports of one of them would else belong to its entry, and the redirection,
 * which sees only the first packet of a connection, would miss it.
 */
static void write_untracked(struct batch *b, const struct filter_settings *s)
{
	rule_begin(b, "raw_output");
	rule_meta_is_not(b, NFT_META_MARK, s->mark);
	rule_return(b);
	rule_begin(b, "raw_output");
	rule_meta_is(b, NFT_META_OIF, LOOPBACK_INDEX);
	rule_return(b);
	pass_other_ports(b, s);
	rule_begin(b, "raw_prerouting");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_return(b);
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		skip_exempt(b, "raw_output", s, chain_families[f], false);
		skip_exempt(b, "raw_prerouting", s, chain_families[f], true);
		for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
			rule_begin(b, "raw_output");
			chain_is_ours(b, s);
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], false);
			rule_notrack(b);
			rule_begin(b, "raw_prerouting");
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], true);
			rule_notrack(b);
		}
	}
}

/* Before conntrack. */
static void write_raw(struct batch *b, const struct filter_settings *s)
{
	if (!s->n_resolvers && !s->n_gated)
		return;
	rule_begin(b, "raw_output");
	rule_meta_is(b, NFT_META_MARK, 0);
	rule_return(b);
	hole_write_gated(b, "raw_output", s);
	if (s->n_resolvers)
		hole_write_resolvers(b, "raw_output", s);
	write_zone(b, s);
	if (any_untracked(s))
		write_untracked(b, s);
}

/* A question of ours that is led to whoever answers for a resolver (a service's
 * load balancer chooses one each time): it is tracked, under our own mark. */
void chain_write_rewritten(struct batch *b, const char *chain,
			   const struct filter_settings *s)
{
	for (size_t k = 0; k < s->n_rewritten; k++) {
		for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
			rule_begin(b, chain);
			chain_is_ours(b, s);
			rule_l4proto(b, chain_with_ports[i]);
			rule_destination_port(b, s->rewritten[k]);
			if (strcmp(chain, "output") == 0)
				rule_set_ct_mark(b, RULESET_MARK_OURS);
			rule_accept(b);
		}
	}
}

static void is_gated(struct batch *b, uint8_t family)
{
	rule_l4proto(b, IPPROTO_TCP);
	chain_is_peer(b, family, false, lease_set_forms[GATED4].name,
		      lease_set_forms[GATED6].name);
}

/* Where the gate stands, but for its own way on. What is for an address of the
 * namespace's own does not leave. Before DNS: takeover.c takes the last rule
 * for that. */
static void write_gate(struct batch *b, const struct filter_settings *s)
{
	for (size_t f = 0; s->n_gated && f < COUNT(chain_families); f++) {
		rule_begin(b, RULESET_DNS);
		chain_is_ours(b, s);
		is_gated(b, chain_families[f]);
		rule_return(b);
		rule_begin(b, RULESET_DNS);
		rule_meta_is_not(b, NFT_META_OIF, LOOPBACK_INDEX);
		is_gated(b, chain_families[f]);
		rule_set_ct_mark(b, RULESET_MARK_REDIRECTED);
		rule_redirect(b, s->gate_port);
	}
}

/* The same of whatever address, to learn. */
static void write_gate_all(struct batch *b, const struct filter_settings *s)
{
	for (size_t i = 0; s->gate_all && i < s->n_gated; i++) {
		rule_begin(b, RULESET_DNS);
		chain_is_ours(b, s);
		rule_l4proto(b, IPPROTO_TCP);
		rule_destination_port(b, s->gated[i]);
		rule_return(b);
		rule_begin(b, RULESET_DNS);
		rule_meta_is_not(b, NFT_META_OIF, LOOPBACK_INDEX);
		rule_l4proto(b, IPPROTO_TCP);
		rule_destination_port(b, s->gated[i]);
		rule_set_ct_mark(b, RULESET_MARK_REDIRECTED);
		rule_redirect(b, s->gate_port);
	}
}

/* DNS to any address is ours to answer. */
static void write_redirection(struct batch *b, const struct filter_settings *s)
{
	chain_write_rewritten(b, RULESET_DNS, s);
	write_gate(b, s);
	write_gate_all(b, s);
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		for (size_t i = 0;
		     s->n_resolvers && i < COUNT(chain_with_ports); i++) {
			rule_begin(b, RULESET_DNS);
			chain_is_ours(b, s);
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], false);
			rule_return(b);
		}
		skip_exempt(b, RULESET_DNS, s, chain_families[f], false);
	}
	for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
		rule_begin(b, RULESET_DNS);
		rule_l4proto(b, chain_with_ports[i]);
		rule_destination_port(b, PORT_DNS);
		rule_set_ct_mark(b, RULESET_MARK_REDIRECTED);
		rule_redirect(b, s->dns_port);
	}
}

/* A container inside must not forge its source either: no connection begins
 * with a source that is not behind the device that it came from. Chains of type
 * nat see its first packet. */
static void refuse_forged(struct batch *b)
{
	uint32_t unicast = RTN_UNICAST, none = 0;

	rule_begin(b, RULESET_GUESTS);
	rule_load_fib(b, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &unicast, sizeof(unicast));
	rule_load_fib(b, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF, NFT_FIB_RESULT_OIF,
		      0);
	rule_compare(b, 0, NFT_CMP_EQ, &none, sizeof(none));
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

/* What goes on from one device to another is led to port. */
static void lead_through(struct batch *b, uint16_t port)
{
	uint32_t unicast = RTN_UNICAST, none = 0;

	rule_load_fib(b, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &unicast, sizeof(unicast));
	rule_load_fib(b, NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF, NFT_FIB_RESULT_OIF,
		      0);
	rule_compare(b, 0, NFT_CMP_EQ, &none, sizeof(none));
	rule_set_ct_mark(b, RULESET_MARK_GUESTS);
	rule_dnat_loopback4(b, port);
}

/*
 * A machine behind a routed tap, or a container inside, asks a resolver beyond
 * us, or connects where the gate stands: what comes from one device and leaves
 * by another. What is for an address of the namespace's own is for a server
 * there. IPv4 alone: the kernel takes no packet to ::1 from a device.
 */
void chain_write_guests(struct batch *b, const struct filter_settings *s)
{
	refuse_forged(b);
	if (s->n_gated) {
		rule_begin(b, RULESET_GUESTS);
		is_gated(b, NFPROTO_IPV4);
		lead_through(b, s->gate_port);
	}
	skip_exempt(b, RULESET_GUESTS, s, NFPROTO_IPV4, false);
	for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
		rule_begin(b, RULESET_GUESTS);
		rule_nfproto(b, NFPROTO_IPV4);
		rule_l4proto(b, chain_with_ports[i]);
		rule_destination_port(b, PORT_DNS);
		lead_through(b, s->dns_port);
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

	hole_write(b, s);
	write_raw(b, s);
	write_expected(b);
	write_redirection(b, s);
	hole_write_unmark(b, s);
}
