/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sets, and the chains that judge a connection. The peer of a connection
 * is what conntrack expects its replies from: the address on the wire, after
 * every translation, and the same for packets of both directions.
 *
 * As nft lists it, for one name and two ranges, IPv4 alone:
 *
 *   table inet opensandbox {
 *     counter refused { packets 0 bytes 0 }
 *     set learned4       { type ipv4_addr; flags timeout; }
 *     set learned4_ports { type ipv4_addr . mark; flags timeout; }
 *     set gated4         { type ipv4_addr . inet_service; flags timeout; }
 *     map ranges4 { type ipv4_addr : verdict; flags interval
 *                   elements = { 10.0.0.0/8 : goto refuse,
 *                                203.0.113.0/24 : goto ports_0 } }
 *     chain judge {
 *       ct status ! dnat ct reply ip saddr 127.0.0.0/8 goto refuse
 *       meta l4proto tcp ct reply proto-src 53 goto refuse    # and 853, UDP
 *       meta l4proto tcp ct reply proto-src 443 goto gated    # and 80, UDP
 *       ct reply ip saddr @learned4 goto admit
 *       meta nfproto ipv4 jump named4                # names of some ports
 *       ct reply ip saddr vmap @ranges4
 *       goto refuse                                  # or admit: the default
 *     }
 *     chain gated {                                  # where there is a gate
 *       ct reply ip saddr vmap @ranges4
 *       ct reply ip saddr . ct reply proto-src @gated4 goto refuse
 *       goto admit                                   # refuse, without those
 *     }
 *     chain ports_0 {
 *       meta l4proto tcp ct reply proto-src 443-443 goto admit
 *       goto refuse
 *     }
 *     chain admit    { ct mark set GENERATION accept }
 *     chain admit_in {
 *       ct state new tcp flags & (fin|syn|rst|ack) != syn goto refuse_in
 *       ct mark 0 tcp flags & (fin|syn|rst|ack) != syn goto refuse_in
 *       ct mark AUDITED tcp flags & (fin|syn|rst|ack) != syn goto refuse_in
 *       ct mark set INBOUND accept
 *     }
 *     chain refuse {
 *       counter name "refused"
 *       limit rate 50/second burst 100 packets log prefix "refused" group 1853
 *       iif != 0 drop
 *       meta l4proto tcp reject with tcp reset
 *       reject with icmpx admin-prohibited
 *     }
 *     chain refuse_in { counter name "refused"; limit ... log ...; drop }
 *   }
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

enum {
	PORT_DOT = 853,
	LOG_PER_SECOND = 50,
	LOG_BURST = 100,
	LOG_BYTES = 128 /* of each packet: headers */
};

/* Chains that are jumped to. "admit" and "refuse" end a judgement. */
static const char *const inner_chains[] = {
	"judge",    "admit", "admit_in", "refuse", "refuse_in", "neighbours",
	"loopback", "own",   "options",  "named4", "named6",
};

struct ruleset_shape ruleset_shape(const struct ruleset *r)
{
	struct ruleset_shape shape = {0};

	if (r->settings->dns_only)
		return shape;
	shape.name_ports = policy_has_name_ports(r->policy);
	shape.gate = r->settings->n_gated > 0;
	policy_port_tables(r->policy, &shape.n_port_tables);
	shape.limits = *policy_limits(r->policy);
	shape.quota = shape.limits.most[LIMIT_BYTES_TOTAL];
	if (!shape.quota)
		shape.quota = r->quota;
	return shape;
}

static uint32_t peer_key(bool v6)
{
	return v6 ? NFT_CT_SRC_IP6 : NFT_CT_SRC_IP;
}

static void load_peer(struct batch *b, bool v6, uint32_t first)
{
	rule_load_ct(b, peer_key(v6), IP_CT_DIR_REPLY, first);
}

static void peer_port_is(struct batch *b, uint16_t port)
{
	uint16_t wire = htons(port);

	rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &wire, sizeof(wire));
}

