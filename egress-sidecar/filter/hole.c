/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guesses at the mark of our own sockets: packets to where it is good for
 * something that have another than none. Those that are few are judged as
 * without it. One too many puts a lock on the hole, in which the right mark
 * is worth no more than a wrong one: nothing of ours leaves by it either.
 *
 * As nft lists it, beside what chains.c has, IPv4 alone:
 *
 *   counter mark_guessed { packets 0 bytes 0 }
 *   set tried  { type mark; size 16; flags dynamic,timeout; }
 *   set locked { type mark; size 64; flags dynamic,timeout; }
 *   chain guess {
 *     1 @locked counter name "mark_guessed" counter name "refused" drop
 *     meta mark MARK return
 *     add @tried { meta mark timeout 30s } return       # while it has room
 *     add @locked { 1 timeout 30s } log prefix "mark_guessed" group 1853
 *     counter name "mark_guessed" counter name "refused" drop
 *   }
 *   chain guess_socket {                                # with a gate alone
 *     1 @locked ... drop
 *     socket mark MARK counter name "refused" drop
 *     add @tried { socket mark timeout 30s } return     # and as above
 *   }
 *   chain raw_output {
 *     meta mark 0 return
 *     tcp dport 443 jump guess                          # the gate's, of all
 *     ip daddr . udp dport @resolvers4 jump guess       # and TCP
 *   }
 *   chain output {
 *     ct mark OURS ct direction original meta mark != 0 jump guess
 *     meta mark != 0 ct mark != OURS ip daddr . tcp dport @peers4 jump guess
 *   }
 *   chain loopback_in {
 *     ct mark REDIRECTED ct direction reply ct original proto-dst 443
 *       socket mark != 0 jump guess_socket
 *   }
 *
 * Whatever tells our mark from others is behind one of these jumps, or it would
 * tell the sandbox: what a packet's mark does elsewhere (see also
 * hole_write_unmark()) it does for each mark.
 *
 * A lock that runs is not prolonged: of TRIES + 1 values in LOCK_S seconds each
 * is right with a chance of one in 2^32, so that half of them takes 120 years.
 * Both sets outlive a change of policy.
 */
#include "ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

enum {
	TRIES = 16, /* different ones, in LOCK_S seconds */
	LOCK_S = 30,
	/* An element that has ended takes its room for a while yet; a lock
	 * must not fail for that. */
	LOCKS = 64,
	LOG_BYTES = 128 /* of a packet: headers */
};

bool hole_is_watched(const struct filter_settings *s)
{
	return s->mark && !s->audit;
}

static bool any_hole(const struct filter_settings *s)
{
	return s->n_resolvers || s->n_gated;
}

void hole_add_base(struct batch *b, const struct filter_settings *s)
{
	if (any_hole(s))
		batch_add_chain(b, "unmark", NULL, -1, 0, false, NULL);
	if (!hole_is_watched(s))
		return;
	batch_add_counter(b, RULESET_GUESSED);
	batch_add_set(b, "tried", KEY_NUMBER, SET_DYNAMIC_TIMEOUT, TRIES);
	batch_add_set(b, "locked", KEY_NUMBER, SET_DYNAMIC_TIMEOUT, LOCKS);
	batch_add_chain(b, "guess", NULL, -1, 0, false, NULL);
	if (s->n_gated)
		batch_add_chain(b, "guess_socket", NULL, -1, 0, false, NULL);
}

static void count_and_drop(struct batch *b)
{
	rule_count(b, RULESET_GUESSED);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

static void load_mark(struct batch *b, bool socket)
{
	if (socket)
		rule_load_socket_mark(b, 0);
	else
		rule_load_meta(b, NFT_META_MARK, 0);
}

static void write_chain(struct batch *b, const struct filter_settings *s,
			const char *chain, bool socket)
{
	static const uint32_t key = 1;

	rule_begin(b, chain);
	rule_load_data(b, 0, &key, sizeof(key));
	rule_lookup(b, "locked", 0);
	count_and_drop(b);
	rule_begin(b, chain);
	load_mark(b, socket);
	rule_compare(b, 0, NFT_CMP_EQ, &s->mark, sizeof(s->mark));
	if (socket) {
		rule_count(b, RULESET_REFUSED);
		rule_drop(b);
	} else {
		rule_return(b);
	}
	rule_begin(b, chain);
	load_mark(b, socket);
	rule_add_element(b, "tried", 0, LOCK_S);
	rule_return(b);
	rule_begin(b, chain);
	rule_load_data(b, 0, &key, sizeof(key));
	rule_add_element(b, "locked", 0, LOCK_S);
	if (s->log_group)
		rule_log(b, s->log_group, RULESET_GUESSED, LOG_BYTES);
	rule_end(b);
	rule_begin(b, chain);
	count_and_drop(b);
}

void hole_write(struct batch *b, const struct filter_settings *s)
{
	if (!hole_is_watched(s))
		return;
	write_chain(b, s, "guess", false);
	if (s->n_gated)
		write_chain(b, s, "guess_socket", true);
}

void hole_write_resolvers(struct batch *b, const char *chain,
			  const struct filter_settings *s)
{
	if (!hole_is_watched(s))
		return;
	for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
		for (size_t f = 0; f < COUNT(chain_families); f++) {
			rule_begin(b, chain);
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], false);
			rule_jump(b, "guess");
		}
		for (size_t k = 0; k < s->n_rewritten; k++) {
			rule_begin(b, chain);
			rule_l4proto(b, chain_with_ports[i]);
			rule_destination_port(b, s->rewritten[k]);
			rule_jump(b, "guess");
		}
	}
}

