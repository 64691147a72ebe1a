/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: how text becomes rules, and what a
 * compiled policy holds.
 */
#ifndef COMMON_POLICY_INNER_H
#define COMMON_POLICY_INNER_H

#include "policy.h"

enum {
	POLICY_WARNINGS_MAX = 32, /* kept of one document */
	POLICY_HOSTS_MAX = 256,   /* names of one document */
};

/* address.c */

/* The bits that first and last begin with alike: the length of a prefix. */
unsigned int address_range_bits(const struct address_range *r);

/* Write a range that is an address or a prefix as text that can be read again
 * into out, ADDRESS_RANGE_TEXT_MAX bytes; returns out. */
char *address_range_to_text(const struct address_range *r, char *out);

/* nat64.c */

size_t nat64_count(void);

/* The IPv4 address inside. 1; 0: a is below no prefix; -EINVAL: it is, and its
 * bits 64 to 71 are not zero. */
int nat64_inside(const struct address *a, uint8_t inet[4]);

/* Prefix i's addresses that have one of the IPv4 prefix range inside. */
void nat64_range(size_t i, const struct address_range *range,
		 struct address_range *out);

/* name.c */

/* An order for searching. <0, 0, >0. */
int domain_name_compare(const struct domain_name *a,
			const struct domain_name *b);

/* The hash of a label (its length octet first) put before a suffix with the
 * hash given; the root's is 0. Folded over a name's labels from the right it
 * is domain_name_hash(), and the hash of every suffix on the way. */
uint64_t domain_name_hash_label(uint64_t suffix, const uint8_t *label);

/* error.c */

/* Fill err and return -EINVAL. Control characters, which a caller's values may
 * hold, become '?', so that the message stays one line. err may be NULL. */
int policy_error_set(struct policy_error *err, int index, const char *format,
		     ...) __attribute__((format(printf, 3, 4)));

/* A value for an error message: a string as itself, the rest by its type. */
const char *policy_json_shown(const json_t *json);

/* lenient.c */

/* Note in rules what was taken in another sense than it was written. What does
 * not fit, or finds no memory, is left out. */
