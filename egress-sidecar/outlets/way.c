/* SPDX-License-Identifier: Apache-2.0 */
#include "way.h"

#include "host/outward.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PLACES_MAX = 4, /* webhook, policy, collector */
	KEEP_MIN_S = 30,
	KEEP_MAX_S = 600,
	/* HOST:PORT: and the addresses */
	ENTRY_MAX = 256 + 8 + LOOKUP_ADDRESSES_MAX * (ADDRESS_TEXT_MAX + 3)
};

/* Where a URL leads. */
struct place {
	char host[256];
	uint16_t port;
	struct lookup_result found;
	uint64_t until_ms; /* 0: not looked up yet */
};

struct way {
	struct way_settings settings;
	struct place places[PLACES_MAX];
	size_t n;
};

struct way_ask {
	struct way *way;
	struct place *place;
	struct lookup *lookup;
	void (*done)(void *arg, const char *entry, const char *error);
	void *arg;
};

int way_open(struct way **out, const struct way_settings *settings)
{
	struct way *way = calloc(1, sizeof(*way));

	if (!way)
		return -ENOMEM;
	way->settings = *settings;
	*out = way;
	return 0;
}

void way_close(struct way *way)
{
	free(way);
}

int way_socket(const struct way *way, int type, int protocol,
	       const struct sockaddr *peer)
{
	int fd = socket(peer->sa_family, type | SOCK_CLOEXEC, protocol);
	int err;

	if (fd < 0)
		return -errno;
	err = outward_prepare(fd, way->settings.mark, peer);
	if (err)
		close(fd);
	return err ? err : fd;
}

/* Host and port of a URL, brackets taken off. 0 or -EINVAL. */
static int read_url(const char *url, struct place *to)
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

static struct place *place_of(struct way *way, const struct place *wanted)
{
	for (size_t i = 0; i < way->n; i++)
		if (way->places[i].port == wanted->port &&
		    strcasecmp(way->places[i].host, wanted->host) == 0)
			return &way->places[i];
	if (way->n == PLACES_MAX)
		return NULL;
	way->places[way->n] = *wanted;
	return &way->places[way->n++];
}

/* Tell the packet filter of every place. Loopback needs nobody's leave. */
static int let_out(struct way *way)
{
	struct filter_peer peers[PLACES_MAX * LOOKUP_ADDRESSES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < way->n; i++) {
		const struct place *place = &way->places[i];

		for (size_t k = 0; k < place->found.n; k++) {
			if (address_kind(&place->found.a[k]) ==
			    ADDRESS_LOOPBACK)
				continue;
			peers[n].a = place->found.a[k];
			peers[n++].port = place->port;
		}
	}
	return way->settings.let_out(way->settings.arg, peers, n);
}

static void keep(struct way *way, struct place *place,
		 const struct lookup_result *found)
{
	uint32_t ttl = found->ttl_s;

	ttl = ttl < KEEP_MIN_S ? KEEP_MIN_S : ttl;
	ttl = ttl > KEEP_MAX_S ? KEEP_MAX_S : ttl;
	place->found = *found;
	place->until_ms = uv_now(way->settings.loop) + (uint64_t)ttl * 1000;
}

static void entry_write(const struct place *place, char entry[ENTRY_MAX])
{
	size_t len = (size_t)snprintf(entry, ENTRY_MAX, "%s:%u:", place->host,
				      place->port);

	for (size_t i = 0; i < place->found.n; i++) {
		const struct address *a = &place->found.a[i];
		bool v6 = a->family == AF_INET6;
		char text[ADDRESS_TEXT_MAX];

		len += (size_t)snprintf(
			entry + len, ENTRY_MAX - len, "%s%s%s%s", i ? "," : "",
			v6 ? "[" : "", address_to_text(a, text), v6 ? "]" : "");
	}
}

static void on_found(void *arg, const struct lookup_result *found)
{
	struct way_ask *ask = arg;
	struct way *way = ask->way;
	char entry[ENTRY_MAX];
	const char *error = NULL;

	if (found->n) {
		keep(way, ask->place, found);
		if (let_out(way))
			error = "the packet filter does not let it out";
		entry_write(ask->place, entry);
	} else {
		error = "its name does not resolve";
	}
	ask->done(ask->arg, error ? NULL : entry, error);
	free(ask);
}

/* It is known where it is. */
static int ready(struct way *way, const struct place *place, char **entry)
{
	char text[ENTRY_MAX];

	entry_write(place, text);
	*entry = strdup(text);
	if (!*entry)
		return -ENOMEM;
	return let_out(way) ? -EIO : 1;
}

static int find(struct way *way, struct place *place, char **entry,
		struct way_ask *ask)
{
	struct lookup_result found = {.ttl_s = KEEP_MAX_S, .n = 1};
	int ret;

	if (address_from_text(&found.a[0], place->host) == 0) {
		keep(way, place, &found);
		return let_out(way) ? -EIO : 1;
	}
	/* libcurl takes it for loopback, RFC 6761. */
	if (strcasecmp(place->host, "localhost") == 0)
		return 1;
	if (place->until_ms > uv_now(way->settings.loop))
		return ready(way, place, entry);
	ret = lookup_start(&ask->lookup, way->settings.resolvers, place->host,
			   &found, on_found, ask);
	if (ret == 1) {
		keep(way, place, &found);
		return ready(way, place, entry);
	}
	return ret;
}

int way_find(struct way *way, const char *url, char **entry,
	     void (*done)(void *arg, const char *entry, const char *error),
	     void *arg, struct way_ask **out)
{
	struct way_ask *ask = calloc(1, sizeof(*ask));
	struct place wanted = {.port = 0};
	int ret = ask ? read_url(url, &wanted) : -ENOMEM;

	*entry = NULL;
	if (!ret) {
		*ask = (struct way_ask){
			.way = way,
			.place = place_of(way, &wanted),
			.done = done,
			.arg = arg,
		};
		ret = ask->place ? find(way, ask->place, entry, ask) : -E2BIG;
	}
	if (ret) {
		free(ask);
		return ret;
	}
	*out = ask;
	return 0;
}

void way_cancel(struct way_ask *ask)
{
	if (!ask)
		return;
	lookup_cancel(ask->lookup);
	free(ask);
}
