/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP inside our loop: requests of our own, by libcurl, and a server, by
 * libmicrohttpd.
 */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

/* fetch.c: requests of our own. */

struct fetcher;
struct fetch;

enum {
	FETCH_HEADERS_MAX = 8
};

/* Whom to trust over TLS, and who we are; PEM texts. */
struct fetch_tls {
	const char *authorities; /* NULL: the system's */
	const char *certificate; /* ours, its chain after it; NULL: none */
	const char *key;         /* its key */
	bool unverified;         /* whoever answers is taken for the server */
};

struct fetch_request {
	const char *url;
	const char *method;
	const char *body;  /* NULL: none */
	size_t body_len;   /* 0: body ends with its NUL */
	bool body_lent;    /* body stays as it is until the end, uncopied */
	long timeout_ms;   /* of the whole exchange; 0: none */
	long idle_ms;      /* an error where nothing arrives for so long; 0:
			      none */
	size_t answer_max; /* bytes; a longer answer is an error */
	const char *headers[FETCH_HEADERS_MAX]; /* "Name: value", to NULL */
	const char *socket;     /* a unix socket to connect to in place of url's
				   host; NULL: none */
	bool direct;            /* by no proxy of the environment */
	const char *connect_to; /* "HOST:PORT" to connect to in place of url's;
				   NULL: none */
	const struct fetch_tls *tls; /* NULL: as the system has it */
	bool http2;                  /* over TLS, where the server has it */
	/*
	 * Called with each piece of a 2xx answer's body as it arrives; the
	 * result has none of it then, and answer_max does not count. It may
	 * start and cancel requests, this one too. NULL: the body is kept.
	 */
	void (*data)(void *arg, const char *piece, size_t len);
	/* Called when a 2xx answer's header has arrived; may do the same. NULL:
	 * nobody asks. */
	void (*begun)(void *arg);
};

struct fetch_result {
	const char *error; /* NULL: there is an answer */
	long status;
	const char *body; /* NUL-terminated, valid during the call */
	size_t len;
	const char *etag;   /* NULL: none */
	long retry_after_s; /* Retry-After; 0: none */
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
 * Start a request; everything is copied, but a body that is lent. done is
 * called once, never before this returns, unless the request is cancelled.
 * Redirections are not followed. 0 or -errno.
 */
int fetch_start(struct fetcher *fetcher, const struct fetch_request *request,
		void (*done)(void *arg, const struct fetch_result *result),
		void *arg, struct fetch **out);
void fetch_cancel(struct fetch *fetch);

/* url.c: is the text a URL of http or https, with a host? */
bool url_is_web(const char *text);

/* back_off.c */

/*
 * How long to wait after a failure: *next_ms less up to a half, so that many
 * who lost one server do not come back together. *next_ms, at least 2, doubles
 * up to max_ms.
 */
uint32_t fetch_back_off(uint32_t *next_ms, uint32_t max_ms);

/* reply.c */

/* What a request is answered, before any HTTP library sees it. */
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
/* Does the method change nothing: GET, HEAD? */
bool method_reads(const char *method);

/* server.c: an HTTP/1.1 server on one listening socket, libmicrohttpd
 * inside our loop. Requests come whole, replies leave whole. Connections are
 * few, bounded in number and time, and nothing wakes up while there are none.
 */

struct server;

/* Valid during the call of answer(). */
struct server_request {
	const char *method;
	const char *path;            /* decoded, without the query */
	const char *body;            /* NUL-terminated */
	size_t len;                  /* bytes of body */
	bool too_large;              /* over body_max: body is empty */
	const struct sockaddr *peer; /* NULL: unknown */
	void *connection;            /* the library's */
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

/* An argument of the request's query, decoded, NULL: it has none of that
 * name. */
const char *server_argument(const struct server_request *request,
			    const char *name);

/* A request's header, NULL: it has none of that name. */
const char *server_header(const struct server_request *request,
			  const char *name);
/* The connection's descriptor, borrowed; -1: unknown. */
int server_fd(const struct server_request *request);

#endif
