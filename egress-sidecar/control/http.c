/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "../settings.h"
#include "metrics.h"
#include "policy_api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 256,
	CONNECTIONS_INSIDE_MAX = 16, /* of them, the sandbox's own */
	IDLE_S = 15,
	BACKLOG = 64,
};

struct http {
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	int open_handles;
	struct sandbox *sandbox;
	const struct settings *settings;
	bool closed_inside;
	unsigned inside; /* connections from inside */
};

/* One request's body while it arrives. */
struct request {
	char *body;
	size_t len;
	bool too_large;
	bool out_of_memory;
};

int http_listen(const struct settings *settings)
{
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6,
				    .sin6_port = htons(settings->http_port)};
	struct sockaddr_in any4 = {.sin_family = AF_INET,
				   .sin_port = htons(settings->http_port)};
	const struct sockaddr *sa = (struct sockaddr *)&any6;
	socklen_t len = sizeof(any6);
	int one = 1, zero = 0, fd, err;

	if (inet_pton(AF_INET, settings->http_host, &any4.sin_addr) == 1) {
		sa = (struct sockaddr *)&any4;
		len = sizeof(any4);
	} else if (settings->http_host[0]) {
		inet_pton(AF_INET6, settings->http_host, &any6.sin6_addr);
	}
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0 && errno == EAFNOSUPPORT && !settings->http_host[0]) {
		sa = (struct sockaddr *)&any4;
		len = sizeof(any4);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			    0);
	}
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (sa->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero,
				 sizeof(zero));
	if (bind(fd, sa, len) < 0 || listen(fd, BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int address_of(const struct sockaddr *sa, struct address *a)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;

	if (sa && sa->sa_family == AF_INET)
		return address_from_bytes(a, &sin->sin_addr, 4);
	if (sa && sa->sa_family == AF_INET6)
		return address_from_bytes(a, &sin6->sin6_addr, 16);
	return -EINVAL;
}

/* Does the peer have one of this namespace's own addresses? When that cannot
 * be told, it does. */
static bool from_inside(const struct sockaddr *sa)
{
	struct address peer, own;
	struct ifaddrs *list, *i;
	bool found = false;

	if (address_of(sa, &peer) || address_kind(&peer) == ADDRESS_LOOPBACK ||
	    getifaddrs(&list) < 0)
		return true;
	for (i = list; i && !found; i = i->ifa_next)
		found = address_of(i->ifa_addr, &own) == 0 &&
			address_compare(&own, &peer) == 0;
	freeifaddrs(list);
	return found;
}

/* Equal, in a time that tells nothing of where they differ. */
static bool same_secret(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned difference = n != m;

	for (size_t i = 0; i < m; i++)
		difference |= (unsigned)((unsigned char)a[n ? i % n : 0] ^
					 (unsigned char)b[i]);
	return difference == 0;
}

static bool authorized(struct http *http, struct MHD_Connection *connection)
{
	const char *given = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, "OPENSANDBOX-EGRESS-AUTH");

	return http->settings->token && given &&
	       same_secret(http->settings->token, given);
}

static bool peer_inside(struct http *http, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info;

	if (!http->closed_inside)
		return false;
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	return from_inside(info ? info->client_addr : NULL);
}

