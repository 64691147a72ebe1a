/* SPDX-License-Identifier: Apache-2.0 */
/* What a request is answered, before any HTTP library sees it. */
#ifndef EGRESS_CONTROL_REPLY_H
#define EGRESS_CONTROL_REPLY_H

#include <jansson.h>

struct reply {
	unsigned status;
	const char *type;  /* Content-Type */
	const char *allow; /* Allow, NULL: none */
	char *body;        /* the receiver's to free; NULL: empty */
};

/* A plain-text reply; format's newline is added. */
void reply_text(struct reply *reply, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A JSON reply; takes the reference. NULL is answered 500. */
void reply_json(struct reply *reply, unsigned status, json_t *json);
/* 405 with the methods that are allowed (a constant). */
void reply_method(struct reply *reply, const char *allow);

#endif
