/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of "check" share. */
#ifndef EGRESS_CHECK_INNER_H
#define EGRESS_CHECK_INNER_H

#include "policy/policy.h"

enum {
	STATUS_VALID,
	STATUS_INVALID,
	STATUS_USAGE,
};

/* On standard output: the rules in the order of their decision and what the
 * kernel is to hold; a decision and the rule that made it, to the line's end;
 * ports, after a blank. */
void check_print_policy(const struct policy *policy);
void check_print_decision(const struct decision *d);
void check_print_span(const struct port_span *span);

/* Answer one query: STATUS_VALID, or STATUS_USAGE after saying why. */
int check_query(const struct policy *policy, const char *text);

#endif
