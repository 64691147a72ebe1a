/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request to /policy does to a sandbox and what it is answered: the
 * wire format of OpenSandbox's egress sidecar. Knows no HTTP library.
 */
#ifndef EGRESS_CONTROL_POLICY_API_H
#define EGRESS_CONTROL_POLICY_API_H

#include "meters.h"
#include "reply.h"

/*
 * Act on one request: GET shows, POST and PUT replace, PATCH puts rules before
 * the others, DELETE takes targets away. 200 only after the kernel has taken
 * it; 400 and 413 for bodies, 405 for methods, 500 where the kernel or the
 * policy file refused.
 */
void policy_api(struct sandbox *sandbox, const struct settings *settings,
		const char *method, const char *body, size_t len,
		struct reply *reply);

/* GET /healthz: "ok", or 503 and a line for each sandbox whose rules the kernel
 * is not seen to hold, with what is missing. */
void reply_health(struct reply *reply, const char *method,
		  const struct sandbox_list *list);

/* GET /metrics of these sandboxes and of the outlets. */
void reply_metrics(struct reply *reply, const char *method,
		   const struct sandbox_list *list,
		   const struct sandbox_shared *shared);

#endif
