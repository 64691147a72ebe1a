/* SPDX-License-Identifier: Apache-2.0 */
/* What learned rules are to allow: names, all below a name, addresses. */
#ifndef EGRESS_LEARN_TARGET_H
#define EGRESS_LEARN_TARGET_H

#include "traffic.h"

#include <jansson.h>

/* A port of a protocol that was contacted. */
struct use {
	uint8_t protocol;
	uint16_t port; /* host order, 0: none */
};

struct target {
	struct domain_name name; /* len 0: an address */
	bool below;              /* everything below the name, not itself */
	struct address a;
	struct use *use; /* owned; ascending, each once */
	size_t n_uses;
};

/* Names in canonical order, then addresses. */
struct targets {
	struct target *at; /* owned */
	size_t n;
	size_t room; /* for as many */
};

/* Put one behind the last, and a use into the last. 0 or -ENOMEM. */
int targets_add(struct targets *targets, const struct domain_name *name,
		const struct address *a);
int targets_use(struct targets *targets, const struct use *use);
void targets_free(struct targets *targets);

/*
 * Let "*.parent" stand for the names below a parent where there are at least
 * `least` of them; the deepest parents first. A parent has two labels or more
 * and lies at or below the registrable domain (Public Suffix List) of each
 * name that it stands for. 0, -ENOMEM, or -ENOENT where the system has no
 * Public Suffix List; then nothing is changed.
 */
int targets_fold(struct targets *targets, size_t least);

/*
 * Append the target's rules to the array, with the ports it was seen to use
 * or without; priority is given to each where it is not NULL. *dropped_ports
 * counts targets whose ports a rule cannot list (other protocols than TCP and
 * UDP, or too many). 0 or -ENOMEM.
 */
int target_rules(json_t *array, const struct target *target, bool ports,
		 const int *priority, size_t *dropped_ports);

#endif
