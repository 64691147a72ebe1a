/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of "check" share. */
#ifndef EGRESS_CHECK_INNER_H
#define EGRESS_CHECK_INNER_H

#include "life/life.h"
#include "policy/policy.h"

enum {
	STATUS_VALID,
	STATUS_INVALID,
	STATUS_USAGE,
};

/* The gate that queries speak of. */
struct check_gate {
	uint16_t port[GATE_PORTS_MAX]; /* host order */
	size_t n;
};

/* On standard output: the rules in the order of their decision and what the
 * kernel is to hold; a decision and the rule that made it, to the line's end;
 * ports, after a blank. */
void check_print_policy(const struct policy *policy);
void check_print_decision(const struct decision *d);
void check_print_span(const struct port_span *span);
/* Why a is not admitted; the line's end. */
void check_print_refusal(enum admission admission, const struct address *a);

/* Answer one query: STATUS_VALID, or STATUS_USAGE after saying why. */
int check_query(const struct policy *policy, const struct check_gate *gate,
		const char *text);

/* gate.c: would a connection to TCP port of a that gives the name go on, where
 * the name led to a? text is the query. */
void check_gate(const struct policy *policy, const struct check_gate *gate,
		const char *text, const struct domain_name *name,
		const struct address *a, uint16_t port);

#endif
