/* SPDX-License-Identifier: Apache-2.0 */
/* From what was seen to the policy that lets it pass, and nothing else. */
#ifndef EGRESS_LEARN_SUGGEST_H
#define EGRESS_LEARN_SUGGEST_H

#include "life/life.h"
#include "policy/policy.h"
#include "traffic.h"

#include <stdio.h>

struct suggest_settings {
	const struct settings *settings;   /* private_ok, DoH list, max_rules */
	const struct rules *start;         /* kept; what it denies stays so */
	const struct always_rules *always; /* NULL: none */
	bool ports;                        /* only the ports that were used */
	bool asked;       /* names that were asked and never contacted, too */
	size_t wildcards; /* names below a parent that become one, 0: never */
};

/*
 * The start's rules with those behind them that the traffic needs. What is
 * left out is listed on report, as comments, with the reason: addresses that
 * are not public, what a rule denies, names that were asked alone.
 * 0 and a new reference, -ENOMEM, or -E2BIG of policy_compile().
 */
int suggest(json_t **document, const struct traffic *traffic,
	    const struct suggest_settings *settings, FILE *report);

#endif