/* Loopback beyond this namespace: what a socket that is bound to another device
 * (SO_BINDTODEVICE) says to 127.0.0.1 goes out there, and the next host may
 * take it for its own (route_localnet). No policy means that. What another
 * table redirected to loopback (a mesh's) has only kept its device's name. */
static void write_judge_loopback(struct batch *b)
{
	static const uint8_t net4[] = {127, 0, 0, 0}, mask4[] = {255, 0, 0, 0};
	static const uint8_t self6[16] = {[15] = 1};

	rule_begin(b, "judge");
	rule_ct_status_not(b, IPS_DST_NAT);
	load_peer(b, false, 0);
	rule_mask(b, 0, mask4, sizeof(mask4));
	rule_compare(b, 0, NFT_CMP_EQ, net4, sizeof(net4));
	rule_goto(b, "refuse");
	rule_begin(b, "judge");
	rule_ct_status_not(b, IPS_DST_NAT);
	load_peer(b, true, 0);
	rule_compare(b, 0, NFT_CMP_EQ, self6, sizeof(self6));
	rule_goto(b, "refuse");
}

/* What no address is good for: other resolvers (port 53 is redirected before;
 * what comes here found a way around), DNS over TLS and QUIC, DoH. */
static void write_judge_ports(struct batch *b, const struct filter_settings *s)
{
	for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
		for (int v6 = 0; s->n_exempt && v6 < 2; v6++) {
			rule_begin(b, "judge");
			rule_l4proto(b, chain_with_ports[i]);
			peer_port_is(b, PORT_DNS);
			load_peer(b, v6, 0);
			rule_lookup(b, v6 ? "exempt6" : "exempt4", 0);
			rule_goto(b, "admit");
		}
		rule_begin(b, "judge");
		rule_l4proto(b, chain_with_ports[i]);
		peer_port_is(b, PORT_DNS);
		rule_goto(b, "refuse");
		rule_begin(b, "judge");
		rule_l4proto(b, chain_with_ports[i]);
		peer_port_is(b, PORT_DOT);
		rule_goto(b, "refuse");
		for (int v6 = 0; s->n_doh && v6 < 2; v6++) {
			rule_begin(b, "judge");
			rule_l4proto(b, chain_with_ports[i]);
			peer_port_is(b, PORT_HTTPS);
			load_peer(b, v6, 0);
			rule_lookup(b, v6 ? "doh6" : "doh4", 0);
			rule_goto(b, "refuse");
		}
	}
}

static void write_judge_leased(struct batch *b, const struct ruleset *r,
			       enum lease_set set)
{
	const struct lease_set_form *form = &lease_set_forms[set];

	rule_begin(b, "judge");
	load_peer(b, set == LEASES6, 0);
	rule_lookup(b, form->name, 0);
	rule_goto(b, "admit");
	if (!r->grace[set].to->n)
		return;
	rule_begin(b, "judge");
	rule_ct_state(b, NFT_STATE_ESTABLISHED);
	load_peer(b, set == LEASES6, 0);
	rule_lookup(b, form->grace_name, 0);
	rule_goto(b, "admit");
}

/* What is for one of these ports, and for an address that was leased with
 * this list of them. */
static void write_listed(struct batch *b, const char *set, bool v6,
			 const struct port_span *span, uint32_t number,
			 bool established)
{
	uint16_t from = htons(span->first), to = htons(span->last);

	rule_begin(b, v6 ? "named6" : "named4");
	if (established)
		rule_ct_state(b, NFT_STATE_ESTABLISHED);
	rule_l4proto(b, span->protocol);
	if (span->first > 0 || span->last < UINT16_MAX) {
		rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, 0);
		rule_range(b, 0, &from, &to, sizeof(from));
	}
	load_peer(b, v6, 0);
	rule_load_data(b, v6 ? 4 : 1, &number, sizeof(number));
	rule_lookup(b, set, 0);
	rule_goto(b, "admit");
}

static void write_lists(struct batch *b, const struct port_lists *lists,
			size_t first, bool v6, const char *set,
			bool established)
{
	for (size_t i = first; i < lists->n; i++)
		for (size_t k = 0; k < lists->at[i].n; k++)
			write_listed(b, set, v6, &lists->at[i].span[k],
				     (uint32_t)i, established);
}

