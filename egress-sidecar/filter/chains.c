/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection carries a conntrack mark once it was judged: the generation of
 * the policy that let it out, or the mark of those that were let in. Each is
 * good for one direction of packets at each hook, since with a raw socket the
 * sandbox can send packets of either direction from any address: a forged
 * source must not make the reply direction a way out.
 *
 * As nft lists them, IPv4 alone; OURS, GENERATION, INBOUND, GUESTS and
 * REDIRECTED are conntrack marks, MARK is that of our own sockets:
 *
 *   chain raw_output { type filter hook output priority raw; policy accept;
 *     meta mark 0 return          # the others of hole.c are not shown here
 *     meta mark MARK tcp dport 443 ct original zone set 1     # of a gate
 *     meta mark != MARK return
 *     oif "lo" return
 *     meta mark MARK meta skuid 0 ip daddr . udp dport @resolvers4 notrack
 *   }
 *   chain raw_prerouting { type filter hook prerouting priority raw; ...
 *     @th,0,16 != 53 return       # of all resolvers
 *     iif "lo" return
 *     ip saddr . udp sport @resolvers4 notrack
 *   }
 *   chain dns { type nat hook output priority -105; policy accept;
 *     ct status expected ct mark set 0
 *     meta mark MARK meta skuid 0 ip daddr . udp dport @resolvers4 return
 *     meta mark MARK meta skuid 0 ip daddr . tcp dport @gated4 return
 *     oif != "lo" ip daddr . tcp dport @gated4
 *       ct mark set REDIRECTED redirect to :15380      # all, to learn
 *     udp dport 53 ct mark set REDIRECTED redirect to :15353
 *   }
 *   chain guests { type nat hook prerouting priority dstnat - 5; ...
 *     fib daddr type unicast fib saddr . iif oif 0
 *       counter name "refused" drop
 *     udp dport 53 fib daddr type unicast fib daddr . iif oif 0
 *       ct mark set GUESTS dnat ip to 127.0.0.1:15353     # and @gated4
 *   }
 *   chain output { type filter hook output priority filter; policy drop;
 *     @nh,0,8 != 0x45 jump options
 *     oif "lo" goto loopback
 *     ct mark GENERATION ct direction original accept
 *     ct mark INBOUND ct direction reply accept
 *     ct mark GUESTS ct direction reply accept
 *     ct status dnat ct reply proto-src 15353 ip daddr 127.0.0.1 accept
 *     ct status dnat ct reply proto-src 15380 ip daddr 127.0.0.1 accept
 *     meta mark MARK meta skuid 0 ip daddr . udp dport @resolvers4 accept
 *     meta mark MARK meta skuid 0 ct mark OURS ct direction original accept
 *     meta mark MARK meta skuid 0 ip daddr . tcp dport @peers4
 *       ct state established,new ct mark set OURS accept  # and @gated4
 *     ct mark OURS ct direction original meta skuid != 0
 *       counter name "refused" drop                     # with a gate alone
 *     ct mark OURS ct direction original meta mark MARK accept
 *     ct mark OURS ct direction original counter name "refused" drop
 *     meta l4proto ipv6-icmp jump neighbours
 *     ct state invalid,untracked counter name "refused" drop
 *     ct direction reply counter name "refused" drop
 *     fib saddr type != local counter name "refused" drop
 *     goto judge
 *   }
 *   chain postrouting { type filter hook postrouting priority last - 1; ...
 *     meta mark != 0 jump unmark                      # few packets have one
 *     ct mark REDIRECTED oif != "lo" counter name "refused" drop
 *       # without egress hooks
 *   }
 *   chain unmark {
 *     meta mark MARK ct mark OURS ct direction original meta mark set 0
 *     meta mark MARK ip daddr . udp dport @resolvers4 meta mark set 0
 *   }
 *   chain input { type filter hook input priority filter; policy drop;
 *     @nh,0,8 != 0x45 jump options
 *     iif "lo" goto loopback_in
 *     ct mark GENERATION ct direction reply accept
 *     ct mark INBOUND ct direction original accept
 *     ct mark GUESTS ct direction original accept
 *     ct mark OURS ct direction reply accept
 *     ip daddr 127.0.0.0/8 jump to_loopback
 *     ip saddr . udp sport @resolvers4 accept
 *     udp sport 67 udp dport 68 accept
 *     ct state invalid,untracked counter name "refused" drop
 *     ct direction reply goto judge
 *     tcp dport 18080 goto admit_in
 *     ip saddr @inbound4 goto admit_in
 *     goto refuse_in
 *   }
 *   chain forward { type filter hook forward priority filter; policy drop;
 *     @nh,0,8 != 0x45 jump options
 *     iif "lo" counter name "refused" drop
 *     ct mark GENERATION accept
 *     ct mark INBOUND accept
 *     ct state invalid,untracked counter name "refused" drop
 *     ct status dnat ip saddr @inbound4 goto admit_in
 *     goto judge
 *   }
 *   chain loopback_in {
 *     tcp dport 18080 jump own
 *     udp dport 15353 jump own
 *     tcp dport 15380 jump own                          # with a gate alone
 *     ct mark OURS counter name "refused" drop
 *     ct state invalid jump own
 *     accept
 *   }
 *   chain to_loopback {
 *     ct status dnat ct direction original ct original ip daddr != 127.0.0.0/8
 *       return
 *     counter name "refused" drop
 *   }
 *   chain options {       # whatever is not IPv4 without options
 *     ip6 nexthdr 6-17 return
 *     meta nfproto ipv6 exthdr rt missing return
 *     @nh,0,8 0x46 @nh,160,8 0x94 return
 *     counter name "refused" drop
 *   }
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>

