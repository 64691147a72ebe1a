/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy's address rules in the kernel: a verdict map of disjoint ranges for
 * each family. Many ranges take the kernel longer than all else, so that a map
 * is changed rather than written anew where the next policy has most of it.
 * Pure.
 */
#ifndef EGRESS_FILTER_RANGES_H
#define EGRESS_FILTER_RANGES_H

#include "batch.h"
#include "policy/policy.h"

enum {
	PORTS_CHAIN_NAME = 32
};

/* The chain of a port table; out has PORTS_CHAIN_NAME bytes and is returned. */
const char *ports_chain(char *out, size_t table);

/* Have both policies most of their ranges in common, and as many port tables?
 * What is in those may differ: their chains are written each time. */
bool ranges_near(const struct policy *from, const struct policy *to);

/* Fill the maps "ranges4" and "ranges6". from NULL: they are empty; else they
 * hold its ranges, and what is not to's is taken out of them. */
void ranges_write(struct batch *b, const struct policy *from,
		  const struct policy *to);

#endif