void ruleset_write_lists(struct batch *b, const struct port_lists *lists,
			 size_t first)
{
	for (int v6 = 0; v6 < 2; v6++)
		write_lists(b, lists, first, v6,
			    lease_set_forms[v6 ? LEASES6_PORTS : LEASES4_PORTS]
				    .name,
			    false);
}

static void write_judge_named(struct batch *b, const struct ruleset *r)
{
	for (int v6 = 0; v6 < 2; v6++) {
		enum lease_set set = v6 ? LEASES6_PORTS : LEASES4_PORTS;

		rule_begin(b, "judge");
		rule_nfproto(b, chain_families[v6]);
		rule_jump(b, v6 ? "named6" : "named4");
		if (r->grace[set].to->n)
			write_lists(b, r->lists, 0, v6,
				    lease_set_forms[set].grace_name, true);
	}
	ruleset_write_lists(b, r->lists, 0);
}

/* Rules for addresses decide, or none. */
static void write_ranges(struct batch *b, const char *chain)
{
	for (int v6 = 0; v6 < 2; v6++) {
		rule_begin(b, chain);
		load_peer(b, v6, 0);
		rule_lookup_verdict(b, v6 ? "ranges6" : "ranges4", 0);
	}
}

/*
 * The ports of the gate, UDP's as well, for QUIC gives no name that could be
 * read: a name leads there through the gate alone, whichever of its elements
 * ends first; rules for addresses lead there as ever.
 */
static void write_judge_gated(struct batch *b, const struct filter_settings *s,
			      bool allow)
{
	for (size_t i = 0; i < s->n_gated; i++) {
		for (size_t k = 0; k < COUNT(chain_with_ports); k++) {
			rule_begin(b, "judge");
			rule_l4proto(b, chain_with_ports[k]);
			peer_port_is(b, s->gated[i]);
			rule_goto(b, "gated");
		}
	}
	write_ranges(b, "gated");
	for (int v6 = 0; allow && v6 < 2; v6++) {
		rule_begin(b, "gated");
		load_peer(b, v6, 0);
		rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, v6 ? 4 : 1);
		rule_lookup(b, lease_set_forms[v6 ? GATED6 : GATED4].name, 0);
		rule_goto(b, "refuse");
	}
	rule_begin(b, "gated");
	rule_goto(b, allow ? "admit" : "refuse");
}

/* Leased addresses come before the ranges: an address that an earlier rule
 * denies is never leased, one that a later rule denies may be. */
static void write_judge(struct batch *b, const struct ruleset *r)
{
	bool ports = policy_has_name_ports(r->policy);
	bool allow = policy_default(r->policy) == POLICY_ALLOW;

	write_judge_loopback(b);
	write_judge_ports(b, r->settings);
	if (r->settings->n_gated)
		write_judge_gated(b, r->settings, allow);
	write_judge_leased(b, r, LEASES4);
	write_judge_leased(b, r, LEASES6);
	if (ports)
		write_judge_named(b, r);
	write_ranges(b, "judge");
	rule_begin(b, "judge");
	rule_goto(b, allow ? "admit" : "refuse");
}

/* Ranges that only some ports of are allowed or denied. */
static void write_port_tables(struct batch *b, const struct policy *policy)
{
	size_t n;
	const struct port_table *table = policy_port_tables(policy, &n);

	for (size_t i = 0; i < n; i++) {
		char chain[PORTS_CHAIN_NAME];

		ports_chain(chain, i);
		for (size_t k = 0; k < table[i].n_spans; k++) {
			const struct port_verdict *v = &table[i].spans[k];
			uint16_t from = htons(v->span.first);
			uint16_t to = htons(v->span.last);

			rule_begin(b, chain);
			rule_l4proto(b, v->span.protocol);
			rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, 0);
			rule_range(b, 0, &from, &to, sizeof(from));
			rule_goto(b, v->action == POLICY_ALLOW ? "admit"
							       : "refuse");
		}
		rule_begin(b, chain);
		rule_goto(b, table[i].otherwise == POLICY_ALLOW ? "admit"
								: "refuse");
	}
}