static bool reading(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void healthz(const char *method, struct reply *reply)
{
	if (reading(method)) {
		reply_text(reply, 200, "ok");
		/* "ok" to the byte: no newline. */
		if (reply->body)
			reply->body[2] = '\0';
		return;
	}
	reply_text(reply, 405, "method not allowed");
	reply->allow = "GET, HEAD";
}

static void metrics(struct http *http, const char *method, struct reply *reply)
{
	if (!reading(method)) {
		reply_text(reply, 405, "method not allowed");
		reply->allow = "GET, HEAD";
		return;
	}
	*reply = (struct reply){
		.status = 200,
		.type = "text/plain; version=0.0.4; charset=utf-8",
		.body = metrics_text(&http->sandbox, 1, http->settings),
	};
	if (!reply->body)
		reply_text(reply, 500, "out of memory");
}

static void answer(struct http *http, struct MHD_Connection *connection,
		   const char *url, const char *method,
		   const struct request *request, struct reply *reply)
{
	bool policy = strcmp(url, "/policy") == 0;

	if (strcmp(url, "/healthz") == 0) {
		healthz(method, reply);
	} else if (!authorized(http, connection) &&
		   peer_inside(http, connection)) {
		reply_text(reply, 403, "not from inside the sandbox");
	} else if (strcmp(url, "/metrics") == 0) {
		metrics(http, method, reply);
	} else if (!policy) {
		reply_text(reply, 404, "not found");
	} else if (http->settings->token && !authorized(http, connection)) {
		reply_text(reply, 401, "unauthorized");
	} else if (request->too_large) {
		reply_text(reply, 413, "body over %d bytes", POLICY_BODY_MAX);
	} else if (request->out_of_memory) {
		reply_text(reply, 500, "out of memory");
	} else {
		policy_api(http->sandbox, http->settings, method,
			   request->body ? request->body : "", request->len,
			   reply);
	}
}

static enum MHD_Result send_reply(struct MHD_Connection *connection,
				  struct reply *reply)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	char *body = reply->body;

	response = MHD_create_response_from_buffer(
		body ? strlen(body) : 0, body,
		body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				reply->type);
	if (reply->allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					reply->allow);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static void request_add(struct request *request, const char *data, size_t len)
{
	char *body;

	if (request->too_large || request->out_of_memory)
		return;
	if (request->len + len > POLICY_BODY_MAX) {
		request->too_large = true;
		return;
	}
	body = realloc(request->body, request->len + len + 1);
	if (!body) {
		request->out_of_memory = true;
		return;
	}
	memcpy(body + request->len, data, len);
	request->body = body;
	request->len += len;
	body[request->len] = '\0';
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *len, void **state)
{
	struct http *http = cls;
	struct request *request = *state;
	struct reply reply;

	(void)version;
	if (!request) {
		*state = calloc(1, sizeof(*request));
		return *state ? MHD_YES : MHD_NO;
	}
	if (*len > 0) {
		request_add(request, data, *len);
		*len = 0;
		return MHD_YES;
	}
	answer(http, connection, url, method, request, &reply);
	return send_reply(connection, &reply);
}

static void on_completed(void *cls, struct MHD_Connection *connection,
			 void **state, enum MHD_RequestTerminationCode code)
{
	struct request *request = *state;

	(void)cls;
	(void)connection;
	(void)code;
	if (!request)
		return;
	free(request->body);
	free(request);
	*state = NULL;
}

/* The sandbox cannot take every connection for itself. */
static enum MHD_Result on_accept(void *cls, const struct sockaddr *sa,
				 socklen_t len)
{
	const struct http *http = cls;

	(void)len;
	if (http->closed_inside && http->inside >= CONNECTIONS_INSIDE_MAX &&
	    from_inside(sa))
		return MHD_NO;
	return MHD_YES;
}

static void on_connection(void *cls, struct MHD_Connection *connection,
			  void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *http = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED &&
	    peer_inside(http, connection)) {
		*state = http;
		http->inside++;
	} else if (code == MHD_CONNECTION_NOTIFY_CLOSED && *state) {
		http->inside--;
	}
}

/* The loop */

static void http_run(struct http *http);

static void on_timer(uv_timer_t *timer)
{
	http_run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	http_run(poll->data);
}

static void http_run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&http->timer, on_timer, wait_ms, 0);
	else
		uv_timer_stop(&http->timer);
}

static int daemon_start(struct http *http, int listen_fd)
{
	http->daemon =
		MHD_start_daemon(MHD_USE_EPOLL, 0, on_accept, http, on_request,
				 http, MHD_OPTION_LISTEN_SOCKET, dup(listen_fd),
				 MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				 MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
				 MHD_OPTION_NOTIFY_COMPLETED, on_completed,
				 NULL, MHD_OPTION_NOTIFY_CONNECTION,
				 on_connection, http, MHD_OPTION_END);
	return http->daemon ? 0 : -EIO;
}

int http_open(struct http **out, uv_loop_t *loop, int listen_fd,
	      struct sandbox *sandbox, const struct settings *settings,
	      bool closed_inside)
{
	struct http *http = calloc(1, sizeof(*http));
	const union MHD_DaemonInfo *info;
	int err;

	if (!http)
		return -ENOMEM;
	http->sandbox = sandbox;
	http->settings = settings;
	http->closed_inside = closed_inside;
	err = daemon_start(http, listen_fd);
	if (err) {
		free(http);
		return err;
	}
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	http->poll.data = http;
	http->timer.data = http;
	http->open_handles = 2;
	uv_timer_init(loop, &http->timer);
	err = uv_poll_init(loop, &http->poll, info->epoll_fd);
	if (!err)
		err = uv_poll_start(&http->poll, UV_READABLE, on_poll);
	if (err)
		http_close(http);
	else
		*out = http;
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;

	if (--http->open_handles == 0)
		free(http);
}

void http_close(struct http *http)
{
	if (!http)
		return;
	uv_close((uv_handle_t *)&http->poll, on_closed);
	uv_close((uv_handle_t *)&http->timer, on_closed);
	MHD_stop_daemon(http->daemon);
}
