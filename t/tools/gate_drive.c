/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate alone, without a policy or rules of the kernel's, driven by lines on
 * standard input; answers each with one line on standard output. What it
 * refuses is told on standard error. For system tests of connections.
 *
 *   gate_drive [--netns NAME] [--mark N] [--audit] PORT
 *
 *   names NAME@ADDRESS ...   these are allowed, in place of those before
 *   counts | quit
 */
#include "gate/gate.h"
#include "host/host.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ALLOWED_MAX = 64,
	BACKLOG = 4096
};

static struct {
	struct domain_name name;
	struct address address;
} allowed[ALLOWED_MAX];

static size_t n_allowed;
static struct gate *gate;
static struct gate_pools pools;
static uv_pipe_t input;
static char line[16384];
static size_t filled;

static bool leads(void *arg, const struct domain_name *name,
		  const struct address *a, uint16_t port)
{
	(void)arg;
	(void)port;
	for (size_t i = 0; i < n_allowed; i++)
		if (domain_name_equal(&allowed[i].name, name) &&
		    address_compare(&allowed[i].address, a) == 0)
			return true;
	return false;
}

static void refused(void *arg, const struct gate_refusal *r)
{
	char name[DOMAIN_NAME_TEXT_MAX] = "-";
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

	(void)arg;
	if (r->name)
		domain_name_to_text(r->name, name);
	fprintf(stderr, "refused %s %s %s %s %u%s\n",
		gate_reason_text(r->reason), name,
		address_to_text(&r->source, source),
		address_to_text(&r->destination, destination), r->port,
		r->audit ? " audit" : "");
}

static int names(char *list)
{
	char *save, *at, *item = strtok_r(list, " ", &save);
	const char *why;

	for (n_allowed = 0; item && n_allowed < ALLOWED_MAX; n_allowed++) {
		at = strchr(item, '@');
		if (!at)
			return -EINVAL;
		*at = '\0';
		if (domain_name_from_text(&allowed[n_allowed].name, item,
					  &why) ||
		    address_from_text(&allowed[n_allowed].address, at + 1))
			return -EINVAL;
		item = strtok_r(NULL, " ", &save);
	}
	gate_policy_changed(gate);
	return 0;
}

static void counts(void)
{
	struct gate_counts c;

	gate_counts(gate, &c);
	printf("ok accepted=%" PRIu64 " allowed=%" PRIu64 " mismatch=%" PRIu64
	       " no_name=%" PRIu64 " malformed=%" PRIu64 " dropped=%" PRIu64
	       " failed=%" PRIu64 " open=%" PRIu64 "\n",
	       c.accepted, c.allowed, c.refused[GATE_MISMATCH],
	       c.refused[GATE_NO_NAME], c.refused[GATE_MALFORMED], c.dropped,
	       c.failed, c.open);
}

static void quit(void)
{
	if (uv_is_closing((uv_handle_t *)&input))
		return;
	gate_close(gate);
	uv_close((uv_handle_t *)&input, NULL);
}

static void command(char *text)
{
	if (strncmp(text, "names ", 6) == 0)
		puts(names(text + 6) ? "error names" : "ok");
	else if (strcmp(text, "counts") == 0)
		counts();
	else if (strcmp(text, "quit") == 0)
		quit();
	else
		puts("error command");
	fflush(stdout);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
	(void)handle;
	(void)hint;
	*out = uv_buf_init(line + filled,
			   (unsigned)(sizeof(line) - 1 - filled));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	char *end;

	(void)stream;
	(void)buffer;
	if (n < 0) {
		quit();
		return;
	}
	filled += (size_t)n;
	line[filled] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		command(line);
		filled -= (size_t)(end + 1 - line);
		memmove(line, end + 1, filled + 1);
	}
}

static int listener(int ns, int family, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(port),
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = netns_socket(ns, family, SOCK_STREAM, 0);
	const int on = 1;
	int ret;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		ret = bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	else
		ret = bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	return ret < 0 || listen(fd, BACKLOG) < 0 ? -errno : fd;
}

static void goes(void *arg, const struct gate_way *way)
{
	(void)arg;
	(void)way;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"netns", required_argument, NULL, 'n'},
		{"mark", required_argument, NULL, 'm'},
		{"audit", no_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	const struct gate_owner owner = {.leads = leads,
					 .allows = leads,
					 .refused = refused,
					 .goes = goes};
	struct gate_settings s = {
		.netns = -1, .tcp4 = -1, .tcp6 = -1, .pools = &pools};
	uv_loop_t *loop = uv_default_loop();
	int c, ret;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'n')
			s.netns = netns_open(optarg);
		else if (c == 'm')
			s.mark = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 'a')
			s.audit = true;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	gate_pools_init(&pools, false);
	s.port = (uint16_t)strtoul(argv[optind], NULL, 10);
	s.tcp4 = listener(s.netns, AF_INET, s.port);
	s.tcp6 = listener(s.netns, AF_INET6, s.port);
	ret = s.tcp4 < 0 ? s.tcp4 : s.tcp6 < 0 ? s.tcp6 : 0;
	if (ret == 0)
		ret = gate_open(&gate, loop, &s, &owner);
	if (ret < 0) {
		printf("error %d %s\n", ret, strerror(-ret));
		return 1;
	}
	uv_pipe_init(loop, &input, 0);
	uv_pipe_open(&input, STDIN_FILENO);
	uv_read_start((uv_stream_t *)&input, on_alloc, on_read);
	puts("ok");
	fflush(stdout);
	uv_run(loop, UV_RUN_DEFAULT);
	close(s.tcp4);
	close(s.tcp6);
	if (s.netns >= 0)
		close(s.netns);
	return uv_loop_close(loop) ? 1 : 0;
}
