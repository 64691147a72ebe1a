/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox, for the files that make it up: sandbox.c calls the others. */
#ifndef EGRESS_SANDBOX_INNER_H
#define EGRESS_SANDBOX_INNER_H

#include "sandbox.h"

#include <time.h>

enum {
	MESSAGE_SIZE = 256,
	LOG_GROUP = 1853 /* NFLOG, of refused packets, in each namespace */
};

/* A token bucket of log lines. */
struct journal_budget {
	uint64_t refilled_ms; /* CLOCK_MONOTONIC_COARSE */
	uint32_t tokens, per_second, burst;
	uint64_t suppressed;
};

struct journal {
	const char *sandbox_id; /* borrowed */
	struct journal_budget names, answers, packets, connections, kernel,
		lost;
	struct journal_budget limits[POLICY_LIMITS]; /* one line a second */
	bool whole;                 /* no budgets: every line is wanted */
	const uint16_t *gate_ports; /* borrowed; NULL: no gate */
	size_t n_gate_ports;
};

/* An address on its way into the kernel, with room for what it points to. */
struct pending_lease {
	struct lease_element element;
	struct admitted_ports ports;
	struct domain_name name;
};

struct sandbox {
	const struct sandbox_shared *shared;
	const struct always_rules *always;
	struct sandbox_place place;
	struct policy *policy;
	struct lease_table *leases;
	struct filter *filter;
	struct gate *gate;         /* NULL: none */
	struct listeners own_gate; /* its sockets, where the sandbox made them;
				      those of DNS are the front's */
	struct front *front;
	struct resolvers *own_resolvers; /* NULL: the process's */
	struct journal journal;
	uv_poll_t *refused; /* packets that the kernel refused */
	uv_timer_t *revoke; /* due when a new policy was answered */
	uv_timer_t *renew;  /* of leases that open connections use */
	struct pending_lease *pending;
	size_t n_pending, pending_size;
	uint64_t swept_ms;
	uv_timer_t *mender; /* active while the kernel is not as it should be */
	bool lost;          /* it was told in the log that it is not */
	uint64_t mended_ms, mending_ms; /* when it last was, and how long that
					   took */
	struct sandbox_counts counts;
};

/* Since boot, sleep included: what leases are counted in. */
static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Write message (MESSAGE_SIZE bytes); returns err. */
int sandbox_fail(char *message, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* journal.c: what one sandbox's life leaves in the log: policies, names and
 * packets. A hostile sandbox can cause any number of events, so each kind has a
 * budget of lines a second; what it holds back is counted in the next line. */

struct settings;
void journal_init(struct journal *j, const char *sandbox_id,
		  const struct settings *settings);

/* egress.loaded, egress.updated or egress.update_failed (error, else NULL). */
void journal_policy(const struct journal *j, const char *event,
		    const struct policy *policy, const char *error);

/* egress.denied: a name, a packet with the name last known for it, or a
 * connection with the name that it gave. */
void journal_denied_name(struct journal *j, const struct domain_name *name,
			 const struct decision *decision,
			 const struct sockaddr *peer);
/* egress.pending: a name is held for so many seconds. */
void journal_held_name(struct journal *j, const struct domain_name *name,
		       unsigned seconds, const struct sockaddr *peer);
void journal_denied_packet(struct journal *j,
			   const struct refused_packet *packet,
			   const struct domain_name *name);
void journal_denied_connection(struct journal *j,
			       const struct gate_refusal *refusal);

/* egress.denied: a question over the policy's limit; name NULL: not known. */
void journal_limited_question(struct journal *j, const struct domain_name *name,
			      const struct sockaddr *peer);

/* egress.outbound: an allowed question and what came of it. */
void journal_answered(struct journal *j, const struct domain_name *name,
		      const struct address *admitted, size_t n_admitted,
		      const struct address *refused, size_t n_refused,
		      const char *error, const struct sockaddr *peer);

/* egress.rules_lost and egress.rules_restored: somebody else took the rules, or
 * part of them (what), out of the kernel; they are back. */
void journal_lost(struct journal *j, const char *what);
void journal_restored(struct journal *j);

/* The kernel refused leases, so their answers were withheld. */
void journal_kernel_failure(struct journal *j, int err);

/* mend.c */

int mend_open(struct sandbox *s);
/* Apply the policy again, and go on trying. */
void mend_start(struct sandbox *s);
/* The kernel has taken the policy. */
void mend_done(struct sandbox *s);

/* owner.c */

void owner_fill(struct front_owner *owner, struct sandbox *s);
/* Is the log silenced for the name? */
bool owner_log_skips(const struct sandbox *s, const struct domain_name *name);

/* gate_owner.c */

/* Open the gate, if the settings have one, on its listeners. 0 or -errno. */
int sandbox_gate_start(struct sandbox *s, const struct listeners *listeners);

/* kernel_events.c: each opens a handle of the sandbox. 0 or -errno. */

int renew_open(struct sandbox *s);
int refused_open(struct sandbox *s);
int revoke_open(struct sandbox *s);
void revoke_soon(struct sandbox *s);

/* filter_start.c */

/* Open and apply the filter. 0, or -errno with message. */
int sandbox_filter_start(struct sandbox *s, const struct listeners *listeners,
			 char *message);
/* The resolvers of the settings; returns how many. */
size_t sandbox_resolver_peers(const struct sandbox *s, struct filter_peer *out);

#endif
