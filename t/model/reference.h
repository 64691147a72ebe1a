/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy means, so plain that it can be read at one sitting: rules in a
 * row, the first that matches wins. The compiled policy and the kernel's
 * ruleset are held against it.
 */
#ifndef MODEL_REFERENCE_H
#define MODEL_REFERENCE_H

#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	MODEL_RULES_MAX = 10,
	MODEL_ALWAYS_MAX = 3, /* in each of the two files */
	MODEL_PORTS_MAX = 3,
	/* ports from here on fare alike, but for the last */
	MODEL_PORTS_ALIKE = 24
};

/* A rule as the reference sees it: text for names, bytes for addresses. */
struct model_rule {
	bool allow;
	char target[64];
	bool is_address;
	struct address base;
	unsigned int bits;
	bool has_priority;
	int priority;
	bool limited;
	bool tcp, udp;
	size_t n_ports; /* with limited: none are all of the protocols' */
	struct {
		unsigned int first, last;
	} port[MODEL_PORTS_MAX];
	const char *source; /* as struct decision names it */
	int index;
};

/* Rules in the order of their decision; those of always-files come first. */
struct model {
	bool allow; /* by default */
	struct model_rule rule[MODEL_RULES_MAX + 2 * MODEL_ALWAYS_MAX];
	size_t n, n_always;
};

/* The first rule that matches the name or the address, either of which may be
 * NULL, and the port; NULL: the default. protocol is IPPROTO_*, 0 for a
 * question about every one of them. */
const struct model_rule *model_first(const struct model *m, const char *name,
				     const struct address *a, int protocol,
				     unsigned int port);

/* The rule that says whether a name may be looked up. */
const struct model_rule *model_first_name(const struct model *m,
					  const char *name);

/* Is a name that is denied above one that a rule allows, and denied by no rule
 * of its very own? Then it exists, without records. */
bool model_exists(const struct model *m, const char *name);

/* What the rule, or the default, says. */
bool model_allows(const struct model *m, const struct model_rule *r);

/* Does the name's leading to the address let out packets to it? anywhere: the
 * address is public, or private ones are as good. */
bool model_admits(const struct model *m, const char *name,
		  const struct address *a, bool anywhere, int protocol,
		  unsigned int port);

/*
 * What of it the kernel is told: everything, or ports of TCP and UDP. Other
 * protocols are let out with everything alone.
 */
struct model_ports {
	bool all; /* other protocols too */
	bool tcp[MODEL_PORTS_ALIKE + 1];
	bool udp[MODEL_PORTS_ALIKE + 1];
};

void model_hold(struct model_ports *out, const struct model *m,
		const char *name, const struct address *a, bool anywhere);
bool model_holds(const struct model_ports *ports, int protocol,
		 unsigned int port);

#endif
