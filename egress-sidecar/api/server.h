/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 server on one listening socket: libmicrohttpd inside our loop.
 * Requests come whole, replies leave whole. Connections are few, bounded in
 * number and time, and nothing wakes up while there are none.
 */
#ifndef EGRESS_CONTROL_SERVER_H
#define EGRESS_CONTROL_SERVER_H

#include "reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

struct server;

/* Valid during the call of answer(). */
struct server_request {
	const char *method;
	const char *path;            /* decoded, without the query */
	const char *body;            /* NUL-terminated */
	size_t len;                  /* bytes of body */
	bool too_large;              /* over body_max: body is empty */
	const struct sockaddr *peer; /* NULL: unknown */
	void *connection;            /* for server_header() */
};

struct server_settings {
	int listen_fd;   /* borrowed, and duplicated; TCP or unix */
	size_t body_max; /* bytes */
	/* For one request to come in whole and be answered; 0: 30000. */
	unsigned request_ms;
	void *arg;
	void (*answer)(void *arg, const struct server_request *request,
		       struct reply *reply);
	/* Must a peer share the few connections of the untrusted? NULL: none
	 * of them must. */
	bool (*untrusted)(void *arg, const struct sockaddr *peer);
};

/* 0 or -errno. */
int server_open(struct server **out, uv_loop_t *loop,
		const struct server_settings *settings);
/* Ends its connections; answer() is not called any more. */
void server_close(struct server *server);

/* A request's header, NULL: it has none of that name. */
const char *server_header(const struct server_request *request,
			  const char *name);
/* The connection's descriptor, borrowed; -1: unknown. */
int server_fd(const struct server_request *request);
/* An argument of its query, decoded, NULL: it has none of that name. */
const char *server_argument(const struct server_request *request,
			    const char *name);

#endif
