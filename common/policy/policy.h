/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy language: addresses and names as values, documents of rules, and
 * the compiled policy with its matcher. Readers, up to limits.c, are also built
 * into the nginx module.
 *
 * First match wins over names and addresses alike. A rule's rank is its place
 * in the order of decision; the default action ranks behind every rule.
 */
#ifndef COMMON_POLICY_H
#define COMMON_POLICY_H

#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* address.c: IP addresses and prefixes as values */

/* An IPv4 or IPv6 address. family is AF_INET or AF_INET6; bytes are in network
 * order, an IPv4 address in the first four, the rest zero. IPv4-mapped IPv6
 * addresses are never stored as such: address_from_* turn them into IPv4. */
struct address {
	uint8_t family;
	uint8_t bytes[16];
};

/* The addresses from first to last, both included, of one family. */
struct address_range {
	struct address first;
	struct address last;
};

#define ADDRESS_TEXT_MAX       46 /* INET6_ADDRSTRLEN, the end's NUL included */
#define ADDRESS_RANGE_TEXT_MAX (2 * ADDRESS_TEXT_MAX + 2)

/* Bytes of the family's addresses: 4 or 16. */
size_t address_size(const struct address *a);

/* Read the text of one address, without zone or prefix. 0 or -EINVAL. */
int address_from_text(struct address *a, const char *text);

/* Take len (4 or 16) bytes in network order. 0 or -EINVAL. */
int address_from_bytes(struct address *a, const void *bytes, size_t len);

/* Write the canonical text (RFC 5952) into out, ADDRESS_TEXT_MAX bytes;
 * returns out. */
char *address_to_text(const struct address *a, char *out);

/* Order within a family; IPv4 sorts before IPv6. <0, 0, >0. */
int address_compare(const struct address *a, const struct address *b);

/* Read "ADDRESS" or "ADDRESS/BITS". 0; 1 where host bits are set below the
 * prefix: *r is the prefix without them; or -EINVAL. Other than with 0, *why is
 * a constant that says what is wrong. */
int address_range_from_text(struct address_range *r, const char *text,
			    const char **why);

/* Write "FIRST - LAST", or one address alone, into out, ADDRESS_RANGE_TEXT_MAX
 * bytes; returns out. */
char *address_range_ends(const struct address_range *r, char *out);

bool address_range_holds(const struct address_range *r,
			 const struct address *a);

/* address_kind.c: what kind of place an address is */

/* What an address is good for as the answer to a name (RFC 6890, RFC 4291,
 * the clouds' documentation for the metadata services). */
enum address_kind {
	ADDRESS_PUBLIC,
	ADDRESS_PRIVATE, /* RFC 1918, RFC 6598 (100.64/10), RFC 2544
			    (198.18/15), RFC 4193, ... */
	ADDRESS_LOOPBACK,
	ADDRESS_LINK_LOCAL,
	ADDRESS_MULTICAST,   /* and broadcast */
	ADDRESS_UNSPECIFIED, /* 0.0.0.0/8 and :: */
	ADDRESS_METADATA,    /* cloud metadata services outside 169.254/16:
				100.100.100.200, fd00:ec2::254, ... */
	ADDRESS_RESERVED,    /* 240/4, 192.0.0/24, ... */
};

/* An address below one of the operator's NAT64 prefixes (nat64_set()) is of
 * the kind of the address inside. Another that embeds IPv4 (NAT64
 * 64:ff9b::/96, 6to4, Teredo's server) is of the worse of its own kind and its
 * inner address's kind, since that is where a packet to it may end. */
enum address_kind address_kind(const struct address *a);

const char *address_kind_name(enum address_kind kind);

/*
 * nat64.c: the operator's NAT64 prefixes (RFC 6052). What a packet to an IPv6
 * address below one of them reaches is the IPv4 address inside, so that is what
 * is judged. Set once, before policies are compiled; the whole process has one
 * network.
 */

enum {
	NAT64_MAX = 8
};

/* Is it a prefix of RFC 6052, 2.2: of 32, 40, 48, 56, 64 or 96 bits, the bits
 * 64 to 71 zero? NULL, or a constant that says what is wrong. */
const char *nat64_check(const struct address_range *prefix);