void rules_warn(struct rules *rules, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Read an action: 1 where there is none (absent, null, ""), *action is
 * then untouched. 0, -EINVAL. */
int action_from_json(enum policy_action *action, const json_t *json);

/* A key of object that is none of those known: where it looks like one of them
 * mistyped, -EINVAL with err, else a warning in list for each. where is put
 * before the key. */
int unknown_keys(json_t *object, const char *const *known, struct rules *list,
		 int index, const char *where, struct policy_error *err);

/* target.c */

/* Which names a target matches. */
enum target_names {
	NAMES_NONE,
	NAMES_ONE,   /* rule->name */
	NAMES_BELOW, /* any depth below rule->name */
	NAMES_ALL,
};

/* All that is known of a kind of target. */
struct target_row {
	/* Is the text of this kind? Rows are asked in their order. */
	bool (*is)(const char *text);
	/* As rule_read_target(), of such a text, kind aside. */
	int (*read)(struct rule *rule, const char *text, const char **why);
	enum target_names names;
	/* The family's addresses that the target matches; false: none. NULL:
	 * it is about names alone. */
	bool (*range)(const struct rule *rule, uint8_t family,
		      struct address_range *range);
	const char *words; /* before its name or range */
};

extern const struct target_row target_rows[];

static inline enum target_names rule_names(const struct rule *rule)
{
	return target_rows[rule->kind].names;
}

static inline bool rule_has_name(const struct rule *rule)
{
	return rule_names(rule) == NAMES_ONE || rule_names(rule) == NAMES_BELOW;
}

static inline bool rule_range(const struct rule *rule, uint8_t family,
			      struct address_range *range)
{
	const struct target_row *row = &target_rows[rule->kind];

	return row->range && row->range(rule, family, range);
}

/* Around a target or an action they mean nothing. */
#define POLICY_BLANKS " \t\r\n\v\f"

/* Read a target, without blanks around it, into kind, name and range, which
 * hold nothing before. 0; 1 where a range's host bits were set, and are not
 * now; -EINVAL with *why, or -ENOMEM. */
int rule_read_target(struct rule *rule, const char *text, const char **why);

/* An order of targets for sorting and searching; 0 for the same name, wildcard
 * or range, however spelled. */
int rule_compare_target(const struct rule *a, const struct rule *b);

/* ports.c */

/*
 * Read "ports" and "protocol" (each NULL or JSON null where absent) into
 * rule->ports: sorted by protocol and port, overlaps merged. What a rule for
 * names may not have is refused here as well, so kind and action must be set.
 * 0, -EINVAL with *key, the key at fault, and *why, or -ENOMEM.
 */
int rule_read_ports(struct rule *rule, const json_t *ports,
		    const json_t *protocol, const char **key, const char **why);

/* rules.c */

/* Copy both texts into the rule. 0 or -ENOMEM. */
int rule_keep_text(struct rule *rule, const char *target, size_t target_len,
		   const char *json, size_t json_len);

/* Put rule at the end; takes over what it holds, on success alone. 0 or
 * -ENOMEM. */
int rules_push(struct rules *rules, const struct rule *rule);

/* Put a copy of rule at the end, so that both lists are freed on their own.
 * 0 or -ENOMEM. */
int rules_push_copy(struct rules *rules, const struct rule *rule);

void rule_clear(struct rule *rule);

/* One holder more; from then on nothing may be appended. */
struct rules *rules_ref(struct rules *rules);

/* document.c */

/* Read text as JSON, refusing NUL, duplicate keys and more than
 * POLICY_BODY_MAX bytes. White space alone gives *out NULL and 0. */
int policy_json_load(json_t **out, const char *text, size_t len,
		     struct policy_error *err);

/* Read the rule that stands at index of the array called array; err and the
 * warnings, which go to list, name both. 0, -EINVAL, -ENOMEM; on error rule
 * holds nothing. */
int rule_from_json(struct rule *rule, json_t *json, struct rules *list,
		   const char *array, size_t index, struct policy_error *err);

/* plain.c */

/* Read a document in its plain form. *out as rules_from_text(). 0,
 * -ENOMEM, or -EOPNOTSUPP: it is not plain, or is wrong. */
int rules_from_plain(struct rules **out, const char *text, size_t len,
		     size_t max_rules);

/* hosts.c */

/* Read "hosts", an object of arrays of addresses by name; *out is NULL where
 * there are none. The caller holds one reference. 0, -EINVAL with err, which
 * names the entry, -ENOMEM. */
int hosts_from_json(struct hosts **out, json_t *json, struct policy_error *err);

/* One holder more, and one less; NULL is nothing. */
struct hosts *hosts_ref(struct hosts *hosts);
void hosts_unref(struct hosts *hosts);

/* The host of the name, or NULL; hosts may be NULL. O(log n). */
const struct host *hosts_find(const struct hosts *hosts,
			      const struct domain_name *name);

/* limits.c */

enum {
	LIMITS_TEXT_MAX = 256
};

/* Read "limits" into rules, whose warnings name what it says in vain. 0 or
 * -EINVAL with err, which names the key. */
int limits_from_json(struct rules *rules, json_t *json,
		     struct policy_error *err);

/* The object again, compact; "" where there is none. Returns its length. */
size_t limits_to_text(const struct policy_limits *from,
		      char out[LIMITS_TEXT_MAX]);

/* always.c */

/* Read one file's text into rules of one action. err->message names the line.
 * 0, -EINVAL, -ENOMEM. Pure: also a fuzzer's target. */
int always_from_text(struct rules **out, const char *text, size_t len,
		     enum policy_action action, struct policy_error *err);

/* What a compiled policy holds */

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

/* name_index.c */

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

/* ancestors.c */

/* 0 or -ENOMEM; *set is zeroed before, its slots are the caller's to free. */
int ancestors_make(struct ancestors *set, const struct ranked *ranked,
		   uint32_t n_ranked);

/* pins.c */

/* Fill policy->pin; the names are indexed. 0, -ENOMEM, -E2BIG: too many. */
int pins_make(struct policy *policy);

/* flat.c */

/* Fill policy->flat from policy->ranked and policy->pin. 0, -ENOMEM, -E2BIG. */
int flat_make(struct policy *policy);
void flat_free(struct flat *flat);

/* The segment that holds a, or NULL. */
const struct segment *flat_find(const struct flat *flat,
				const struct address *a);

address_number address_to_number(const struct address *a);
void address_from_number(struct address *a, uint8_t family,
			 address_number number);

/* port_table.c */

/*
 * The verdicts of limited rules, given by ascending rank, as one table, shared
 * with an equal one made before. 0 with *table, -ENOMEM.
 */
int port_table_intern(struct flat *flat, const struct ranked *ranked,
		      const uint32_t *ranks, size_t n,
		      enum policy_action otherwise, uint32_t *table);

/* Does a limited rule hold for the port? */
bool rule_holds_port(const struct rule *rule, uint8_t protocol, uint16_t port);

/* policy.c */

/* The decision of the rule of this rank; RANK_NONE: the default action. */
void policy_decide(const struct policy *policy, uint32_t rank,
		   struct decision *out);

/* admission.c */

/* 0 or -ENOMEM; the caller frees *out. */
int port_memo_new(struct port_memo **out);

/* For tests. */
const char *admission_name(enum admission admission);

#endif