enum {
	/* Before Docker's own redirection of its resolver at 127.0.0.11. */
	PRIORITY_DNS = NF_IP_PRI_NAT_DST - 5,
	PRIORITY_LAST = NF_IP_PRI_LAST - 1
};

void chains_add_base(struct batch *b, const struct ruleset *r)
{
	hole_add_base(b, r->settings);
	/* Without a hole they would be empty, and every packet cross them. */
	if (r->settings->n_resolvers)
		batch_add_chain(b, "raw_prerouting", "filter",
				NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, false,
				NULL);
	if (r->settings->n_resolvers || r->settings->n_gated)
		batch_add_chain(b, "raw_output", "filter", NF_INET_LOCAL_OUT,
				NF_IP_PRI_RAW, false, NULL);
	if (r->settings->n_resolvers || r->settings->n_gated ||
	    (!r->settings->dns_only && !r->has_egress))
		batch_add_chain(b, "postrouting", "filter",
				NF_INET_POST_ROUTING, PRIORITY_LAST, false,
				NULL);
	batch_add_chain(b, RULESET_DNS, "nat", NF_INET_LOCAL_OUT, PRIORITY_DNS,
			false, NULL);
	if (r->settings->dns_only)
		return;
	if (r->has_fib)
		batch_add_chain(b, RULESET_GUESTS, "nat", NF_INET_PRE_ROUTING,
				PRIORITY_DNS, false, NULL);
	batch_add_chain(b, "input", "filter", NF_INET_LOCAL_IN,
			NF_IP_PRI_FILTER, true, NULL);
	batch_add_chain(b, "forward", "filter", NF_INET_FORWARD,
			NF_IP_PRI_FILTER, true, NULL);
	batch_add_chain(b, "output", "filter", NF_INET_LOCAL_OUT,
			NF_IP_PRI_FILTER, true, NULL);
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
			     !chain_address_is(&resolver->a, self4);
		uint32_t size = (uint32_t)address_size(&resolver->a);

		if (!chain_is_loopback(&resolver->a) ||
		    chain_is_exempt(s, &resolver->a))
			continue;
		rule_begin(b, "loopback");
		chain_is_ours(b, s);
		chain_load_destination(b, family, 0);
		rule_compare(b, 0, NFT_CMP_EQ, resolver->a.bytes, size);
		rule_accept(b);
		for (size_t k = 0; k < (whole ? 1 : COUNT(chain_with_ports));
		     k++) {
			rule_begin(b, "loopback");
			chain_load_destination(b, family, 0);
			rule_compare(b, 0, NFT_CMP_EQ, resolver->a.bytes, size);
			if (!whole) {
				rule_l4proto(b, chain_with_ports[k]);
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

/* What is for us after its redirection: on its way to loopback, though the
 * hook still names the device that it was for. */
static void accept_redirected(struct batch *b, const char *chain, uint16_t to)
{
	static const uint8_t self4[] = {127, 0, 0, 1};
	static const uint8_t self6[16] = {[15] = 1};
	uint16_t port = htons(to);

	for (size_t f = 0; f < COUNT(chain_families); f++) {
		rule_begin(b, chain);
		rule_ct_status(b, IPS_DST_NAT);
		rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &port, sizeof(port));
		chain_load_destination(b, chain_families[f], 0);
		if (chain_is_v6(chain_families[f]))
			rule_compare(b, 0, NFT_CMP_EQ, self6, sizeof(self6));
		else
			rule_compare(b, 0, NFT_CMP_EQ, self4, sizeof(self4));
		rule_accept(b);
	}
}

/* TCP of ours to what the sets hold. */
static void accept_own_to(struct batch *b, const char *set4, const char *set6,
			  const struct filter_settings *s)
{
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		rule_begin(b, "output");
		chain_is_ours(b, s);
		rule_l4proto(b, IPPROTO_TCP);
		chain_is_peer(b, chain_families[f], false, set4, set6);
		rule_ct_state(b, NFT_STATE_NEW | NFT_STATE_ESTABLISHED);
		rule_set_ct_mark(b, RULESET_MARK_OURS);
		rule_accept(b);
	}
}

static void is_own_connection(struct batch *b)
{
	rule_begin(b, "output");
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
}

/*
 * In the gate's connections a raw socket may speak as well, and is not
 * answered: a reset would be theirs. What a closed socket of ours had still to
 * say has its mark, but no owner, so that the first rule does not match it.
 */
static void drop_forged(struct batch *b, const struct filter_settings *s)
{
	is_own_connection(b);
	rule_meta_is_not(b, NFT_META_SKUID, s->uid);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
	is_own_connection(b);
	rule_meta_is(b, NFT_META_MARK, s->mark);
	rule_accept(b);
	is_own_connection(b);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

/*
 * Our HTTP, and the gate's way on, are tracked, unlike our questions: their
 * connections have a mark of their own, which lets answers in, but nothing out
 * that is not ours, packet by packet. Those that are open outlive a change of
 * addresses, and the end of a lease.
 */
static void write_own_connections(struct batch *b,
				  const struct filter_settings *s)
{
	if (!s->mark)
		return;
	rule_begin(b, "output");
	chain_is_ours(b, s);
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_accept(b);
	accept_own_to(b, "peers4", "peers6", s);
	if (!s->n_gated)
		return;
	accept_own_to(b, lease_set_forms[GATED4].name,
		      lease_set_forms[GATED6].name, s);
	drop_forged(b, s);
}

static void write_hole(struct batch *b, const struct filter_settings *s)
{
	chain_write_rewritten(b, "output", s);
	for (size_t f = 0; s->n_resolvers && f < COUNT(chain_families); f++) {
		for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
			rule_begin(b, "output");
			chain_is_ours(b, s);
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], false);
			rule_accept(b);
		}
	}
}

