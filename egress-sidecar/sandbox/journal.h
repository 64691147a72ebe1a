/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one sandbox's life leaves in the log: policies, names and packets. A
 * hostile sandbox can cause any number of events, so each kind has a budget
 * of lines a second; what it holds back is counted in the next line.
 */
#ifndef EGRESS_JOURNAL_H
#define EGRESS_JOURNAL_H

#include "filter/filter.h"
#include "policy/policy.h"

#include <sys/socket.h>

/* A token bucket of log lines. */
struct journal_budget {
	uint64_t refilled_ms; /* CLOCK_MONOTONIC_COARSE */
	uint32_t tokens;
	uint64_t suppressed;
};

struct journal {
	const char *sandbox_id; /* borrowed */
	struct journal_budget names, answers, packets, kernel, lost;
	bool whole; /* no budgets: every line is wanted */
};

void journal_init(struct journal *j, const char *sandbox_id, bool whole);

/* egress.loaded, egress.updated or egress.update_failed (error, else NULL). */
void journal_policy(const struct journal *j, const char *event,
		    const struct policy *policy, const char *error);

/* egress.denied: a name, or a packet with the name last known for it. */
void journal_denied_name(struct journal *j, const struct domain_name *name,
			 const struct decision *decision,
			 const struct sockaddr *peer);
void journal_denied_packet(struct journal *j,
			   const struct refused_packet *packet,
			   const struct domain_name *name);

/* egress.outbound: an allowed question and what came of it. */
void journal_answered(struct journal *j, const struct domain_name *name,
		      const struct address *admitted, size_t n_admitted,
		      const struct address *refused, size_t n_refused,
		      const char *error, const struct sockaddr *peer);

/* egress.rules_lost and egress.rules_restored: somebody else took the rules, or
 * part of them (what), out of the kernel; they are back. */
void journal_lost(struct journal *j, const char *what);
void journal_restored(struct journal *j);

/* The kernel refused learned addresses, so their answers were withheld. */
void journal_kernel_failure(struct journal *j, int err);

#endif