/* These n prefixes, copied, in place of those before. -EINVAL where one is
 * none, or two overlap, -E2BIG over NAT64_MAX; then nothing changes. */
int nat64_set(const struct address_range *prefixes, size_t n);

/*
 * name.c: domain names in wire form (RFC 1035, 3.1), lower case: what policies
 * match and caches key on, so that no spelling of a name is judged twice.
 */

#define DOMAIN_NAME_MAX   255
#define DOMAIN_LABELS_MAX 127
/* "\255" for each octet in the worst case, dots and the NUL. */
#define DOMAIN_NAME_TEXT_MAX 1024

/* Labels with their length octets, ASCII letters folded to lower case, the
 * root label's zero included. len is at least 1 (the root alone). */
struct domain_name {
	uint8_t len;
	uint8_t wire[DOMAIN_NAME_MAX];
};

/* Read a host name as a policy or a user writes it: labels of 1 to 63 of
 * [A-Za-z0-9_-] (A-labels for internationalised names), an optional trailing
 * dot. 0 or -EINVAL, and then *why is a constant that says what is wrong. */
int domain_name_from_text(struct domain_name *name, const char *text,
			  const char **why);

/* Take an uncompressed wire-form name of at most len bytes; any octet may
 * stand in a label. Returns the bytes it took, or -EINVAL. */
int domain_name_from_wire(struct domain_name *name, const uint8_t *wire,
			  size_t len);

/* Presentation form without the trailing dot ("." for the root); octets other
 * than [a-z0-9_-] as \DDD (RFC 4343, 2.1). Returns out, which holds
 * DOMAIN_NAME_TEXT_MAX bytes. */
char *domain_name_to_text(const struct domain_name *name, char *out);

/* Copy n octets, ASCII letters folded to lower case (RFC 4343); from and to
 * are the same or do not overlap. */
void domain_octets_fold(uint8_t *to, const uint8_t *from, size_t n);

/* A copy for keeping, the caller's to free: it has the name's len bytes and no
 * more, so that it is read through its pointer, never copied whole. NULL when
 * out of memory. */
struct domain_name *domain_name_copy(const struct domain_name *name);

/* Is the last label digits and hyphens alone, or does it begin with "0x"? No
 * top-level domain does (RFC 3696, 2), while resolvers' and browsers' readers
 * of host names take such a name for an IPv4 address in another notation (URL
 * standard, "ends in a number"; inet_aton(3)): as a rule's target it is a
 * mistyped address or range. */
bool domain_name_ends_in_number(const struct domain_name *name);

bool domain_name_equal(const struct domain_name *a,
		       const struct domain_name *b);

/* 64-bit keyed hash of the wire form; the key is drawn at program start, so
 * that a hostile client cannot choose names that collide. */
uint64_t domain_name_hash(const struct domain_name *name);

/* Where in name->wire each label starts; returns how many there are, the
 * root's not counted. */
size_t domain_name_labels(const struct domain_name *name,
			  uint8_t offset[DOMAIN_LABELS_MAX]);

/*
 * rules.c: a policy as its author wrote it, a default action and the rules in
 * their order. What the HTTP interface shows, patches and stores.
 */

enum policy_action {
	POLICY_DENY,
	POLICY_ALLOW,
};

/* "allow" or "deny". */
const char *policy_action_name(enum policy_action action);

/* A row of target.c each. */
enum target_kind {
	TARGET_ANY,   /* *: every name and every address */
	TARGET_RANGE, /* an address or a prefix */
	TARGET_BELOW, /* *.example.com: any depth below, not itself */
	TARGET_NAME,  /* example.com: that name alone */
};

/* Ports first to last of protocol IPPROTO_TCP or IPPROTO_UDP; 0 to 65535
 * where the rule names a protocol without ports. */
struct port_span {
	uint8_t protocol;
	uint16_t first;
	uint16_t last;
};

struct rule {
	enum policy_action action;
	enum target_kind kind;
	char *target; /* as written, blanks aside; owns json's bytes too */
	union {
		/* TARGET_NAME, TARGET_BELOW; owned; has its len bytes of the
		 * wire form and no more */
		const struct domain_name *name;
		struct address_range range; /* TARGET_RANGE; else zero */
	};
	int priority;
	bool has_priority;
	struct port_span *ports; /* none: every port of every protocol */
	size_t n_ports;
	char *json; /* what is in force of it, compact, for showing it again */
};

