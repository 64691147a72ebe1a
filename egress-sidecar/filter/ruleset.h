/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel must hold for one sandbox, written into a batch. Pure.
 */
#ifndef EGRESS_FILTER_RULESET_H
#define EGRESS_FILTER_RULESET_H

#include "batch.h"
#include "filter.h"

#include <linux/netfilter.h>

/*
 * marks.c: conntrack marks. Generations have the top bit clear; connections
 * that were let in have it set, and so have those of DNS that was redirected to
 * us, here or on its way through, and of connections that we opened ourselves.
 * None is 0, which a connection has that nobody judged. Pure.
 */

#define RULESET_MARK_INBOUND    0x80000000U /* this bit */
#define RULESET_MARK_REDIRECTED 0x80000001U
#define RULESET_MARK_OURS       0x80000002U /* filter_let_out(), the gate */
#define RULESET_MARK_GUESTS     0x80000003U /* of machines behind us */
#define RULESET_MARK_AUDITED    0x80000004U /* let in by an audit alone */

/* The mark of connections that settings with this hash let in: never one of the
 * above, never a generation. */
uint32_t mark_inbound(uint32_t hash);

/* Any number as a generation. */
uint32_t mark_generation(uint32_t number);

/* The generation that follows. *again: they begin anew with it, and what
 * carries the mark of one may be older than this process remembers. */
uint32_t mark_next(uint32_t generation, bool *again);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ruleset.c */

#define RULESET_TABLE   "opensandbox"
#define RULESET_REFUSED "refused"      /* counter of refused packets */
#define RULESET_GUESSED "mark_guessed" /* the same, of hole.c */
#define RULESET_QUOTA   "all_bytes"    /* of limits.c */
#define RULESET_DNS     "dns"          /* chain of the redirection */
#define RULESET_GUESTS  "guests"       /* the same for what is forwarded */

/* Sets of leased addresses, by what their keys are; and what the gate stands
 * in front of, for as long as a lease is good for that port. */
enum lease_set {
	LEASES4,
	LEASES6,
	LEASES4_PORTS,
	LEASES6_PORTS,
	GATED4,
	GATED6,
	LEASE_SETS
};

/* Different lists of ports that addresses were leased with. A set of ports
 * holds one element for an address and a list's number, however long the list
 * is; rules have the ports. */
enum {
	PORT_LISTS_MAX = 4096
};

/* A number keeps its ports while the sets are kept. */
struct port_lists {
	struct admitted_ports *at; /* owned; of no ports: not in use */
	size_t n, size;
	size_t unused;
};

struct lease_set_form {
	const char *name;       /* leased: new connections, with an end */
	const char *grace_name; /* ended leases: open connections alone.
				   NULL: there are none */
	enum set_key key;
};
extern const struct lease_set_form lease_set_forms[LEASE_SETS];

/* What is there of optional parts, to be taken away by the next ruleset. */
struct ruleset_shape {
	bool name_ports, gate;
	size_t n_port_tables;
	struct policy_limits limits;
	uint64_t quota; /* bytes of it, 0: there is none */
};

struct ruleset {
	const struct filter_settings *settings;
	const struct policy *policy;
	uint32_t generation;   /* conntrack mark of what was let out */
	uint32_t inbound_mark; /* conntrack mark of what was let in */
	bool has_fib;
	bool has_egress; /* there is egress_hook_write() as well */
	/* Whose ranges the kernel's maps hold, to be changed to the policy's;
	 * NULL: the maps are written anew. */
	const struct policy *ranges_of;
	const struct address_range *onlink; /* prefixes of our neighbours */
	size_t n_onlink;
	const struct address *own6; /* the namespace's own */
	size_t n_own6;
	/* LEASE_SETS of each; anew where there was no such set, and where
	 * there is to be none. */
	const struct set_change *leased, *grace;
	uint64_t quota;    /* that there is, for a policy without one; or 0 */
	uint64_t consumed; /* of it, if it is made anew */
	const struct port_lists *lists;  /* that they number */
	const struct filter_peer *peers; /* whom we reach ourselves */
	size_t n_peers;
};

