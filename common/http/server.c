/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 256,
	CONNECTIONS_OF_ONE_MAX = 64, /* from one address */
	UNTRUSTED_MAX = 16,
	IDLE_S = 15,
	REQUEST_MS = 30 * 1000,
	DRAIN_TIMES = 16, /* what is over body_max is read and forgotten, up to
			     so many times body_max: a client reads the 413
			     only when it has sent all */
};

/* A connection. */
struct client {
	struct client *next, **link;
	int fd;
	uint64_t since_ms; /* since when its request is coming in */
	bool untrusted;
};

struct server {
	struct server_settings settings;
	struct MHD_Daemon *daemon;
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t timer;
	int open_handles;
	struct client *clients;
	unsigned untrusted;
	bool ended; /* a connection has, in this run of the daemon */
};

/* One request while it comes in. */
struct incoming {
	char *body;
	size_t len, seen;
	bool too_large, out_of_memory, unframed;
};

/* What a request says of its body's end. */
struct framing {
	unsigned lengths, codings;
	bool unknown; /* a coding that is not chunked */
};

const char *server_header(const struct server_request *request,
			  const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
					   name);
}

const char *server_argument(const struct server_request *request,
			    const char *name)
{
	return MHD_lookup_connection_value(request->connection,
					   MHD_GET_ARGUMENT_KIND, name);
}

static int fd_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

int server_fd(const struct server_request *request)
{
	return fd_of(request->connection);
}

static const struct sockaddr *peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	return info ? info->client_addr : NULL;
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Requests */

static bool incoming_add(struct incoming *in, const char *data, size_t len,
			 size_t max)
{
	char *body;

	in->seen += len;
	if (in->seen > max)
		in->too_large = true;
	if (in->too_large || in->out_of_memory)
		return in->seen / DRAIN_TIMES <= max;
	body = realloc(in->body, in->len + len + 1);
	if (!body) {
		in->out_of_memory = true;
		return true;
	}
	memcpy(body + in->len, data, len);
	in->body = body;
	in->len += len;
	body[in->len] = '\0';
	return true;
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
	if (reply->type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					reply->type);
	if (reply->allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					reply->allow);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_request(const struct server *server,
				      struct MHD_Connection *connection,
				      const char *url, const char *method,
				      const struct incoming *in)
{
	struct reply reply = {0};
	struct server_request request = {
		.method = method,
		.path = url,
		.body = in->body && !in->too_large ? in->body : "",
		.len = in->too_large ? 0 : in->len,
		.too_large = in->too_large,
		.peer = peer_of(connection),
		.connection = connection,
	};

	if (in->out_of_memory)
		reply_text(&reply, 500, "out of memory");
	else if (in->unframed)
		reply_text(&reply, 400,
			   "the body's end is in doubt: expected "
			   "one Content-Length, or \"chunked\" "
			   "for Transfer-Encoding");
	else
		server->settings.answer(server->settings.arg, &request, &reply);
	return send_reply(connection, &reply);
}

/* Is the body that is announced one that nobody need send? A client that asks
 * first (RFC 9110, 10.1.1) is told before it sends any of it, as is one whose
 * body is more than we would read and forget. */
static bool spare_body(const struct server *server,
		       struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned long long n = length ? strtoull(length, NULL, 10) : 0;

	if (n <= server->settings.body_max)
		return false;
	return n / DRAIN_TIMES > server->settings.body_max ||
	       MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
					   MHD_HTTP_HEADER_EXPECT);
}

static enum MHD_Result count_framing(void *arg, enum MHD_ValueKind kind,
				     const char *name, const char *value)
{
	struct framing *framing = arg;

	(void)kind;
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		framing->lengths++;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		framing->codings++;
		framing->unknown |= !value || strcasecmp(value, "chunked") != 0;
	}
	return MHD_YES;
}

/* Would another reader, a proxy before us, see another end of the body (RFC
 * 9112, 6.3)? */
static bool is_unframed(struct MHD_Connection *connection)
{
	struct framing framing = {0};

	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_framing,
				  &framing);
	return framing.unknown || framing.lengths + framing.codings > 1;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *len, void **state)
{
	struct server *server = cls;
	struct incoming *in = *state;

	(void)version;
	if (!in) {
		*state = in = calloc(1, sizeof(*in));
		if (!in)
			return MHD_NO;
		in->too_large = spare_body(server, connection);
		in->unframed = is_unframed(connection);
		return in->too_large || in->unframed
			       ? answer_request(server, connection, url, method,
						in)
			       : MHD_YES;
	}
	if (*len > 0) {
		bool more =
			incoming_add(in, data, *len, server->settings.body_max);

		*len = 0;
		return more ? MHD_YES : MHD_NO;
	}
	return answer_request(server, connection, url, method, in);
}

