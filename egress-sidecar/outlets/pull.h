/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the policy that a gateway serves: GET with If-None-Match and
 * "Prefer: wait=30" (RFC 7240), so that a change arrives at once and nothing
 * is asked while nothing changes. Whatever the gateway does, the last good
 * policy stays in force.
 */
#ifndef EGRESS_CONTROL_PULL_H
#define EGRESS_CONTROL_PULL_H

#include "outlets.h"
#include "sandbox/sandbox.h"

struct pull;

/* Start following url; token NULL: no Authorization. Both are copied, the
 * sandbox and outlets must outlive it. 0 or -errno. */
int pull_open(struct pull **out, struct outlets *outlets,
	      struct sandbox *sandbox, const char *url, const char *token,
	      size_t max_rules);
void pull_close(struct pull *pull);

#endif