/* Does the mode and policy need it? */
struct ruleset_shape ruleset_shape(const struct ruleset *r);

/* Replace the rules and sets of the table. old NULL: replace the table, and
 * whatever it holds. */
void ruleset_write(struct batch *b, const struct ruleset *r,
		   const struct ruleset_shape *old);

/* The rules of lists of ports from number first on, for what is admitted. */
void ruleset_write_lists(struct batch *b, const struct port_lists *lists,
			 size_t first);

/*
 * ranges.c: a policy's address rules in the kernel: a verdict map of disjoint
 * ranges for each family. Many ranges take the kernel longer than all else, so
 * that a map is changed rather than written anew where the next policy has most
 * of it. Pure.
 */

enum {
	PORTS_CHAIN_NAME = 32
};

/* The chain of a port table; out has PORTS_CHAIN_NAME bytes and is returned. */
const char *ports_chain(char *out, size_t table);

/* Have both policies most of their ranges in common, and as many port tables?
 * What is in those may differ: their chains are written each time. */
bool ranges_near(const struct policy *from, const struct policy *to);

/* Fill the maps "ranges4" and "ranges6". from NULL: they are empty; else they
 * hold its ranges, and what is not to's is taken out of them. */
void ranges_write(struct batch *b, const struct policy *from,
		  const struct policy *to);

/*
 * chains.c: the chains at the hooks: which packets are judged at all, and which
 * have been. The only place that knows where in the network stack we stand.
 */

enum {
	PORT_DNS = 53,
	PORT_HTTPS = 443
};

/* nf_tables' names for the bits of "ct state": NF_CT_STATE_BIT() and
 * NF_CT_STATE_INVALID_BIT of the kernel's headers. */
enum {
	NFT_STATE_INVALID = 1,
	NFT_STATE_ESTABLISHED = 2,
	NFT_STATE_RELATED = 4,
	NFT_STATE_NEW = 8,
	NFT_STATE_UNTRACKED = 64
};

/* Base chains; they stay from one policy to the next. */
void chains_add_base(struct batch *b, const struct ruleset *r);

/* Rules that bring the sandbox's DNS to us, and ours to the resolvers. */
void chains_write_dns(struct batch *b, const struct ruleset *r);

/* Rules of the chains that enforce; they end in judge, admit_in or
 * refuse_in. */
void chains_write_enforcement(struct batch *b, const struct ruleset *r);

enum {
	LOOPBACK_INDEX = 1 /* of "lo", in every namespace */
};

/* chains_match.c */

extern const uint8_t chain_with_ports[2]; /* protocols */
extern const uint8_t chain_families[2];   /* NFPROTO_ */

bool chain_is_v6(uint8_t family);
/* Load an address of the IP header, from the 32-bit register first on. */
void chain_load_source(struct batch *b, uint8_t family, uint32_t first);
void chain_load_destination(struct batch *b, uint8_t family, uint32_t first);
/* address . port (of the transport header) is an element of the set */
void chain_is_peer(struct batch *b, uint8_t family, bool source,
		   const char *set4, const char *set6);
void chain_is_resolver(struct batch *b, uint8_t family, bool source);
/* A packet of our own resolver sockets: their mark, which is random, and their
 * owner. */
void chain_is_ours(struct batch *b, const struct filter_settings *s);
/* The rules that end a chain of what is refused: at once, or without a word. */
void chain_refuse(struct batch *b, const char *chain, bool drop);
bool chain_address_is(const struct address *a, const uint8_t *bytes);
bool chain_is_loopback(const struct address *a);
bool chain_is_exempt(const struct filter_settings *s, const struct address *a);
void chain_accept_marked(struct batch *b, const char *chain, uint32_t mark,
			 uint8_t direction);
void chain_drop_invalid(struct batch *b, const char *chain, bool audit);
/* The chain of IP options and routing headers, and the way there. */
void chain_write_options(struct batch *b);
void chain_refuse_detours(struct batch *b, const char *chain,
			  const struct filter_settings *s);

/* hole.c: guesses at our mark */

