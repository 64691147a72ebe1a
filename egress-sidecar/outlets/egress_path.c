/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "filter/filter.h"
#include "host/host.h"
#include "http/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENDPOINTS_MAX = 4, /* webhook, policy, collector */
	KEEP_MIN_S = 30,
	KEEP_MAX_S = 600,
	/* HOST:PORT: and the addresses */
	ENTRY_MAX = 256 + 8 + LOOKUP_ADDRESSES_MAX * (ADDRESS_TEXT_MAX + 3)
};

/* Where a URL leads. */
struct endpoint {
	char host[256];
	uint16_t port;
	struct lookup_result found;
	uint64_t until_ms; /* 0: not looked up yet */
};

struct egress_path {
	struct egress_path_settings settings;
	struct fetch_path fetch;
	struct endpoint endpoints[ENDPOINTS_MAX];
	size_t n;
};

struct path_ask {
	struct egress_path *path;
	struct endpoint *endpoint;
	struct lookup *lookup;
	void (*done)(void *arg, const char *entry, const char *error);
	void *arg;
};

/* Host and port of a URL, brackets taken off. 0 or -EINVAL. */
static int read_url(const char *url, struct endpoint *to)
{
	CURLU *parts = curl_url();
	char *host = NULL, *port = NULL;
	int err = -EINVAL;

	if (parts && !curl_url_set(parts, CURLUPART_URL, url, 0) &&
	    !curl_url_get(parts, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
	    strlen(host) < sizeof(to->host)) {
		size_t len = strlen(host);
		bool brackets = len > 2 && host[0] == '[';

		snprintf(to->host, sizeof(to->host), "%.*s",
			 (int)(brackets ? len - 2 : len),
			 host + (brackets ? 1 : 0));
		to->port = (uint16_t)strtoul(port, NULL, 10);
		err = 0;
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	return err;
}

static struct endpoint *endpoint_of(struct egress_path *path,
				    const struct endpoint *wanted)
{
	for (size_t i = 0; i < path->n; i++)
		if (path->endpoints[i].port == wanted->port &&
		    strcasecmp(path->endpoints[i].host, wanted->host) == 0)
			return &path->endpoints[i];
	if (path->n == ENDPOINTS_MAX)
		return NULL;
	path->endpoints[path->n] = *wanted;
	return &path->endpoints[path->n++];
}

/* Tell the packet filter of every endpoint. Loopback needs nobody's leave. */
static int let_out(struct egress_path *path)
{
	struct filter_peer peers[ENDPOINTS_MAX * LOOKUP_ADDRESSES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < path->n; i++) {
		const struct endpoint *endpoint = &path->endpoints[i];

		for (size_t k = 0; k < endpoint->found.n; k++) {
			if (address_kind(&endpoint->found.a[k]) ==
			    ADDRESS_LOOPBACK)
				continue;
			peers[n].a = endpoint->found.a[k];
			peers[n++].port = endpoint->port;
		}
	}
	return path->settings.let_out(path->settings.arg, peers, n);
}

static void remember(struct egress_path *path, struct endpoint *endpoint,
		     const struct lookup_result *found)
{
	uint32_t ttl = found->ttl_s;

	ttl = ttl < KEEP_MIN_S ? KEEP_MIN_S : ttl;
	ttl = ttl > KEEP_MAX_S ? KEEP_MAX_S : ttl;
	endpoint->found = *found;
	endpoint->until_ms = uv_now(path->settings.loop) + (uint64_t)ttl * 1000;
}

static void entry_write(const struct endpoint *endpoint, char entry[ENTRY_MAX])
{
	size_t len = (size_t)snprintf(entry, ENTRY_MAX,
				      "%s:%u:", endpoint->host, endpoint->port);

	for (size_t i = 0; i < endpoint->found.n; i++) {
		const struct address *a = &endpoint->found.a[i];
		bool v6 = a->family == AF_INET6;
		char text[ADDRESS_TEXT_MAX];

		len += (size_t)snprintf(
			entry + len, ENTRY_MAX - len, "%s%s%s%s", i ? "," : "",
			v6 ? "[" : "", address_to_text(a, text), v6 ? "]" : "");
	}
}

static void on_found(void *arg, const struct lookup_result *found)
{
	struct path_ask *ask = arg;
	struct egress_path *path = ask->path;
	char entry[ENTRY_MAX];
	const char *error = NULL;

	if (found->n) {
		remember(path, ask->endpoint, found);
		if (let_out(path))
			error = "the packet filter does not let it out";
		entry_write(ask->endpoint, entry);
	} else {
		error = "its name does not resolve";
	}
	ask->done(ask->arg, error ? NULL : entry, error);
	free(ask);
}

/* It is known where it is. */
static int ready(struct egress_path *path, const struct endpoint *endpoint,
		 char **entry)
{
	char text[ENTRY_MAX];

	entry_write(endpoint, text);
	*entry = strdup(text);
	if (!*entry)
		return -ENOMEM;
	return let_out(path) ? -EIO : 1;
}

static int find(struct egress_path *path, struct endpoint *endpoint,
		char **entry, struct path_ask *ask)
{
	struct lookup_result found = {.ttl_s = KEEP_MAX_S, .n = 1};
	int ret;

	if (address_from_text(&found.a[0], endpoint->host) == 0) {
		remember(path, endpoint, &found);
		return let_out(path) ? -EIO : 1;
	}
	/* libcurl takes it for loopback, RFC 6761. */
	if (strcasecmp(endpoint->host, "localhost") == 0)
		return 1;
	if (endpoint->until_ms > uv_now(path->settings.loop))
		return ready(path, endpoint, entry);
	ret = lookup_start(&ask->lookup, path->settings.resolvers,
			   endpoint->host, &found, on_found, ask);
	if (ret == 1) {
		remember(path, endpoint, &found);
		return ready(path, endpoint, entry);
	}
	return ret;
}

static int find_path(void *arg, const char *url, char **entry,
		     void (*done)(void *arg, const char *entry,
				  const char *error),
		     void *done_arg, void **asked)
{
	struct egress_path *path = arg;
	struct path_ask *ask = calloc(1, sizeof(*ask));
	struct endpoint wanted = {.port = 0};
	int ret = ask ? read_url(url, &wanted) : -ENOMEM;

	*entry = NULL;
	if (!ret) {
		*ask = (struct path_ask){
			.path = path,
			.endpoint = endpoint_of(path, &wanted),
			.done = done,
			.arg = done_arg,
		};
		ret = ask->endpoint ? find(path, ask->endpoint, entry, ask)
				    : -E2BIG;
	}
	if (ret) {
		free(ask);
		return ret;
	}
	*asked = ask;
	return 0;
}

static void cancel(void *asked)
{
	struct path_ask *ask = asked;

	lookup_cancel(ask->lookup);
	free(ask);
}

static int make_socket(void *arg, int type, int protocol,
		       const struct sockaddr *peer)
{
	const struct egress_path *path = arg;

	return outward_socket(path->settings.mark, peer, type, protocol);
}

int egress_path_open(struct egress_path **out,
		     const struct egress_path_settings *settings)
{
	struct egress_path *path = calloc(1, sizeof(*path));

	if (!path)
		return -ENOMEM;
	path->settings = *settings;
	path->fetch = (struct fetch_path){
		.arg = path,
		.find = find_path,
		.cancel = cancel,
		.socket = make_socket,
	};
	*out = path;
	return 0;
}

void egress_path_close(struct egress_path *path)
{
	free(path);
}

const struct fetch_path *egress_path_fetch(const struct egress_path *path)
{
	return &path->fetch;
}
