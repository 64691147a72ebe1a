/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "http/http.h"
#include "log/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BODY_MAX = 1024, /* bytes of a request's */
	BACKLOG = 64,
};

struct health {
	const struct feed *feed;
	struct server *server;
	int listen_fd;
};

/* What is missing, a line each. */
struct missing {
	FILE *out;
	bool any;
	bool sources; /* there are some */
};

static void list_missing(void *arg, const struct feed_list_report *report)
{
	struct missing *missing = arg;

	if (report->complete)
		return;
	missing->any = true;
	fprintf(missing->out, "%s: %s not listed yet%s%s\n", report->source,
		report->name, report->error ? ": " : "",
		report->error ? report->error : "");
}

static void source_missing(void *arg, const struct feed_source_report *report)
{
	struct missing *missing = arg;

	missing->sources = true;
	if (report->fed)
		return;
	missing->any = true;
	fprintf(missing->out, "%s: the gateway is not fed yet%s%s\n",
		report->source, report->error ? ": " : "",
		report->error ? report->error : "");
}

static void agent_missing(void *arg, const struct agent_report *report)
{
	struct missing *missing = arg;

	if (!report->waiting)
		return;
	missing->any = true;
	fprintf(missing->out, "the agent is not told all policies yet%s%s\n",
		report->error ? ": " : "", report->error ? report->error : "");
}

static void answer_healthz(const struct feed *feed, struct reply *reply)
{
	struct missing missing = {.any = false};
	const struct feed_report to = {&missing, list_missing, source_missing,
				       agent_missing};
	char *text = NULL;
	size_t len;

	missing.out = open_memstream(&text, &len);
	if (!missing.out) {
		reply_text(reply, 500, "out of memory");
		return;
	}
	feed_report(feed, &to);
	if (fclose(missing.out) || missing.any || !missing.sources) {
		*reply = (struct reply){.status = 503,
					.type = "text/plain; charset=utf-8",
					.body = text};
		return;
	}
	free(text);
	reply_text(reply, 200, "ok");
}

static void answer(void *arg, const struct server_request *request,
		   struct reply *reply)
{
	const struct health *health = arg;
	bool healthz = strcmp(request->path, "/healthz") == 0;

	if (!healthz && strcmp(request->path, "/metrics") != 0) {
		reply_text(reply, 404, "not found");
	} else if (strcmp(request->method, "GET") != 0 &&
		   strcmp(request->method, "HEAD") != 0) {
		reply_method(reply, "GET, HEAD");
	} else if (healthz) {
		answer_healthz(health->feed, reply);
	} else {
		*reply = (struct reply){
			.status = 200,
			.type = "text/plain; version=0.0.4; charset=utf-8",
			.body = metrics_text(health->feed)};
	}
}

/* A literal address and a port. A descriptor or -errno. */
static int listen_on(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_flags =
					       AI_NUMERICHOST | AI_NUMERICSERV,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int fd, one = 1, err;

	if (getaddrinfo(host, port, &hints, &found))
		return -EINVAL;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		fd = err;
	}
	freeaddrinfo(found);
	return fd;
}

/* "127.0.0.1:9100", "[::1]:9100"; ":9100" is any address, of both families
 * where the kernel has both. */
static int listen_at(const char *address)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	char host[64];
	int fd;

	if (!colon || !colon[1] || len >= sizeof(host))
		return -EINVAL;
	if (len == 0) {
		fd = listen_on("::", colon + 1);
		return fd == -EAFNOSUPPORT ? listen_on("0.0.0.0", colon + 1)
					   : fd;
	}
	if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	memcpy(host, address, len);
	host[len] = '\0';
	return listen_on(host, colon + 1);
}

int health_open(struct health **out, uv_loop_t *loop, const char *address,
		const struct feed *feed)
{
	struct health *health = calloc(1, sizeof(*health));
	struct server_settings settings = {
		.body_max = BODY_MAX, .arg = health, .answer = answer};
	int err = -ENOMEM;

	if (health) {
		health->feed = feed;
		health->listen_fd = listen_at(address);
		settings.listen_fd = health->listen_fd;
		err = health->listen_fd < 0
			      ? health->listen_fd
			      : server_open(&health->server, loop, &settings);
	}
	if (!err) {
		*out = health;
		return 0;
	}
	log_fatal("--http-addr: \"%s\": %s", address, strerror(-err));
	if (health && health->listen_fd >= 0)
		close(health->listen_fd);
	free(health);
	return err;
}

void health_close(struct health *health)
{
	if (!health)
		return;
	server_close(health->server);
	close(health->listen_fd);
	free(health);
}