/* Addresses that the sandbox's hosts file gives a name. */
struct host {
	struct domain_name *name; /* owned; as rule.name */
	struct address *a;        /* each once */
	size_t n;
};

struct hosts {
	unsigned int references;
	struct host *host; /* in an order for searching */
	size_t n;
	char *json; /* the object, compact, for showing it again */
};

/* How much of what the rules let out: a row of limits.c each. */
enum policy_limit {
	LIMIT_CONNECTIONS,      /* open at the same time */
	LIMIT_NEW_CONNECTIONS,  /* a second */
	LIMIT_BYTES_PER_SECOND, /* both ways */
	LIMIT_BYTES_TOTAL,      /* both ways */
	LIMIT_DNS,              /* questions a second; those before it are for
				   the kernel to enforce */
	POLICY_LIMITS
};

struct policy_limits {
	uint64_t most[POLICY_LIMITS]; /* 0: no limit */
};

struct rules {
	enum policy_action default_action;
	struct hosts *hosts; /* NULL: none */
	struct policy_limits limits;
	struct rule *rule;
	size_t n_rules;
	bool given; /* false: made from an empty, null or {} policy */
	unsigned int references; /* rules_free() gives one up */
	json_t *warnings; /* sentences, or NULL: what was taken in another
			     sense than written */
	size_t n_warnings;
};

/* What was wrong with an input, and where. index is the rule's place in the
 * array, -1 where the fault is not in a rule. */
struct policy_error {
	int index;
	char message[240];
};

enum {
	POLICY_BODY_MAX = 1 << 20,      /* bytes of a policy document */
	POLICY_HOST_ADDRESSES_MAX = 16, /* that "hosts" give one name */
	POLICY_NAME_PORTS_MAX = 64 /* ports a name's rule may list in all */
};

/* target.c: what a rule's target is, in words, into out, TARGET_WORDS_MAX
 * bytes; returns out. */
#define TARGET_WORDS_MAX (DOMAIN_NAME_TEXT_MAX + 32)
char *rule_target_words(const struct rule *rule, char *out);

/* An empty document. 0 or -ENOMEM. */
int rules_new(struct rules **out, enum policy_action default_action);

/* Give up one's hold; the last holder frees. NULL is nothing. */
void rules_free(struct rules *rules);

/* The document again as compact JSON, the caller's to free; keys as in the
 * contract, rules in the order they were given. *egress, which may be NULL, is
 * where the array of rules begins; it ends before the last byte. NULL when out
 * of memory. */
char *rules_to_text(const struct rules *rules, size_t *egress);
/* The same, read: a new reference. */
json_t *rules_to_json(const struct rules *rules);

/* document.c */

/*
 * Read a policy document: {"defaultAction":...,"egress":[...],"hosts":{...},
 * "limits":{...}}.
 * Empty text, null and {} are deny-all. What is out of form is an error; err
 * then names the rule and the fault. Unknown keys that do not look like known
 * ones, a rule without an action (deny) or, where it lists ports, without a
 * target ("*"), and host bits below a prefix are noted in the list's warnings.
 * max_rules 0 is no cap. The caller owns *out and frees it with rules_free().
 * 0, -EINVAL, -E2BIG (over max_rules, or text over POLICY_BODY_MAX), -ENOMEM.
 */
int rules_from_text(struct rules **out, const char *text, size_t len,
		    size_t max_rules, struct policy_error *err);
int rules_from_json(struct rules **out, const json_t *document,
		    size_t max_rules, struct policy_error *err);

/* One rule more at the end, for readers of other formats (always-files, nginx
 * blocks). target is copied. 0, -EINVAL with err->message, -ENOMEM. */
int rules_append(struct rules *rules, enum policy_action action,
		 const char *target, struct policy_error *err);

/* patch.c */

