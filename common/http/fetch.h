/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests of our own, by libcurl inside our loop: what the webhook, the
 * policy pull and the metrics push have in common.
 */
#ifndef EGRESS_CONTROL_FETCH_H
#define EGRESS_CONTROL_FETCH_H

#include <stddef.h>
#include <uv.h>

struct fetcher;
struct way;
struct fetch;

enum {
	FETCH_HEADERS_MAX = 8
};

struct fetch_request {
	const char *url;
	const char *method;
	const char *body;  /* NULL: none */
	long timeout_ms;   /* of the whole exchange */
	size_t answer_max; /* bytes; a longer answer is an error */
	const char *headers[FETCH_HEADERS_MAX]; /* "Name: value", to NULL */
};

struct fetch_result {
	const char *error; /* NULL: there is an answer */
	long status;
	const char *body; /* NUL-terminated, valid during the call */
	size_t len;
	const char *etag; /* NULL: none */
};

/* way: how we get out of the sandbox's own namespace, NULL: we are not in it.
 * Borrowed. 0 or -errno. */
int fetcher_open(struct fetcher **out, uv_loop_t *loop, struct way *way);
/* Its requests must have ended or been cancelled. */
void fetcher_close(struct fetcher *fetcher);

/*
 * Start a request; everything is copied. done is called once, never before
 * this returns, unless the request is cancelled. Redirections are not
 * followed. 0 or -errno.
 */
int fetch_start(struct fetcher *fetcher, const struct fetch_request *request,
		void (*done)(void *arg, const struct fetch_result *result),
		void *arg, struct fetch **out);
void fetch_cancel(struct fetch *fetch);

#endif
