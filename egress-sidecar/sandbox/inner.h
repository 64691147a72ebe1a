/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox, for the files that make it up: sandbox.c calls the others. */
#ifndef EGRESS_SANDBOX_INNER_H
#define EGRESS_SANDBOX_INNER_H

#include "sandbox.h"

#include <sys/queue.h>
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
	struct journal_budget names, answers, packets, guesses, connections,
		kernel, lost, flows;
	struct journal_budget limits[POLICY_LIMITS]; /* one line a second */
	bool whole;                 /* no budgets: every line is wanted */
	bool dns_alone;             /* packets are not seen */
	const uint16_t *gate_ports; /* borrowed; NULL: no gate */
	size_t n_gate_ports;
};

/* An address on its way into the kernel, with room for what it points to. */
struct pending_lease {
	struct lease_element element;
	struct admitted_ports ports;
	struct domain_name name;
};

/* A connection, or packets to one place that were refused. */
struct flow {
	TAILQ_ENTRY(flow) by_id, by_end; /* the latter where it has ended */
	struct flow *next;               /* of the bucket */
	bool known;                      /* the kernel may tell more of it */
	bool silent;                     /* not for the log */
	enum {
		FLOW_ALLOW,
		FLOW_DENY,
		FLOW_AUDIT, /* let on by an audit alone */
	} verdict;
	uint64_t id;
	uint64_t start_ms, end_ms; /* CLOCK_REALTIME; 0: it is open */
	uint64_t check_ms;         /* the kernel is asked for it, now_ms() */
	struct filter_flow of;
	const char *name, *rule; /* into text, or NULL */
	const char *source;      /* of the rule, a constant, or NULL */
	const char *reason; /* why a limit or the gate refused it, or NULL */
	char text[];
};
TAILQ_HEAD(flow_list, flow);

enum {
	FLOWS_MAX = 4096 /* of one sandbox */
};

/* The flows of the last hour, but no more than FLOWS_MAX. Holds no memory
 * before the first. */
struct flow_table {
	struct flow_list by_id, by_end;
	struct flow **bucket; /* of those that the kernel may tell more of */
	size_t n, n_open;
	uint64_t next_id, begun;
	uint64_t dropped;  /* that had to go before an hour was over */
	uint64_t check_ms; /* the first check that is due, UINT64_MAX: none */
};

enum {
	DENIALS_SECONDS = 60,
	DENIALS_LATEST = 8 /* names */
};

enum denial_kind {
	DENIED_NAME,
	DENIED_CONNECTION, /* by the gate */
	DENIED_PACKET,     /* as far as the kernel's log tells */
	DENIED_KINDS
};

/* What was denied in the last minute, and the names of late. */
struct denials {
	struct denial_second {
		uint64_t at; /* seconds since boot */
		uint32_t n[DENIED_KINDS];
	} second[DENIALS_SECONDS];
	struct denial {
		struct domain_name name;
		uint64_t count; /* since it is among them; 0: none */
		uint64_t order;
		time_t at; /* the last time */
	} latest[DENIALS_LATEST];
	uint64_t order;
};

/* Holds no memory before the first. */
struct gate_ways {
	struct way *at; /* owned; a ring */
	size_t n;       /* ever */
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
	struct flow_table flows;
	struct denials denials;
	struct gate_ways ways;
	bool flows_heard;        /* the kernel tells of them */
	uint64_t flows_asked_ms; /* when somebody asked for them last */
	uv_poll_t *flows_poll;
	uv_timer_t *flows_timer;
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
/* Why, as logs and GET /flows say it; NULL: no rule lets it through. */
const char *refused_reason(const struct refused_packet *packet);
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

/* egress.flow: one that has ended, as sandbox_flows() shows it. */
void journal_flow(struct journal *j, const json_t *flow);

/* flow_table.c: flows by id, by end, and by what the kernel calls them. Pure.
 */

void flow_table_init(struct flow_table *t, uint64_t first_id);
void flow_table_free(struct flow_table *t);
/* NULL: it is none of those that the kernel may tell more of. */
struct flow *flow_table_find(const struct flow_table *t,
			     const struct filter_flow *of);
/* A new one, open; known: it can be found. The oldest that has ended, or else
 * the oldest, makes room. NULL: no memory. */
struct flow *flow_table_add(struct flow_table *t, const struct filter_flow *of,
			    const char *name, const char *rule, bool known);
/* The kernel will tell no more of it. */
void flow_table_forget(struct flow_table *t, struct flow *flow);
/* It ended, or ended again. */
void flow_table_end(struct flow_table *t, struct flow *flow, uint64_t end_ms);
/* In the order in which they began, under new ids. */
void flow_table_sort(struct flow_table *t);
/* A recent one of refused packets between the same places, or of connections
 * that gave the same name (NULL: whichever); NULL: none. */
struct flow *flow_table_refused(const struct flow_table *t,
				const struct filter_flow *of,
				const char *reason, const char *name);
/* Drop those that ended an hour before now_ms (CLOCK_REALTIME); returns when
 * the next one is due, UINT64_MAX: none. */
uint64_t flow_table_expire(struct flow_table *t, uint64_t now_ms);

/* denials.c: pure. now_s counts from boot, clock from 1970. */

/* name NULL: it is not one of the latest. */
void denials_add(struct denials *d, enum denial_kind kind,
		 const struct domain_name *name, uint64_t now_s, time_t clock);
uint64_t denials_in_minute(const struct denials *d, enum denial_kind kind,
			   uint64_t now_s);
/* The i-th of the names, the last one first; NULL: there are no more. */
const struct denial *denials_latest(const struct denials *d, size_t i);

/* ways.c: the latest that the gate let on. */

/* Copied; for want of memory nothing is. */
void ways_add(struct gate_ways *ways, const struct gate_way *is);
/* Borrowed, till the next is added; NULL: the gate did not tell of it. */
const struct gate_way *ways_find(const struct gate_ways *ways,
				 const struct filter_flow *of);
void ways_free(struct gate_ways *ways);

/* flows.c */

void flows_init(struct sandbox *s);
/* Hear of connections. 0 or -errno. */
int flows_open(struct sandbox *s);
void flows_close(struct sandbox *s);
void flows_counts(struct sandbox *s, struct sandbox_flow_counts *counts);
/* A packet was refused. */
void flows_refused(struct sandbox *s, const struct refused_packet *packet);
/* The gate refused a connection. */
void flows_gate_refused(struct sandbox *s, const struct gate_refusal *refusal);
/* The gate lets one on. */
void flows_gate_goes(struct sandbox *s, const struct gate_way *way);

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
