/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled policy: always-rules and a document in the order of their
 * decision, with an index for names and flattened ranges for addresses.
 * Immutable once made; holders count references (one thread, no atomics).
 *
 * First match wins over names and addresses alike. A rule's rank is its place
 * in that order; the default action ranks behind every rule.
 */
#ifndef EGRESS_POLICY_POLICY_H
#define EGRESS_POLICY_POLICY_H

#include "always.h"
#include "rules.h"

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
	/* The first rules of the name and of each wildcard above it, by rank.
	 */
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

/* The same for a name that was looked up in this policy. */
enum admission policy_admit(const struct policy *policy,
			    const struct name_match *match,
			    const struct address *a, bool private_ok,
			    struct admitted_ports *ports);

const char *admission_name(enum admission admission);

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