/* Is there a mark to be guessed? Where nothing is refused it opens nothing. */
bool hole_is_watched(const struct filter_settings *s);
/* What stays from one policy to the next. */
void hole_add_base(struct batch *b, const struct filter_settings *s);
/* The chains that the following jump to, and that come back with what may go on
 * to be judged. */
void hole_write(struct batch *b, const struct filter_settings *s);
/* To resolvers, and the ports that take their place; of what has a mark. */
void hole_write_resolvers(struct batch *b, const char *chain,
			  const struct filter_settings *s);
/* To the gate's ports; of what has a mark, before conntrack: each packet. */
void hole_write_gated(struct batch *b, const char *chain,
		      const struct filter_settings *s);
/* In our connections, and to where we open them; of chain output, before
 * whatever tells our mark from others. */
void hole_write_connections(struct batch *b, const struct filter_settings *s);
/* Refuse what the gate says to a socket of its own over loopback. */
void hole_write_socket(struct batch *b, const struct filter_settings *s);
/* Of chain postrouting: what leaves by the hole has no mark any more. */
void hole_write_unmark(struct batch *b, const struct filter_settings *s);

/* limits.c */

/* Is there one that the kernel is to enforce? */
bool limits_any(const struct policy_limits *l);
/* Make what shape needs and old, NULL: nothing, has not; delete what shape has
 * not. The rules are gone by then. */
void limits_write(struct batch *b, const struct ruleset *r,
		  const struct ruleset_shape *old,
		  const struct ruleset_shape *shape);
void limits_delete(struct batch *b, const struct filter_settings *s,
		   const struct ruleset_shape *old,
		   const struct ruleset_shape *shape);
/* The way there: from chain admit, before it accepts; from where packets of a
 * judged connection are accepted (direction -1: either one); from where our own
 * connections are. */
void limits_write_admit(struct batch *b, const struct ruleset *r);
void limits_write_marked(struct batch *b, const struct ruleset *r,
			 const char *chain, int direction);
void limits_write_ours_out(struct batch *b, const struct ruleset *r);
void limits_write_ours_in(struct batch *b, const struct ruleset *r);

/* chains_dns.c; chains_write_dns() as well */

void chain_write_rewritten(struct batch *b, const char *chain,
			   const struct filter_settings *s);
void chain_write_guests(struct batch *b, const struct filter_settings *s);

/* chains_input.c */

/* Whoever may open connections inward is let in. */
void chain_admit_inbound(struct batch *b, const char *chain);
void chain_write_input(struct batch *b, const struct ruleset *r);

/*
 * neighbours.c: neighbour discovery and multicast listener discovery, without
 * which IPv6 does not work: RFC 4861, RFC 2710, RFC 3810.
 */

/* Rules of chain, for ICMPv6 alone, that accept what may leave: to neighbours
 * (set onlink6), in the form that the kernel's own has, at its rate, and of no
 * other groups than those of set groups6. Any user may join a group of any name
 * (IPV6_JOIN_GROUP, ipv6(7)), and its name is then told to all neighbours. */
void neighbours_write_out(struct batch *b, const char *chain);
/* Rules of chain that accept what may come in. */
void neighbours_write_in(struct batch *b, const char *chain);

/* sets.c */

/* The sets, whom we reach, for every mode, and the leases. */
void sets_add(struct batch *b, const struct ruleset *r);
/* What the others hold where a policy is enforced, but for ranges_write(). */
void sets_add_enforcement(struct batch *b, const struct ruleset *r);
/* Delete those of the last ruleset, which had shape old, that this has anew. */
void sets_delete(struct batch *b, const struct ruleset *r,
		 const struct ruleset_shape *old);

/* Bring the sets of those whom we reach ourselves up to date. */
void sets_write_peers(struct batch *b, const struct ruleset *r);

/* Bring the sets that name our neighbours up to date. */
void sets_write_neighbours(struct batch *b, const struct ruleset *r);

/* egress_hook.c */

/* The netdev table of the egress hooks: frames that did not come through the
 * IP stack stay. devices ends with NULL; none: no table. */
void egress_hook_write(struct batch *b, const char **devices);

#endif
