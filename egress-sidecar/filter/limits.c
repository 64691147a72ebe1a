/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a policy. What it lets out passes here before it is accepted:
 * the first packet of a connection when it is judged, each packet of both
 * directions where its mark is known. Without a limit there is nothing of this.
 *
 * As nft lists it, with all of them, beside what ruleset.c and chains.c have;
 * counters, chains and reasons of a limit have one name:
 *
 *   counter connections { packets 0 bytes 0 }         # and the other three
 *   quota all_bytes { over 1 gbytes used 0 bytes }
 *   set connections { type mark; size 1; flags dynamic; }
 *   chain admit {
 *     ct state new,related jump limit_new
 *     jump limit_bytes
 *     ct mark set GENERATION accept
 *   }
 *   chain output {
 *     ct mark GENERATION ct direction original jump limit_bytes
 *     ct mark GENERATION ct direction original accept
 *   }
 *   chain limit_new {
 *     add @connections { 1 ct count over 1000 } jump connections
 *     limit rate over 100/second burst 100 packets jump newConnectionsPerSecond
 *   }
 *   chain limit_bytes {
 *     limit rate over 100000 bytes/second burst 65536 bytes jump bytesPerSecond
 *     quota name "all_bytes" jump bytesTotal
 *   }
 *   chain connections {
 *     counter name "refused" counter name "connections"
 *     limit rate 1/second burst 1 packets log prefix "connections" group 1853
 *     iif != 0 drop
 *     meta l4proto tcp reject with tcp reset
 *     reject with icmpx admin-prohibited
 *   }
 *   chain bytesPerSecond { counter ... log ...; drop }
 *
 * Connections that the gate opens on the sandbox's behalf are ours by their
 * mark, as those to peers are, which are not the sandbox's:
 *
 *   chain limit_ours {
 *     ct reply ip saddr . ct reply proto-src @peers4 return
 *     ct direction original tcp flags & rst != 0 return
 *     ct state new,related ct mark != OURS jump limit_new
 *     jump limit_bytes
 *   }
 *
 * The quota stays, with what it has counted, once there was one, and so do the
 * connections that are counted while their limit has its number.
 */
#include "inner.h"

#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>

#define CONNECTIONS "connections"

enum {
	LOG_BYTES = 128,     /* of a packet: headers */
	BYTES_BURST = 65536, /* the longest packet, before it is cut up */
	TCP_FLAGS_OFFSET = 13,
	TCP_RST = 0x04
};

/* The last is for a gate alone. */
static const char *const chains[] = {"limit_new", "limit_bytes", "limit_ours"};

static bool has_gate(const struct filter_settings *s)
{
	return s->mark && s->n_gated;
}

static size_t n_chains(const struct filter_settings *s)
{
	return has_gate(s) ? COUNT(chains) : COUNT(chains) - 1;
}

/* Of a limit that the kernel enforces, those before LIMIT_DNS. */
static const char *name_of(int limit)
{
	return policy_limit_name((enum policy_limit)limit);
}

static bool limits_new(const struct policy_limits *l)
{
	return l->most[LIMIT_CONNECTIONS] || l->most[LIMIT_NEW_CONNECTIONS];
}

static bool limits_bytes(const struct policy_limits *l)
{
	return l->most[LIMIT_BYTES_PER_SECOND] || l->most[LIMIT_BYTES_TOTAL];
}

bool limits_any(const struct policy_limits *l)
{
	return limits_new(l) || limits_bytes(l);
}

void limits_delete(struct batch *b, const struct filter_settings *s,
		   const struct ruleset_shape *old,
		   const struct ruleset_shape *shape)
{
	uint64_t count = old->limits.most[LIMIT_CONNECTIONS];

	if (old->quota && old->quota != shape->quota)
		batch_delete_quota(b, RULESET_QUOTA);
	if (count && count != shape->limits.most[LIMIT_CONNECTIONS])
		batch_delete_set(b, CONNECTIONS);
	if (!limits_any(&old->limits))
		return;
	for (size_t i = 0; i < n_chains(s); i++)
		batch_delete_chain(b, chains[i]);
	for (int i = 0; i < LIMIT_DNS; i++) {
		batch_delete_chain(b, name_of(i));
		if (!limits_any(&shape->limits))
			batch_delete_counter(b, name_of(i));
	}
}

/* What stays from one policy to the next. */
static void write_state(struct batch *b, const struct ruleset *r,
			const struct ruleset_shape *old,
			const struct ruleset_shape *shape)
{
	static const struct ruleset_shape none;
	uint64_t count = shape->limits.most[LIMIT_CONNECTIONS];

	if (!old)
		old = &none;
	if (shape->quota && shape->quota != old->quota)
		batch_add_quota(b, RULESET_QUOTA, shape->quota,
				r->consumed < shape->quota ? r->consumed
							   : shape->quota);
	if (count && count != old->limits.most[LIMIT_CONNECTIONS])
		batch_add_set(b, CONNECTIONS, KEY_NUMBER, SET_DYNAMIC, 1);
	if (!limits_any(&shape->limits) || limits_any(&old->limits))
		return;
	for (int i = 0; i < LIMIT_DNS; i++)
		batch_add_counter(b, name_of(i));
}

/* An audit goes back to where the jump that led here was. */
static void write_refusal(struct batch *b, const struct filter_settings *s,
			  int limit)
{
	const char *name = name_of(limit);
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "%s%s", s->audit ? "audit " : "",
		 name);
	rule_begin(b, name);
	rule_count(b, RULESET_REFUSED);
	rule_count(b, name);
	rule_end(b);
	if (s->log_group) {
		rule_begin(b, name);
		rule_limit(b, 1, 1);
		rule_log(b, s->log_group, prefix, LOG_BYTES);
		rule_end(b);
	}
	if (!s->audit)
		chain_refuse(b, name,
			     s->drop || limit == LIMIT_BYTES_PER_SECOND);
}

