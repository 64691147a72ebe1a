/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests of our own, by libcurl inside our loop.
 */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

struct fetcher;
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

/* How peers are reached where plain sockets do not reach them. */
struct fetch_path {
	void *arg;
	/*
	 * See to it that url's host can be reached. 1: it can, and *entry is
	 * what CURLOPT_RESOLVE needs ("HOST:PORT:ADDRESS,..."), to be freed, or
	 * NULL where that needs nothing. 0: done is called once with the entry
	 * (valid during the call), or with an error, unless *asked is
	 * cancelled. -errno.
	 */
	int (*find)(void *arg, const char *url, char **entry,
		    void (*done)(void *arg, const char *entry,
				 const char *error),
		    void *done_arg, void **asked);
	void (*cancel)(void *asked);
	/* A socket towards peer, or -errno. */
	int (*socket)(void *arg, int type, int protocol,
		      const struct sockaddr *peer);
};

/* path NULL: peers are reached as ever. Borrowed. 0 or -errno. */
int fetcher_open(struct fetcher **out, uv_loop_t *loop,
		 const struct fetch_path *path);
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
