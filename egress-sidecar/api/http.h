/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP interface of one sandbox: /policy, /healthz, /metrics, served by
 * libmicrohttpd inside our loop.
 */
#ifndef EGRESS_CONTROL_HTTP_H
#define EGRESS_CONTROL_HTTP_H

#include "meters.h"

struct http;

/* A listening socket for the address in settings: every address of both
 * families where the host is empty. A descriptor, or -errno. */
int http_listen(const struct settings *settings);

/*
 * Serve list's one sandbox on listen_fd; they and shared are borrowed. inside:
 * the interface shares the sandbox's namespace, so whoever connects from one of
 * its own addresses gets nothing but /healthz unless it holds the token. Else
 * the sandbox is among those who connect from elsewhere: where no token is set
 * they get /healthz and /metrics, and so do proxies and processes of other
 * users here. 0 or -errno.
 */
int http_open(struct http **out, int listen_fd, const struct sandbox_list *list,
	      const struct sandbox_shared *shared, bool inside);
void http_close(struct http *http);

#endif
