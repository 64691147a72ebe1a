/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as its author wrote it: the default action and the rules in their
 * order. What the HTTP interface shows, patches and stores; policy.h has what
 * is compiled from it. Also linked into the nginx module.
 */
#ifndef EGRESS_POLICY_RULES_H
#define EGRESS_POLICY_RULES_H

#include "address.h"
#include "name.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_action {
	POLICY_DENY,
	POLICY_ALLOW,
};

/* "allow" or "deny". */
const char *policy_action_name(enum policy_action action);

enum target_kind {
	TARGET_NAME,  /* example.com: that name alone */
	TARGET_BELOW, /* *.example.com: any depth below, not itself */
	TARGET_ANY,   /* *: every name and every address */
	TARGET_RANGE, /* an address or a prefix */
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
		struct address_range range; /* TARGET_RANGE */
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

struct rules {
	enum policy_action default_action;
	struct hosts *hosts; /* NULL: none */
	struct rule *rule;
	size_t n_rules;
	bool given; /* false: made from an empty, null or {} policy */
	unsigned int references; /* rules_ref(), rules_free() */
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
	POLICY_WARNINGS_MAX = 32,       /* kept of one document */
	POLICY_HOSTS_MAX = 256,         /* names of one document */
	POLICY_HOST_ADDRESSES_MAX = 16, /* of one name */
	POLICY_NAME_PORTS_MAX = 64 /* ports a name's rule may list in all */
};

/*
 * Read a policy document: {"defaultAction":...,"egress":[...],"hosts":{...}}.
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

/* The document again as compact JSON, the caller's to free; keys as in the
 * contract, rules in the order they were given. *egress, which may be NULL, is
 * where the array of rules begins; it ends before the last byte. NULL when out
 * of memory. */
char *rules_to_text(const struct rules *rules, size_t *egress);
/* The same, read: a new reference. */
json_t *rules_to_json(const struct rules *rules);

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

/* An empty document, and one rule more at its end: for readers of other
 * formats (always-files, nginx blocks). target is copied. 0, -EINVAL with
 * err->message, -ENOMEM. */
int rules_new(struct rules **out, enum policy_action default_action);
int rules_append(struct rules *rules, enum policy_action action,
		 const char *target, struct policy_error *err);

/* The host of the name, or NULL; hosts may be NULL. O(log n). */
const struct host *hosts_find(const struct hosts *hosts,
			      const struct domain_name *name);
/* Is a one of its addresses? */
bool hosts_give(const struct hosts *hosts, const struct domain_name *name,
		const struct address *a);

/* One holder more; from then on nothing may be appended. */
struct rules *rules_ref(struct rules *rules);

/* Give up one's hold; the last holder frees. NULL is nothing. */
void rules_free(struct rules *rules);

#endif
