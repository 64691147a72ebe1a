/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A brake on names as a way out: data can leave in the labels below an
 * allowed wildcard. New names there pay, the longer the more, from a bucket
 * that fills at a steady rate. Pure: time is an argument, milliseconds.
 */
#ifndef EGRESS_DNS_LIMIT_H
#define EGRESS_DNS_LIMIT_H

#include "policy/rules.h"

enum {
	LIMIT_RATE_DEFAULT = 1000, /* short names a second */
	LIMIT_BURST_SECONDS = 4,
	LIMIT_FREE_OCTETS = 16 /* below the wildcard; each such lot costs one */
};

struct limit {
	uint32_t rate;
	uint64_t milli; /* thousandths of a name left in the bucket */
	uint64_t last_ms;
	uint64_t said_ms; /* the last log line */
	uint64_t refused; /* since then */
};

/* rate 0: the default. */
void limit_start(struct limit *limit, uint32_t rate, uint64_t now_ms);

/*
 * May name be asked for, which rule lets through (NULL: the default action)?
 * Only what is below a rule "*.…", or leads from the name of a rule and is not
 * that name, costs anything. Types other than A, AAAA and HTTPS cost four times
 * as much.
 */
bool limit_take(struct limit *limit, const struct rule *rule,
		const struct domain_name *name, uint16_t type, uint64_t now_ms);

/* How many were refused, if that is to be said now (once a second), else 0. */
uint64_t limit_report(struct limit *limit, uint64_t now_ms);

#endif
