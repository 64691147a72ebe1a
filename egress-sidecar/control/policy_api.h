/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request to /policy does to a sandbox and what it is answered: the
 * wire format of OpenSandbox's egress sidecar. Knows no HTTP library.
 */
#ifndef EGRESS_CONTROL_POLICY_API_H
#define EGRESS_CONTROL_POLICY_API_H

#include "../sandbox.h"

struct reply {
	unsigned status;
	const char *type;  /* Content-Type */
	const char *allow; /* Allow, NULL: none */
	char *body;        /* the receiver's to free; NULL: empty */
};

#define POLICY_API_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE"

/* A plain-text reply; format's newline is added. */
void reply_text(struct reply *reply, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A JSON reply; takes the reference. */
void reply_json(struct reply *reply, unsigned status, json_t *json);

/*
 * Act on one request: GET shows, POST and PUT replace, PATCH puts rules before
 * the others, DELETE takes targets away. 200 only after the kernel has taken
 * it; 400 and 413 for bodies, 405 for methods, 500 where the kernel or the
 * policy file refused.
 */
void policy_api(struct sandbox *sandbox, const struct settings *settings,
		const char *method, const char *body, size_t len,
		struct reply *reply);

#endif
