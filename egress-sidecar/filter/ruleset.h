/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel must hold for one sandbox, written into a batch. Pure.
 */
#ifndef EGRESS_FILTER_RULESET_H
#define EGRESS_FILTER_RULESET_H

#include "batch.h"
#include "elements.h"
#include "filter.h"
#include "held.h"
#include "marks.h"

#define RULESET_TABLE   "opensandbox"
#define RULESET_REFUSED "refused" /* counter of refused packets */
#define RULESET_DNS     "dns"     /* chain of the redirection */
#define RULESET_GUESTS  "guests"  /* the same for what is forwarded */

/* Sets of learned addresses, by what their keys are. */
enum learned_set {
	LEARNED4,
	LEARNED6,
	LEARNED4_PORTS,
	LEARNED6_PORTS,
	LEARNED_SETS
};

/* Different lists of ports that addresses were learned with. A set of ports
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

struct learned_set_form {
	const char *name;       /* learned: new connections, with an end */
	const char *grace_name; /* ended leases: open connections alone */
	enum set_key key;
};
extern const struct learned_set_form learned_sets[LEARNED_SETS];

/* What is there of optional parts, to be taken away by the next ruleset. */
struct ruleset_shape {
	bool name_ports;
	size_t n_port_tables;
};

struct ruleset {
	const struct filter_settings *settings;
	const struct policy *policy;
	uint32_t generation;   /* conntrack mark of what was let out */
	uint32_t inbound_mark; /* conntrack mark of what was let in */
	bool has_fib;
	/* Whose ranges the kernel's maps hold, to be changed to the policy's;
	 * NULL: the maps are written anew. */
	const struct policy *ranges_of;
	const struct address_range *onlink; /* prefixes of our neighbours */
	size_t n_onlink;
	const struct address *own6; /* the namespace's own */
	size_t n_own6;
	/* LEARNED_SETS of each; anew where there was no such set, and where
	 * there is to be none. */
	const struct set_change *learned, *grace;
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

/* The rules of lists of ports from number first on, for what is learned. */
void ruleset_write_lists(struct batch *b, const struct port_lists *lists,
			 size_t first);

/* Bring the sets of those whom we reach ourselves up to date. */
void ruleset_write_peers(struct batch *b, const struct ruleset *r);

/* Bring the sets that name our neighbours up to date. */
void ruleset_write_neighbours(struct batch *b, const struct ruleset *r);

/* The netdev table of the egress hooks: frames that did not come through the
 * IP stack stay. devices ends with NULL; none: no table. */
void egress_hook_write(struct batch *b, const char **devices);

#endif