void hole_write_gated(struct batch *b, const char *chain,
		      const struct filter_settings *s)
{
	for (size_t i = 0; hole_is_watched(s) && i < s->n_gated; i++) {
		rule_begin(b, chain);
		rule_l4proto(b, IPPROTO_TCP);
		rule_destination_port(b, s->gated[i]);
		rule_jump(b, "guess");
	}
}

void hole_write_connections(struct batch *b, const struct filter_settings *s)
{
	static const uint32_t ours = RULESET_MARK_OURS;

	if (!hole_is_watched(s))
		return;
	rule_begin(b, "output");
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_meta_is_not(b, NFT_META_MARK, 0);
	rule_jump(b, "guess");
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		rule_begin(b, "output");
		rule_meta_is_not(b, NFT_META_MARK, 0);
		rule_load_ct(b, NFT_CT_MARK, -1, 0);
		rule_compare(b, 0, NFT_CMP_NEQ, &ours, sizeof(ours));
		rule_l4proto(b, IPPROTO_TCP);
		chain_is_peer(b, chain_families[f], false, "peers4", "peers6");
		rule_jump(b, "guess");
	}
}

void hole_write_socket(struct batch *b, const struct filter_settings *s)
{
	static const uint32_t none;

	for (size_t i = 0; i < s->n_gated; i++) {
		uint16_t port = htons(s->gated[i]);

		rule_begin(b, "loopback_in");
		rule_ct_mark(b, RULESET_MARK_REDIRECTED);
		rule_ct_direction(b, IP_CT_DIR_REPLY);
		rule_l4proto(b, IPPROTO_TCP);
		rule_load_ct(b, NFT_CT_PROTO_DST, IP_CT_DIR_ORIGINAL, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &port, sizeof(port));
		rule_load_socket_mark(b, 0);
		if (hole_is_watched(s)) {
			rule_compare(b, 0, NFT_CMP_NEQ, &none, sizeof(none));
			rule_jump(b, "guess_socket");
			continue;
		}
		rule_compare(b, 0, NFT_CMP_EQ, &s->mark, sizeof(s->mark));
		rule_count(b, RULESET_REFUSED);
		rule_drop(b);
	}
}

static void is_ours(struct batch *b, const struct filter_settings *s)
{
	rule_begin(b, "unmark");
	rule_meta_is(b, NFT_META_MARK, s->mark);
}

static void unmark(struct batch *b)
{
	rule_set_meta_mark(b, 0);
	rule_end(b);
}

/* By whom it was for before any translation. */
static void unmark_tracked(struct batch *b, const struct filter_settings *s)
{
	is_ours(b, s);
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	unmark(b);
	for (size_t i = 0; i < s->n_gated; i++) {
		uint16_t port = htons(s->gated[i]);

		is_ours(b, s);
		rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
		rule_l4proto(b, IPPROTO_TCP);
		rule_load_ct(b, NFT_CT_PROTO_DST, IP_CT_DIR_ORIGINAL, 0);
		rule_compare(b, 0, NFT_CMP_EQ, &port, sizeof(port));
		unmark(b);
	}
	for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
		for (int v6 = 0; s->n_resolvers && v6 < 2; v6++) {
			is_ours(b, s);
			rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
			rule_l4proto(b, chain_with_ports[i]);
			rule_nfproto(b, chain_families[v6]);
			rule_load_ct(b, v6 ? NFT_CT_DST_IP6 : NFT_CT_DST_IP,
				     IP_CT_DIR_ORIGINAL, 0);
			rule_load_ct(b, NFT_CT_PROTO_DST, IP_CT_DIR_ORIGINAL,
				     v6 ? 4 : 1);
			rule_lookup(b, v6 ? "resolvers6" : "resolvers4", 0);
			unmark(b);
		}
	}
}

/*
 * The mark has done its work; who captures packets (SO_RCVMARK) need not see
 * it. But where it leads nowhere it stays, like any other: whoever sees it
 * taken off, over loopback, say, has guessed it.
 */
void hole_write_unmark(struct batch *b, const struct filter_settings *s)
{
	if (!any_hole(s))
		return;
	rule_begin(b, "postrouting");
	rule_meta_is_not(b, NFT_META_MARK, 0);
	rule_jump(b, "unmark");
	if (!hole_is_watched(s) || s->dns_only) {
		is_ours(b, s);
		unmark(b);
		return;
	}
	unmark_tracked(b, s);
	for (size_t i = 0; i < COUNT(chain_with_ports); i++) {
		for (size_t f = 0; s->n_resolvers && f < COUNT(chain_families);
		     f++) {
			is_ours(b, s);
			rule_l4proto(b, chain_with_ports[i]);
			chain_is_resolver(b, chain_families[f], false);
			unmark(b);
		}
	}
}