static void on_completed(void *cls, struct MHD_Connection *connection,
			 void **state, enum MHD_RequestTerminationCode code)
{
	struct server *server = cls;
	struct client *client = client_of(connection);
	struct incoming *in = *state;

	(void)code;
	if (client)
		client->since_ms = uv_now(server->loop);
	if (in)
		free(in->body);
	free(in);
	*state = NULL;
}

/* Connections */

static bool is_untrusted(const struct server *server, const struct sockaddr *sa)
{
	return server->settings.untrusted &&
	       server->settings.untrusted(server->settings.arg, sa);
}

/* The untrusted cannot take every connection for themselves. */
static enum MHD_Result on_accept(void *cls, const struct sockaddr *sa,
				 socklen_t len)
{
	const struct server *server = cls;

	(void)len;
	return server->untrusted >= UNTRUSTED_MAX && is_untrusted(server, sa)
		       ? MHD_NO
		       : MHD_YES;
}

static void client_add(struct server *server, struct MHD_Connection *connection,
		       void **state)
{
	struct client *client = calloc(1, sizeof(*client));

	*state = client;
	if (!client)
		return;
	client->fd = fd_of(connection);
	client->since_ms = uv_now(server->loop);
	client->untrusted = is_untrusted(server, peer_of(connection));
	server->untrusted += client->untrusted;
	client->next = server->clients;
	client->link = &server->clients;
	if (client->next)
		client->next->link = &client->next;
	server->clients = client;
}

static void on_connection(void *cls, struct MHD_Connection *connection,
			  void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct server *server = cls;
	struct client *client = *state;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		client_add(server, connection, state);
		return;
	}
	server->ended = true;
	if (!client)
		return;
	server->untrusted -= client->untrusted;
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	free(client);
	*state = NULL;
}

/* End the connections whose request drips in too slowly; returns the time
 * until the next one is due, UINT64_MAX: there is none. */
static uint64_t end_slow(struct server *server)
{
	uint64_t now = uv_now(server->loop), next = UINT64_MAX;

	for (struct client *c = server->clients; c; c = c->next) {
		uint64_t age = now - c->since_ms;

		if (age >= server->settings.request_ms)
			shutdown(c->fd, SHUT_RDWR);
		else if (server->settings.request_ms - age < next)
			next = server->settings.request_ms - age;
	}
	return next;
}

/* The loop */

static void server_run(struct server *server);

static void on_timer(uv_timer_t *timer)
{
	server_run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	server_run(poll->data);
}

static void server_run(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;
	uint64_t due;

	server->ended = false;
	MHD_run(server->daemon);
	due = end_slow(server);
	if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES &&
	    wait_ms < due)
		due = wait_ms;
	/* At a limit, of connections or descriptors, it does not listen; that
	 * there is room again it sees when it is run once more. */
	if (server->ended)
		due = 0;
	if (due != UINT64_MAX)
		uv_timer_start(&server->timer, on_timer, due, 0);
	else
		uv_timer_stop(&server->timer);
}

static int daemon_start(struct server *server)
{
	int fd = fcntl(server->settings.listen_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, on_accept, server, on_request, server,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		CONNECTIONS_OF_ONE_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
		MHD_OPTION_END);
	if (server->daemon)
		return 0;
	close(fd);
	return -EIO;
}

int server_open(struct server **out, uv_loop_t *loop,
		const struct server_settings *settings)
{
	struct server *server = calloc(1, sizeof(*server));
	const union MHD_DaemonInfo *info;
	int err;

	if (!server)
		return -ENOMEM;
	server->settings = *settings;
	if (!server->settings.request_ms)
		server->settings.request_ms = REQUEST_MS;
	server->loop = loop;
	err = daemon_start(server);
	if (err) {
		free(server);
		return err;
	}
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	err = uv_poll_init(loop, &server->poll, info->epoll_fd);
	if (err) {
		MHD_stop_daemon(server->daemon);
		free(server);
		return err;
	}
	uv_timer_init(loop, &server->timer);
	server->poll.data = server;
	server->timer.data = server;
	server->open_handles = 2;
	err = uv_poll_start(&server->poll, UV_READABLE, on_poll);
	if (err)
		server_close(server);
	else
		*out = server;
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct server *server = handle->data;

	if (--server->open_handles == 0)
		free(server);
}

void server_close(struct server *server)
{
	if (!server)
		return;
	uv_close((uv_handle_t *)&server->poll, on_closed);
	uv_close((uv_handle_t *)&server->timer, on_closed);
	MHD_stop_daemon(server->daemon);
}