static void write_output(struct batch *b, const struct ruleset *r)
{
	uint32_t local = RTN_LOCAL;

	chain_refuse_detours(b, "output", r->settings);
	rule_begin(b, "output");
	rule_meta_is(b, NFT_META_OIF, LOOPBACK_INDEX);
	rule_goto(b, "loopback");
	limits_write_marked(b, r, "output", IP_CT_DIR_ORIGINAL);
	chain_accept_marked(b, "output", r->generation, IP_CT_DIR_ORIGINAL);
	chain_accept_marked(b, "output", r->inbound_mark, IP_CT_DIR_REPLY);
	if (r->settings->audit)
		chain_accept_marked(b, "output", RULESET_MARK_AUDITED,
				    IP_CT_DIR_REPLY);
	if (r->has_fib)
		chain_accept_marked(b, "output", RULESET_MARK_GUESTS,
				    IP_CT_DIR_REPLY);
	accept_redirected(b, "output", r->settings->dns_port);
	if (r->settings->n_gated)
		accept_redirected(b, "output", r->settings->gate_port);
	hole_write_connections(b, r->settings);
	write_hole(b, r->settings);
	limits_write_ours_out(b, r);
	write_own_connections(b, r->settings);
	rule_begin(b, "output");
	rule_nfproto(b, NFPROTO_IPV6);
	rule_l4proto(b, IPPROTO_ICMPV6);
	rule_jump(b, "neighbours");
	chain_drop_invalid(b, "output", r->settings->audit);
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

/* A socket that is bound to a device (SO_BINDTODEVICE) has what is redirected
 * routed through that device after the redirection too; the hook before still
 * named the device of before. Where there are egress hooks, they do it. */
static void write_postrouting(struct batch *b)
{
	rule_begin(b, "postrouting");
	rule_ct_mark(b, RULESET_MARK_REDIRECTED);
	rule_meta_is_not(b, NFT_META_OIF, LOOPBACK_INDEX);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

/* For containers inside the sandbox and machines behind it. Port 53 does not
 * come here, but for IPv6, where it is refused. */
static void write_forward(struct batch *b, const struct ruleset *r)
{
	chain_refuse_detours(b, "forward", r->settings);
	/* Nobody is behind loopback: a frame that was forged there. */
	rule_begin(b, "forward");
	rule_meta_is(b, NFT_META_IIF, LOOPBACK_INDEX);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
	limits_write_marked(b, r, "forward", -1);
	rule_begin(b, "forward");
	rule_ct_mark(b, r->generation);
	rule_accept(b);
	rule_begin(b, "forward");
	rule_ct_mark(b, r->inbound_mark);
	rule_accept(b);
	if (r->settings->audit) {
		rule_begin(b, "forward");
		rule_ct_mark(b, RULESET_MARK_AUDITED);
		rule_accept(b);
	}
	chain_drop_invalid(b, "forward", r->settings->audit);
	chain_admit_inbound(b, "forward");
	rule_begin(b, "forward");
	rule_goto(b, "judge");
}

void chains_write_enforcement(struct batch *b, const struct ruleset *r)
{
	neighbours_write_out(b, "neighbours");
	write_loopback(b, r);
	chain_write_options(b);
	write_output(b, r);
	if (!r->has_egress)
		write_postrouting(b);
	chain_write_input(b, r);
	write_forward(b, r);
	if (r->has_fib)
		chain_write_guests(b, r->settings);
}
