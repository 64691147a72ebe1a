/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the policy that a gateway serves: GET with If-None-Match and
 * "Prefer: wait=30" (RFC 7240), so that a change arrives at once and nothing
 * is asked while nothing changes. Whatever the gateway does, the last good
 * policy stays in force.
 */
#ifndef EGRESS_CONTROL_PULL_H
#define EGRESS_CONTROL_PULL_H

#include "../sandbox.h"

struct pull;
struct way;

/* Start following url; token NULL: no Authorization. Both are copied, the
 * sandbox must outlive it. way as in fetcher_open(). 0 or -errno. */
int pull_open(struct pull **out, uv_loop_t *loop, struct sandbox *sandbox,
	      const char *url, const char *token, size_t max_rules,
	      struct way *way);
void pull_close(struct pull *pull);

struct pull_counts {
	uint64_t updates;  /* policies taken */
	uint64_t refused;  /* policies that were none */
	uint64_t failures; /* requests without an answer to use */
};
void pull_counts(const struct pull *pull, struct pull_counts *counts);

#endif