/*
 * A new document with the array of rules in text put before those of old:
 * within the array the first of a target (case-insensitive, trailing dot
 * aside) wins, and old rules of the same targets go. Addresses are compared as
 * such, so that 10.0.0.1 replaces 10.0.0.1/32.
 *
 * Priorities stay what they are: a rule without one takes its new place in the
 * array for it, one with a priority keeps that number. So a rule put in front
 * without a priority decides after an old one whose priority is negative, and
 * old rules without a priority move behind those that have one when others are
 * put before them. Whoever gives priorities gives them to every rule.
 *
 * Errors as rules_from_text(); old is left alone.
 */
int rules_patched(struct rules **out, const struct rules *old, const char *text,
		  size_t len, size_t max_rules, struct policy_error *err);

/* A new document without the rules whose targets the JSON array of strings in
 * text lists; *removed counts them. */
int rules_without(struct rules **out, const struct rules *old, const char *text,
		  size_t len, size_t *removed, struct policy_error *err);

/* hosts.c */

/* Is a one of the addresses that hosts, which may be NULL, give the name?
 * O(log n). */
bool hosts_give(const struct hosts *hosts, const struct domain_name *name,
		const struct address *a);

/* limits.c */

/* The key in "limits", which is also what a refusal for it gives as reason. */
const char *policy_limit_name(enum policy_limit limit);

/*
 * always.c: the rules that precede every policy, deny.always and allow.always,
 * and log_skip.always, which silences log lines. One target a line; '#' starts
 * a comment; blank lines do not count.
 */

struct always_rules {
	struct rules *deny;
	struct rules *allow;
	struct rules *log_skip;
};

/* Read the three files of folder; an absent file or folder is an empty one.
 * On error nothing is kept and err->message names file and line.
 * 0, -EINVAL, -ENOMEM, or what open and read said. */
int always_load(struct always_rules **out, const char *folder,
		struct policy_error *err);

void always_free(struct always_rules *always);

/*
 * compile.c, policy.c, admission.c: the compiled policy, which is always-rules
 * and a document in the order of their decision, with an index for names and
 * flattened ranges for addresses. Immutable once made; holders count references
 * (one thread, no atomics).
 */

struct policy;

/* Which rule decided. */
struct decision {
	enum policy_action action;
	uint32_t rank;
	const struct rule *rule; /* NULL: the default action */
	const char *source;      /* "policy", "deny.always", "allow.always",
				    "default" */
	int index; /* the rule's place in its source's list, -1: default */
};

/* What the kernel must hold for addresses that no name led to: disjoint,
 * ascending ranges, IPv4 before IPv6, that leave to the default action what
 * they do not cover. Neighbours with the same verdict are merged. */
enum range_verdict {
	RANGE_DENY,
	RANGE_ALLOW,
	RANGE_PORTS, /* decided by protocol and port: port_table[table] */
};

struct policy_range {
	struct address_range range;
	enum range_verdict verdict;
	uint32_t table;
};

/* Disjoint, ascending spans of one table; a port in none of them falls to
 * the table's otherwise. */
struct port_verdict {
	struct port_span span;
	enum policy_action action;
};

struct port_table {
	struct port_verdict *spans;
	size_t n_spans;
	enum policy_action otherwise;
};

/* May an address that a name's answer holds be admitted? */
enum admission {
	ADMIT,          /* any protocol and port */
	ADMIT_PORTS,    /* the listed ports only */
	REFUSE_KIND,    /* loopback, link-local, metadata, ...: never */
	REFUSE_PRIVATE, /* private, and no address rule allows it */
	REFUSE_RULE,    /* an address rule of an earlier rank denies it */
	REFUSE_NAME,    /* the name itself is denied */
};

struct admitted_ports {
	struct port_span span[POLICY_NAME_PORTS_MAX * 2];
	size_t n;
};

/* Compile; the policy holds rules, and the lists of always, by references of
 * its own, so that the caller may free both. always may be NULL.
 * 0, -ENOMEM, or -E2BIG where rules of many ports overlap in more ways than
 * the kernel should be asked to hold. The caller holds one reference. */
int policy_compile(struct policy **out, const struct rules *rules,
		   const struct always_rules *always);

struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);

/* The document that it was compiled from; lives as long as the policy. */
const struct rules *policy_rules(const struct policy *policy);

/* The limits of the document; live as long as the policy. */
const struct policy_limits *policy_limits(const struct policy *policy);

