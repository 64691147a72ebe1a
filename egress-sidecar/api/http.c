/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "life/life.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BACKLOG = 64,
};

#define SET_A_TOKEN                                                         \
	" while there is no token: set OPENSANDBOX_EGRESS_TOKEN, and send " \
	"it as OPENSANDBOX-EGRESS-AUTH"

struct http {
	struct server *server;
	const struct sandbox_list *list;
	const struct sandbox_shared *shared;
	const struct settings *settings;
	bool inside;
};

int http_listen(const char *host, uint16_t port)
{
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6,
				    .sin6_port = htons(port)};
	struct sockaddr_in any4 = {.sin_family = AF_INET,
				   .sin_port = htons(port)};
	const struct sockaddr *sa = (struct sockaddr *)&any6;
	socklen_t len = sizeof(any6);
	int one = 1, zero = 0, fd, err;

	if (inet_pton(AF_INET, host, &any4.sin_addr) == 1) {
		sa = (struct sockaddr *)&any4;
		len = sizeof(any4);
	} else if (host[0]) {
		inet_pton(AF_INET6, host, &any6.sin6_addr);
	}
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0 && errno == EAFNOSUPPORT && !host[0]) {
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
static bool from_here(const struct sockaddr *sa)
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

/* Equal, in a time that tells nothing of where they differ; m: the bytes of
 * b. */
static bool same_secret(const char *a, const char *b, size_t m)
{
	size_t n = strlen(a);
	unsigned difference = n != m;

	for (size_t i = 0; i < m; i++)
		difference |= (unsigned)((unsigned char)a[n ? i % n : 0] ^
					 (unsigned char)b[i]);
	return difference == 0;
}

static bool authorized(const struct http *http,
		       const struct server_request *request)
{
	const char *given = server_header(request, "OPENSANDBOX-EGRESS-AUTH");
	size_t len = given ? strlen(given) : 0;

	/* Blanks behind a field's value are none of it (RFC 9110, 5.5). */
	while (len > 0 && (given[len - 1] == ' ' || given[len - 1] == '\t'))
		len--;
	return http->settings->token && given &&
	       same_secret(http->settings->token, given, len);
}

/* Who may be the sandbox: inside its namespace whoever is here, outside
 * whoever is not, unless a token tells them apart. */
static bool untrusted(void *arg, const struct sockaddr *peer)
{
	const struct http *http = arg;

	if (http->inside)
		return from_here(peer);
	return !http->settings->token && !from_here(peer);
}

static void reply_stranger(const struct http *http, struct reply *reply)
{
	if (http->settings->token)
		reply_text(reply, 401, "unauthorized");
	else if (http->inside)
		reply_text(reply, 403, "not from inside the sandbox");
	else
		reply_text(reply, 403, "not from another host" SET_A_TOKEN);
}

/* What proxies add, which whoever asks through one cannot leave out, and
 * browsers where a page changes something. */
static const char *proxy_header(const struct server_request *request)
{
	static const char *const names[] = {
		"Forwarded",          "Via",
		"X-Forwarded-For",    "X-Forwarded-Proto",
		"X-Forwarded-Host",   "X-Forwarded-Port",
		"X-Forwarded-Prefix", "X-Forwarded-Server",
		"X-Real-IP",          "Origin",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (server_header(request, names[i]))
			return names[i];
	return NULL;
}

/*
 * Beside the sandbox's namespace and without a token the API obeys this host's
 * administrator. A gateway, or another proxy, on this host asks for whoever
 * reaches it: it is a process of another user, or says that it is a proxy. A
 * browser asks for whoever wrote the page.
 */
static bool by_proxy(const struct http *http,
		     const struct server_request *request, struct reply *reply)
{
	const char *header;

	if (http->inside || http->settings->token)
		return false;
	header = proxy_header(request);
	if (header)
		reply_text(reply, 403,
			   "not through a proxy or a page (%s)" SET_A_TOKEN,
			   header);
	else if (!peer_is_ours(server_fd(request)))
		reply_text(reply, 403,
			   "not from a process of another user" SET_A_TOKEN);
	else
		return false;
	return true;
}

static void answer(void *arg, const struct server_request *request,
		   struct reply *reply)
{
	struct http *http = arg;
	bool entitled = authorized(http, request);
	bool stranger = !entitled && untrusted(http, request->peer);
	bool metrics = strcmp(request->path, "/metrics") == 0;
	bool flows = strcmp(request->path, "/flows") == 0;
	bool pending = strcmp(request->path, "/pending") == 0;
	bool status = strcmp(request->path, "/status") == 0;

	if (strcmp(request->path, "/healthz") == 0)
		reply_health(reply, request->method, http->list);
	else if (stranger && (http->inside || !metrics))
		reply_stranger(http, reply);
	else if (metrics)
		reply_metrics(reply, request->method, http->list, http->shared);
	else if (!flows && !pending && !status &&
		 strcmp(request->path, "/policy") != 0)
		reply_text(reply, 404, "not found");
	else if (by_proxy(http, request, reply))
		return;
	else if (http->settings->token && !entitled)
		reply_text(reply, 401, "unauthorized");
	else if (request->too_large)
		reply_text(reply, 413, "body over %d bytes", POLICY_BODY_MAX);
	else if (flows)
		flows_api(http->list->at[0], request, reply);
	else if (pending)
		pending_api(http->list->at[0], request->method, reply);
	else if (status)
		status_api(http->list->at[0], request->method, reply);
	else
		policy_api(http->list->at[0], http->settings, request->method,
			   request->body, request->len, reply);
}

int http_open(struct http **out, int listen_fd, const struct sandbox_list *list,
	      const struct sandbox_shared *shared, bool inside)
{
	struct http *http = calloc(1, sizeof(*http));
	const struct server_settings server = {
		.listen_fd = listen_fd,
		.body_max = POLICY_BODY_MAX,
		.arg = http,
		.answer = answer,
		.untrusted = untrusted,
	};
	int err;

	if (!http)
		return -ENOMEM;
	http->list = list;
	http->shared = shared;
	http->settings = shared->settings;
	http->inside = inside;
	err = server_open(&http->server, shared->loop, &server);
	if (err)
		free(http);
	else
		*out = http;
	return err;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	server_close(http->server);
	free(http);
}
