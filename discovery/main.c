/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opensandbox-discovery: list and watch what the providers know, and feed it
 * to a gateway and to the node's agent until asked to end.
 */
#include "docker/docker.h"
#include "feed/feed.h"
#include "health/health.h"
#include "kubernetes/kubernetes.h"
#include "privileges.h"
#include "provider.h"
#include "settings.h"

#include "http/http.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	SIGNALS = 2,
};

/* Each is declared by its room's header. */
static const struct provider *const providers[] = {
	&docker_provider, &kubernetes_provider, NULL, /* ends them */
};

enum {
	PROVIDERS_MAX = 7,
};

struct program {
	struct settings settings;
	void *provider_settings[PROVIDERS_MAX];
	void *opened[PROVIDERS_MAX]; /* NULL: not asked for */
	uv_loop_t loop;
	struct fetcher *fetcher;
	struct feed *feed;
	struct provider_host host;
	struct health *health;
	uv_signal_t signals[SIGNALS];
	int status;
};

/* Settings */

static void help(const struct options *options)
{
	puts("usage: opensandbox-discovery --gateway URL PROVIDER... "
	     "[OPTION...]\n\n"
	     "Watches container engines and clusters for sandboxes, and feeds "
	     "what it finds to\na gateway, and policies to the node's egress "
	     "agent. Providers are --docker,\n--kubernetes and --kubeconfig "
	     "FILE.\n\n"
	     "Each option can be given in the environment too; the command "
	     "line wins.\n");
	options_help(options);
}

/* A slip of the pen, which does not stop us. */
static void log_unknown_variables(const struct options *options)
{
	const char *name;
	size_t len;

	for (size_t i = 0;
	     (name = options_unknown(options, OPTION_ENV(""), i, &len)); i++) {
		char *copy = strndup(name, len);

		log_event(LOG_WARN, NULL,
			  "a variable that is no option; it is ignored",
			  "svariable", copy, NULL);
		free(copy);
	}
}

static int settings_read(struct program *p, int argc, char **argv)
{
	struct option_table tables[PROVIDERS_MAX + 1] = {
		{option_table, &p->settings, NULL}};
	struct options options = {"opensandbox-discovery", tables, 1, help,
				  NULL};
	int err;

	for (size_t i = 0; providers[i]; i++) {
		p->provider_settings[i] =
			calloc(1, providers[i]->settings_size);
		if (!p->provider_settings[i]) {
			log_fatal("no memory");
			return -1;
		}
		tables[options.n++] = (struct option_table){
			providers[i]->options, p->provider_settings[i], NULL};
	}
	err = options_defaults(&options);
	if (!err)
		err = options_environment(&options);
	if (!err)
		err = options_arguments(&options, argc, argv);
	if (!err)
		log_unknown_variables(&options);
	return err;
}

static bool wanted(const struct program *p, size_t i)
{
	return providers[i]->wanted(p->provider_settings[i]);
}

static int settings_complete(const struct program *p)
{
	size_t n = 0;

	for (size_t i = 0; providers[i]; i++)
		n += wanted(p, i);
	if (!p->settings.gateway[0] && !p->settings.agent[0]) {
		log_fatal("expected --gateway or --agent: whom to feed; see "
			  "--help");
		return -1;
	}
	if (n == 0) {
		log_fatal("expected --docker, --kubernetes or --kubeconfig: "
			  "whom to watch; see --help");
		return -1;
	}
	return 0;
}

/* The life of the program */

static void on_signal(uv_signal_t *handle, int number)
{
	struct program *p = handle->data;

	(void)number;
	uv_stop(&p->loop);
}

/* All is listed and fed, or something of it failed: with --once, the end. */
static void on_settled(void *arg, bool ok)
{
	struct program *p = arg;

	if (!p->settings.once)
		return;
	p->status = ok ? EXIT_OK : EXIT_FAILED;
	uv_stop(&p->loop);
}

static void signals_open(struct program *p)
{
	static const int numbers[SIGNALS] = {SIGTERM, SIGINT};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < SIGNALS; i++) {
		uv_signal_init(&p->loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], on_signal, numbers[i]);
	}
}

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static int feed_start(struct program *p)
{
	struct feed_settings settings = {
		.loop = &p->loop,
		.gateway = text_or_null(p->settings.gateway),
		.token_file = text_or_null(p->settings.token_file),
		.agent = text_or_null(p->settings.agent),
		.settled = on_settled,
		.arg = p,
	};

	if (fetcher_open(&p->fetcher, &p->loop, NULL)) {
		log_fatal("no memory");
		return -1;
	}
	settings.fetcher = p->fetcher;
	return feed_open(&p->feed, &settings);
}

static int providers_open(struct program *p)
{
	p->host = (struct provider_host){
		.loop = &p->loop,
		.fetcher = p->fetcher,
		.feed = p->feed,
		.gateway = p->settings.gateway[0],
		.agent = p->settings.agent[0],
		.allow_loopback = p->settings.allow_loopback,
		.node_name = text_or_null(p->settings.node_name),
	};

	for (size_t i = 0; providers[i]; i++) {
		if (wanted(p, i) && providers[i]->open(&p->opened[i], &p->host,
						       p->provider_settings[i]))
			return -1;
	}
	return 0;
}

/* Does it connect to unix sockets, which may be others' files? */
static bool needs_sockets(const struct program *p)
{
	bool sockets = p->settings.agent[0] ||
		       strncmp(p->settings.gateway, "unix:", 5) == 0;

	for (size_t i = 0; providers[i]; i++)
		sockets |= wanted(p, i) && providers[i]->socket &&
			   providers[i]->socket(p->provider_settings[i]);
	return sockets;
}

static int start(struct program *p)
{
	const char *address = p->settings.http_addr;
	int err;

	signals_open(p);
	if (feed_start(p) || providers_open(p) ||
	    (address[0] && health_open(&p->health, &p->loop, address, p->feed)))
		return -1;
	err = privileges_drop(needs_sockets(p));
	if (err)
		log_fatal("cannot drop privileges: %s", strerror(-err));
	return err;
}

static void end(struct program *p)
{
	health_close(p->health);
	for (size_t i = 0; providers[i]; i++)
		if (p->opened[i])
			providers[i]->close(p->opened[i]);
	feed_close(p->feed);
	fetcher_close(p->fetcher);
	for (size_t i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	uv_loop_close(&p->loop);
}

static int run(struct program *p)
{
	uv_loop_init(&p->loop);
	p->status = EXIT_FAILED;
	if (start(p) == 0) {
		p->status = EXIT_OK;
		uv_run(&p->loop, UV_RUN_DEFAULT);
	}
	end(p);
	return p->status;
}

int main(int argc, char **argv)
{
	struct program p = {.status = EXIT_OK};
	int status;

	log_set_program("opensandbox-discovery");
	status = settings_read(&p, argc, argv);
	if (status == 0)
		status = settings_complete(&p);
	if (status) {
		status = status > 0 ? EXIT_OK : EXIT_USAGE;
	} else {
		log_set_level(p.settings.log_level);
		status = run(&p);
	}
	for (size_t i = 0; i < PROVIDERS_MAX; i++)
		free(p.provider_settings[i]);
	return status;
}
