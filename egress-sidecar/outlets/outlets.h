/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where we speak to others by HTTP, unasked: the webhook, the policy's URL,
 * the collector. What they share, and how each fares.
 */
#ifndef EGRESS_CONTROL_OUTLETS_H
#define EGRESS_CONTROL_OUTLETS_H

#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

struct way;

struct outlet_counts {
	uint64_t sent;      /* requests that were answered as wished */
	uint64_t failed;    /* and those that were not, retries not counted */
	uint64_t dropped;   /* never sent, since too many were waiting */
	uint64_t queued;    /* waiting or under way */
	uint64_t success_s; /* the last answer, seconds since 1970; 0: none */
};

struct outlet {
	TAILQ_ENTRY(outlet) in_list;
	const char *kind;       /* a constant */
	const char *sandbox_id; /* borrowed; "": the process's */
	struct outlet_counts counts;
};

struct outlets {
	uv_loop_t *loop;
	struct way *way; /* out of the sandbox's own namespace, NULL: we are
			    not in it */
	TAILQ_HEAD(outlet_list, outlet) list;
};

void outlets_init(struct outlets *outlets, uv_loop_t *loop);
void outlet_add(struct outlets *outlets, struct outlet *outlet,
		const char *kind, const char *sandbox_id);
void outlet_remove(struct outlets *outlets, struct outlet *outlet);
/* Count an answer as wished, now. */
void outlet_sent(struct outlet *outlet);

#endif