/* What the policy's hosts give the name, or NULL. */
const struct host *policy_host(const struct policy *policy,
			       const struct domain_name *name);

/* The first rule that matches the name. A name whose first match allows only
 * some ports is allowed; a "*" that denies only some ports is passed over.
 * O(labels), no allocation. */
void policy_match_name(const struct policy *policy,
		       const struct domain_name *name, struct decision *out);

/* The first rule that matches the name and, where it lists ports, the port.
 * Address rules have a say as well, but which addresses the name leads to is
 * not known here: policy_admission(). */
void policy_match_name_port(const struct policy *policy,
			    const struct domain_name *name, uint8_t protocol,
			    uint16_t port, struct decision *out);

/*
 * All that one look-up of a name finds, for whatever hangs on it: the caller
 * hashes a name once. Holds as long as the policy.
 */
#define NAME_RANKS_MAX (DOMAIN_LABELS_MAX + 1)
struct name_match {
	const struct domain_name *name; /* that was looked up, borrowed */
	struct decision decision;       /* as policy_match_name() */
	uint64_t hash;                  /* domain_name_hash() of the name */
	/* the first rules of the name and of each wildcard above it */
	size_t n;
	uint32_t rank[NAME_RANKS_MAX];
};
void policy_look_up(const struct policy *policy, const struct domain_name *name,
		    struct name_match *out);

/* Does a name that was looked up and is denied lie above one that a rule allows
 * ("test" and "b.test" above "a.b.test" and "*.b.test")? Then it exists, and to
 * say that it does not would deny the allowed one to whoever knows that nothing
 * is below what does not exist (RFC 8020). Not where a rule denies this very
 * name. O(1). */
bool policy_leads_to_allowed(const struct policy *policy,
			     const struct name_match *match);

/* The rule of this rank; false behind the last. */
bool policy_ranked(const struct policy *policy, uint32_t rank,
		   struct decision *out);

/* The first address rule that matches, among them the rules of the names that
 * the policy's hosts lead there. protocol 0: only rules without ports
 * count, and those with ports are passed over. O(log ranges). */
void policy_match_address(const struct policy *policy, const struct address *a,
			  uint8_t protocol, uint16_t port,
			  struct decision *out);

/*
 * May address a, to which the question name led, be admitted? private_ok is
 * OPENSANDBOX_EGRESS_PRIVATE_ANSWERS=allow; an address that the policy's hosts
 * give the name was written by its author and needs neither. ports is filled
 * for ADMIT_PORTS. Under a default of allow the same holds: what is refused is
 * cut from the answer.
 *
 * For each protocol and port the first rule in rank order that matches the
 * name, or the address, and the port decides; a private address is moreover
 * admitted only where the first rule that matches the address ("*" is one)
 * allows it. Where protocols other than TCP and UDP, or some ports, are left
 * out, the answer is ADMIT_PORTS; spans for which *ports has no room are left
 * out as well.
 */
enum admission policy_admission(const struct policy *policy,
				const struct domain_name *name,
				const struct address *a, bool private_ok,
				struct admitted_ports *ports);

/* Does it admit that port of the protocol? */
bool policy_admits_port(const struct policy *policy,
			const struct domain_name *name, const struct address *a,
			bool private_ok, uint8_t protocol, uint16_t port);

/* policy_admission() for a name that was looked up in this policy. */
enum admission policy_admit(const struct policy *policy,
			    const struct name_match *match,
			    const struct address *a, bool private_ok,
			    struct admitted_ports *ports);

/* The kernel's side; the arrays live as long as the policy. */
enum policy_action policy_default(const struct policy *policy);
const struct policy_range *policy_ranges(const struct policy *policy,
					 size_t *n);
const struct port_table *policy_port_tables(const struct policy *policy,
					    size_t *n);
/* May policy_admission() say ADMIT_PORTS? Does any rule list ports? */
bool policy_has_name_ports(const struct policy *policy);

/* Is the log silenced for this name, or for packets to or from this address
 * (log_skip.always)? */
bool policy_log_skips(const struct policy *policy,
		      const struct domain_name *name);
bool policy_log_skips_address(const struct policy *policy,
			      const struct address *a);

#endif