static void write_new(struct batch *b, const struct policy_limits *l)
{
	uint64_t count = l->most[LIMIT_CONNECTIONS];
	uint64_t rate = l->most[LIMIT_NEW_CONNECTIONS];

	if (count) {
		rule_begin(b, "limit_new");
		rule_over_connections(b, CONNECTIONS, (uint32_t)count);
		rule_jump(b, name_of(LIMIT_CONNECTIONS));
	}
	if (rate) {
		rule_begin(b, "limit_new");
		rule_over_rate(b, rate, (uint32_t)rate, false);
		rule_jump(b, name_of(LIMIT_NEW_CONNECTIONS));
	}
}

static void write_bytes(struct batch *b, const struct policy_limits *l)
{
	uint64_t rate = l->most[LIMIT_BYTES_PER_SECOND];

	if (rate) {
		rule_begin(b, "limit_bytes");
		rule_over_rate(b, rate, BYTES_BURST, true);
		rule_jump(b, name_of(LIMIT_BYTES_PER_SECOND));
	}
	if (l->most[LIMIT_BYTES_TOTAL]) {
		rule_begin(b, "limit_bytes");
		rule_over_quota(b, RULESET_QUOTA);
		rule_jump(b, name_of(LIMIT_BYTES_TOTAL));
	}
}

/* A server is told of the end, whatever is used up: once. */
static void pass_reset(struct batch *b)
{
	static const uint8_t rst = TCP_RST, none;

	rule_begin(b, "limit_ours");
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_l4proto(b, IPPROTO_TCP);
	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET,
			  sizeof(rst), 0);
	rule_mask(b, 0, &rst, sizeof(rst));
	rule_compare(b, 0, NFT_CMP_NEQ, &none, sizeof(none));
	rule_return(b);
}

static void write_ours(struct batch *b, const struct policy_limits *l)
{
	static const uint32_t ours = RULESET_MARK_OURS;

	for (int v6 = 0; v6 < 2; v6++) {
		rule_begin(b, "limit_ours");
		rule_nfproto(b, chain_families[v6]);
		rule_load_ct(b, v6 ? NFT_CT_SRC_IP6 : NFT_CT_SRC_IP,
			     IP_CT_DIR_REPLY, 0);
		rule_load_ct(b, NFT_CT_PROTO_SRC, IP_CT_DIR_REPLY, v6 ? 4 : 1);
		rule_lookup(b, v6 ? "peers6" : "peers4", 0);
		rule_return(b);
	}
	pass_reset(b);
	if (limits_new(l)) {
		rule_begin(b, "limit_ours");
		rule_ct_state(b, NFT_STATE_NEW | NFT_STATE_RELATED);
		rule_load_ct(b, NFT_CT_MARK, -1, 0);
		rule_compare(b, 0, NFT_CMP_NEQ, &ours, sizeof(ours));
		rule_jump(b, "limit_new");
	}
	if (limits_bytes(l)) {
		rule_begin(b, "limit_ours");
		rule_jump(b, "limit_bytes");
	}
}

void limits_write(struct batch *b, const struct ruleset *r,
		  const struct ruleset_shape *old,
		  const struct ruleset_shape *shape)
{
	const struct policy_limits *l = policy_limits(r->policy);

	write_state(b, r, old, shape);
	if (!limits_any(l))
		return;
	for (size_t i = 0; i < n_chains(r->settings); i++)
		batch_add_chain(b, chains[i], NULL, -1, 0, false, NULL);
	for (int i = 0; i < LIMIT_DNS; i++) {
		batch_add_chain(b, name_of(i), NULL, -1, 0, false, NULL);
		write_refusal(b, r->settings, i);
	}
	write_new(b, l);
	write_bytes(b, l);
	if (has_gate(r->settings))
		write_ours(b, l);
}

void limits_write_admit(struct batch *b, const struct ruleset *r)
{
	const struct policy_limits *l = policy_limits(r->policy);

	if (limits_new(l)) {
		rule_begin(b, "admit");
		rule_ct_state(b, NFT_STATE_NEW | NFT_STATE_RELATED);
		rule_jump(b, "limit_new");
	}
	if (limits_bytes(l)) {
		rule_begin(b, "admit");
		rule_jump(b, "limit_bytes");
	}
}

void limits_write_marked(struct batch *b, const struct ruleset *r,
			 const char *chain, int direction)
{
	if (!limits_bytes(policy_limits(r->policy)))
		return;
	rule_begin(b, chain);
	rule_ct_mark(b, r->generation);
	if (direction >= 0)
		rule_ct_direction(b, (uint8_t)direction);
	rule_jump(b, "limit_bytes");
}

void limits_write_ours_out(struct batch *b, const struct ruleset *r)
{
	if (!has_gate(r->settings) || !limits_any(policy_limits(r->policy)))
		return;
	rule_begin(b, "output");
	chain_is_ours(b, r->settings);
	rule_l4proto(b, IPPROTO_TCP);
	rule_ct_direction(b, IP_CT_DIR_ORIGINAL);
	rule_jump(b, "limit_ours");
}

void limits_write_ours_in(struct batch *b, const struct ruleset *r)
{
	if (!has_gate(r->settings) || !limits_bytes(policy_limits(r->policy)))
		return;
	rule_begin(b, "input");
	rule_ct_mark(b, RULESET_MARK_OURS);
	rule_ct_direction(b, IP_CT_DIR_REPLY);
	rule_jump(b, "limit_ours");
}