static void write_log(struct batch *b, const char *chain,
		      const struct filter_settings *s)
{
	rule_begin(b, chain);
	rule_count(b, RULESET_REFUSED);
	rule_end(b);
	if (!s->log_group)
		return;
	rule_begin(b, chain);
	if (!s->log_all)
		rule_limit(b, LOG_PER_SECOND, LOG_BURST);
	rule_log(b, s->log_group, s->audit ? "audit" : "refused", LOG_BYTES);
	rule_end(b);
}

static void write_verdicts(struct batch *b, const struct ruleset *r)
{
	const struct filter_settings *s = r->settings;

	limits_write_admit(b, r);
	rule_begin(b, "admit");
	rule_set_ct_mark(b, r->generation);
	rule_accept(b);

	write_log(b, "refuse_in", s);
	rule_begin(b, "refuse_in");
	if (s->audit) {
		rule_set_ct_mark(b, RULESET_MARK_AUDITED);
		rule_accept(b);
	} else {
		rule_drop(b);
	}

	write_log(b, "refuse", s);
	if (s->audit) {
		rule_begin(b, "refuse");
		rule_goto(b, "admit");
		return;
	}
	chain_refuse(b, "refuse", s->drop);
}

/* A map that is changed stays, and with it the chains that it leads to, which
 * only get new rules. */
static bool stays(const struct ruleset *r, const char *chain)
{
	return r->ranges_of &&
	       (strcmp(chain, "admit") == 0 || strcmp(chain, "refuse") == 0);
}

static void delete_old(struct batch *b, const struct ruleset *r,
		       const struct ruleset_shape *old)
{
	struct ruleset_shape shape = ruleset_shape(r);
	char name[PORTS_CHAIN_NAME];

	batch_delete_rules(b);
	sets_delete(b, r, old);
	limits_delete(b, r->settings, old, &shape);
	for (size_t i = 0; i < COUNT(inner_chains); i++) {
		if (!stays(r, inner_chains[i]))
			batch_delete_chain(b, inner_chains[i]);
	}
	if (old->gate)
		batch_delete_chain(b, "gated");
	for (size_t i = 0; !r->ranges_of && i < old->n_port_tables; i++)
		batch_delete_chain(b, ports_chain(name, i));
}

static void write_enforcement(struct batch *b, const struct ruleset *r)
{
	struct ruleset_shape shape = ruleset_shape(r);
	char name[PORTS_CHAIN_NAME];

	for (size_t i = 0; i < COUNT(inner_chains); i++)
		batch_add_chain(b, inner_chains[i], NULL, -1, 0, false, NULL);
	if (shape.gate)
		batch_add_chain(b, "gated", NULL, -1, 0, false, NULL);
	for (size_t i = 0; i < shape.n_port_tables; i++)
		batch_add_chain(b, ports_chain(name, i), NULL, -1, 0, false,
				NULL);
	sets_add_enforcement(b, r);
	ranges_write(b, r->ranges_of, r->policy);
	write_judge(b, r);
	write_port_tables(b, r->policy);
	write_verdicts(b, r);
	chains_write_enforcement(b, r);
}

void ruleset_write(struct batch *b, const struct ruleset *r,
		   const struct ruleset_shape *old)
{
	struct ruleset_shape shape;

	batch_table(b, NFPROTO_INET, RULESET_TABLE);
	batch_add_table(b);
	if (!old) {
		batch_delete_table(b);
		batch_add_table(b);
		batch_add_counter(b, RULESET_REFUSED);
		chains_add_base(b, r);
	} else {
		delete_old(b, r, old);
	}
	sets_add(b, r);
	chains_write_dns(b, r);
	if (r->settings->dns_only)
		return;
	shape = ruleset_shape(r);
	limits_write(b, r, old, &shape);
	write_enforcement(b, r);
}
