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
 *   chain raw_output {
 *     meta mark 0 return
 *     ip daddr . udp dport @resolvers4 jump guess       # and TCP
 *   }
 *   chain dns {
 *     meta mark != 0 ip daddr . tcp dport @gated4 jump guess
 *   }
 *   chain output {
 *     ct mark OURS ct direction original meta mark != 0 jump guess
 *     meta mark != 0 ct mark != OURS ip daddr . tcp dport @peers4 jump guess
 *   }                                                   # and @gated4
 *
 * A lock that runs is not prolonged: of TRIES + 1 values in LOCK_S seconds each
 * is right with a chance of one in 2^32, so that half of them takes 120 years.
 * Both sets outlive a change of policy.
 */
#include "ruleset.h"

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

void hole_add_base(struct batch *b, const struct filter_settings *s)
{
	if (!hole_is_watched(s))
		return;
	batch_add_counter(b, RULESET_GUESSED);
	batch_add_set(b, "tried", KEY_NUMBER, SET_DYNAMIC_TIMEOUT, TRIES);
	batch_add_set(b, "locked", KEY_NUMBER, SET_DYNAMIC_TIMEOUT, LOCKS);
	batch_add_chain(b, "guess", NULL, -1, 0, false, NULL);
}

static void count_and_drop(struct batch *b)
{
	rule_count(b, RULESET_GUESSED);
	rule_count(b, RULESET_REFUSED);
	rule_drop(b);
}

void hole_write(struct batch *b, const struct filter_settings *s)
{
	static const uint32_t key = 1;

	if (!hole_is_watched(s))
		return;
	rule_begin(b, "guess");
	rule_load_data(b, 0, &key, sizeof(key));
	rule_lookup(b, "locked", 0);
	count_and_drop(b);
	rule_begin(b, "guess");
	rule_meta_is(b, NFT_META_MARK, s->mark);
	rule_return(b);
	rule_begin(b, "guess");
	rule_load_meta(b, NFT_META_MARK, 0);
	rule_add_element(b, "tried", 0, LOCK_S);
	rule_return(b);
	rule_begin(b, "guess");
	rule_load_data(b, 0, &key, sizeof(key));
	rule_add_element(b, "locked", 0, LOCK_S);
	if (s->log_group)
		rule_log(b, s->log_group, RULESET_GUESSED, LOG_BYTES);
	rule_end(b);
	rule_begin(b, "guess");
	count_and_drop(b);
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

static void is_marked(struct batch *b, const char *chain)
{
	rule_begin(b, chain);
	rule_meta_is_not(b, NFT_META_MARK, 0);
}

static void to_set(struct batch *b, uint8_t family, const char *set4,
		   const char *set6)
{
	rule_l4proto(b, IPPROTO_TCP);
	chain_is_peer(b, family, false, set4, set6);
	rule_jump(b, "guess");
}

void hole_write_gated(struct batch *b, const char *chain,
		      const struct filter_settings *s)
{
	if (!hole_is_watched(s) || !s->n_gated)
		return;
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		is_marked(b, chain);
		to_set(b, chain_families[f], lease_set_forms[GATED4].name,
		       lease_set_forms[GATED6].name);
	}
}

static void is_not_own_connection(struct batch *b)
{
	static const uint32_t ours = RULESET_MARK_OURS;

	is_marked(b, "output");
	rule_load_ct(b, NFT_CT_MARK, -1, 0);
	rule_compare(b, 0, NFT_CMP_NEQ, &ours, sizeof(ours));
}

void hole_write_connections(struct batch *b, const struct filter_settings *s)
{
	if (!hole_is_watched(s))
		return;
	rule_begin(b, "output");
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_meta_is_not(b, NFT_META_MARK, 0);
	rule_jump(b, "guess");
	for (size_t f = 0; f < COUNT(chain_families); f++) {
		is_not_own_connection(b);
		to_set(b, chain_families[f], "peers4", "peers6");
		if (!s->n_gated)
			continue;
		is_not_own_connection(b);
		to_set(b, chain_families[f], lease_set_forms[GATED4].name,
		       lease_set_forms[GATED6].name);
	}
}
