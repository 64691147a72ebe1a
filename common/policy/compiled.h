/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a compiled policy holds. Nobody outside this folder includes it.
 */
#ifndef EGRESS_POLICY_COMPILED_H
#define EGRESS_POLICY_COMPILED_H

#include "policy.h"

#define RANK_NONE UINT32_MAX

enum rule_source {
	SOURCE_DENY_ALWAYS,
	SOURCE_ALLOW_ALWAYS,
	SOURCE_POLICY,
	SOURCES,
};

/* A rule in its place of decision. The rule lives in its source's list, to
 * which the policy holds a reference. */
struct ranked {
	const struct rule *rule;
	uint32_t next; /* the next rank of the same name, while rules of
			  limited ports leave room for one; else RANK_NONE */
	enum rule_source source;
	int index; /* in the source's list */
};

/* The first ranks of the rules for a name and for what is below it. Empty
 * slots have neither. */
struct name_slot {
	uint64_t hash;
	uint32_t exact;
	uint32_t below;
};

/* Open addressing, at most half full. */
struct name_index {
	struct name_slot *slot;
	size_t mask;
};

/* Addresses of one family, as numbers, between which no rule starts or ends:
 * the same rules hold for them all. ports are ranks of limited rules that come
 * before plain, the first rule for every port (or RANK_NONE: the default). */
typedef unsigned __int128 address_number;

struct segment {
	address_number first, last;
	uint32_t plain;
	uint32_t ports; /* place in struct flat's rank list */
	uint32_t n_ports;
	uint32_t table; /* meaningful with n_ports */
};

struct flat {
	struct segment *segment[2]; /* IPv4, IPv6: ascending */
	size_t n_segments[2];
	uint32_t *rank;
	size_t n_ranks;
	struct port_table *table;
	size_t n_tables;
	struct policy_range *range;
	size_t n_ranges;
};

/* The names above those that rules allow, as a set of their hashes: what two
 * names share by chance, once in 2^64, makes an NXDOMAIN an empty answer. */
struct ancestors {
	uint64_t *slot;
	size_t mask;
	bool any; /* is there one at all? */
};

/*
 * A rule that allows a name holds, in its rank, for an address that the
 * policy's hosts give the name. So the kernel lets it in with the ranges of
 * the address rules: from the moment the policy is applied, and no longer.
 */
struct pin {
	uint32_t rank;
	struct address_range range; /* of one address */
};

struct policy {
	unsigned int references;
	struct rules *source[SOURCES]; /* NULL: none */
	struct rules *log_skip;        /* NULL: none */
	enum policy_action default_action;
	struct ranked *ranked;
	uint32_t n_ranked;
	bool has_ports;
	struct pin *pin;
	size_t n_pins;
	/* with has_ports; written also where the policy is read */
	struct port_memo *memo;

	struct name_index names;
	struct ancestors ancestors;
	uint32_t any;      /* the first rank of "*" */
	uint32_t any_name; /* the first of those that decide a name */

	struct ranked *log_skipped;
	struct name_index log_skip_names;
	bool log_skip_all;

	struct flat flat;
};

/* Enter the rule of this rank; ranks come in descending order. */
void name_index_add(struct name_index *index, struct ranked *ranked,
		    uint32_t rank);
int name_index_make(struct name_index *index, size_t n_rules);

/* The slots' ranks that match a name: that of the name itself and those of
 * every wildcard above it. Returns how many, at most NAME_RANKS_MAX; *hash is
 * domain_name_hash(). */
size_t name_index_find(const struct name_index *index,
		       const struct ranked *ranked,
		       const struct domain_name *name,
		       uint32_t rank[NAME_RANKS_MAX], uint64_t *hash);

/* 0 or -ENOMEM; *set is zeroed before, its slots are the caller's to free. */
int ancestors_make(struct ancestors *set, const struct ranked *ranked,
		   uint32_t n_ranked);

/* Fill policy->pin; the names are indexed. 0, -ENOMEM, -E2BIG: too many. */
int pins_make(struct policy *policy);

/* Fill policy->flat from policy->ranked and policy->pin. 0, -ENOMEM, -E2BIG. */
int flat_make(struct policy *policy);
void flat_free(struct flat *flat);

/* The segment that holds a, or NULL. */
const struct segment *flat_find(const struct flat *flat,
				const struct address *a);

address_number address_to_number(const struct address *a);
void address_from_number(struct address *a, uint8_t family,
			 address_number number);

/*
 * The verdicts of limited rules, given by ascending rank, as one table, shared
 * with an equal one made before. 0 with *table, -ENOMEM.
 */
int port_table_intern(struct flat *flat, const struct ranked *ranked,
		      const uint32_t *ranks, size_t n,
		      enum policy_action otherwise, uint32_t *table);

/* The decision of the rule of this rank; RANK_NONE: the default action. */
void policy_decide(const struct policy *policy, uint32_t rank,
		   struct decision *out);

/* 0 or -ENOMEM; the caller frees *out. */
int port_memo_new(struct port_memo **out);

/* Does a limited rule hold for the port? */
bool rule_holds_port(const struct rule *rule, uint8_t protocol, uint16_t port);

#endif
