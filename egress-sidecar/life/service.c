/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "agent/agent.h"
#include "api/api.h"
#include "outlets/outlets.h"
#include "sandbox/sandbox.h"

#include "log/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	FLUSH_MS = 2000 /* for the last metrics, while the rest goes on */
};

/* Everything that a worker holds. */
struct worker {
	const struct service *service;
	struct settings settings; /* the service's, with resolvers of now */
	uv_loop_t loop;
	uv_signal_t signals[3];
	struct always_rules *always;
	struct sandbox_shared shared;
	struct outlets outlets;
	struct egress_path *path; /* NULL: we are not in a sandbox */
	bool stopping;
	struct filter_kernel kernel;
	struct front_pools pools;
	struct gate_pools gates;
	struct sandbox *sandbox; /* the only one, NULL: there is an agent */
	struct sandbox_list only;
	const struct sandbox_list *list; /* it, or the agent's */
	struct agent *agent;
	struct http *http;
	struct pull *pull;
	struct otlp *otlp;
	struct folder_watch *watch;
	struct resolv_conf_watch *resolv_conf;
};

/* Always-files */

/* All sandboxes or none. */
static int always_put(struct worker *w, const struct always_rules *always)
{
	char message[256];
	int err = 0;
	size_t i;

	for (i = 0; i < w->list->n && !err; i++)
		err = sandbox_always(w->list->at[i], always, message);
	while (err && --i > 0)
		(void)sandbox_always(w->list->at[i - 1], w->always, message);
	return err;
}

static void always_warn(const struct always_rules *always)
{
	const struct rules *const list[] = {always->deny, always->allow,
					    always->log_skip};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i]->warnings)
			log_event(LOG_WARN, NULL,
				  "always-files were not taken as they are "
				  "written",
				  "jwarnings", list[i]->warnings, NULL);
}

static void always_reload(void *arg)
{
	struct worker *w = arg;
	struct policy_error fault = {.index = -1};
	struct always_rules *always = NULL;
	int err =
		always_load(&always, w->service->settings->always_dir, &fault);

	if (err) {
		log_event(EVENT(event_update_failed),
			  "always-files not read again", "serror",
			  fault.message, NULL);
		return;
	}
	if (always_put(w, always)) {
		always_free(always);
		return;
	}
	always_warn(always);
	always_free(w->always);
	w->always = always;
	w->shared.always = always;
}

static int always_start(struct worker *w)
{
	struct policy_error fault = {.index = -1};
	int err = always_load(&w->always, w->service->settings->always_dir,
			      &fault);

	if (err)
		log_fatal("%s", fault.message);
	else
		always_warn(w->always);
	return err;
}

/* Signals */

static void worker_stop(struct worker *w)
{
	bool learn = w->service->settings->learn;

	log_event(LOG_INFO, NULL,
		  learn ? "stopping; the namespace is released"
			: "stopping; the rules stay",
		  NULL);
	folder_watch_close(w->watch);
	resolv_conf_watch_close(w->resolv_conf);
	otlp_close(w->otlp);
	pull_close(w->pull);
	http_close(w->http);
	agent_close(w->agent);
	sandbox_close(w->sandbox, learn);
	webhook_close(w->shared.webhook);
	outlets_close(&w->outlets);
	egress_path_close(w->path);
	resolvers_close(w->shared.resolvers);
	for (size_t i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&w->signals[i], NULL);
}

static void on_flushed(void *arg)
{
	worker_stop(arg);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct worker *w = handle->data;

	if (number == SIGHUP) {
		always_reload(w);
		return;
	}
	/* Asked twice, we do not wait for anybody. */
	if (w->stopping || !w->otlp) {
		worker_stop(w);
		return;
	}
	w->stopping = true;
	otlp_flush(w->otlp, FLUSH_MS, on_flushed, w);
}

static int signals_start(struct worker *w)
{
	const int numbers[3] = {SIGTERM, SIGINT, SIGHUP};
	sigset_t set;
	int err = 0;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < 3 && !err; i++) {
		uv_signal_init(&w->loop, &w->signals[i]);
		w->signals[i].data = w;
		err = uv_signal_start(&w->signals[i], on_signal, numbers[i]);
		sigaddset(&set, numbers[i]);
	}
	/* Those that came during the start are delivered now. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return err;
}

/* Resolvers */

static void resolvers_from_file(struct worker *w)
{
	struct resolvers_settings *to = &w->settings.resolvers;
	struct resolv_conf found;

	if (!w->settings.follow_resolv_conf)
		return;
	resolv_conf_read(&found, RESOLV_CONF_PATH);
	memcpy(to->address, found.address, sizeof(to->address));
	to->n = found.n;
	if (found.n_left_out)
		log_event(LOG_WARN, NULL,
			  RESOLV_CONF_PATH " names too many resolvers; the "
					   "first are taken",
			  "itaken", (long long)found.n, "ileft_out",
			  (long long)found.n_left_out, NULL);
	if (!found.n)
		log_event(LOG_WARN, NULL,
			  RESOLV_CONF_PATH
			  " names no resolver, and neither does --dns-upstream "
			  "(OPENSANDBOX_EGRESS_DNS_UPSTREAM): questions are "
			  "answered SERVFAIL until it does",
			  NULL);
}

/* The packet filter is told first: it lets our questions out. */
static void on_resolv_conf(void *arg)
{
	struct worker *w = arg;
	struct resolvers_settings *now = &w->settings.resolvers;
	struct resolvers_settings *old = malloc(sizeof(*old));

	if (!old)
		return;
	*old = *now;
	resolvers_from_file(w);
	if (!resolvers_same(old, now)) {
		log_event(LOG_INFO, NULL, RESOLV_CONF_PATH " has changed",
			  "iresolvers", (long long)now->n, NULL);
		if (w->settings.run == RUN_SIDECAR && w->sandbox)
			(void)sandbox_resolvers(w->sandbox);
		resolvers_replace(w->shared.resolvers, now);
		if (w->settings.run == RUN_SIDECAR)
			resolvers_look_for_loops(w->shared.resolvers);
	}
	free(old);
}

static int follow_resolv_conf(struct worker *w)
{
	return w->settings.follow_resolv_conf
		       ? resolv_conf_watch_open(&w->resolv_conf, &w->loop,
						RESOLV_CONF_PATH,
						on_resolv_conf, w)
		       : 0;
}

/* Start-up, in order */

static int let_out(void *arg, const struct filter_peer *peers, size_t n)
{
	const struct worker *w = arg;

	return w->sandbox ? sandbox_let_out(w->sandbox, peers, n) : -EAGAIN;
}

/* In the sandbox's own namespace our requests need a path out of it. */
static int path_start(struct worker *w)
{
	const struct settings *settings = w->service->settings;
	const struct egress_path_settings path = {
		.loop = &w->loop,
		.resolvers = w->shared.resolvers,
		.mark = settings->resolvers.mark,
		.let_out = let_out,
		.arg = w,
	};
	int err = settings->run == RUN_SIDECAR
			  ? egress_path_open(&w->path, &path)
			  : 0;

	if (w->path)
		w->outlets.path = egress_path_fetch(w->path);
	return err;
}

static int shared_start(struct worker *w)
{
	const struct settings *settings = &w->settings;
	const char *why = NULL;
	int err;

	outlets_init(&w->outlets, &w->loop);
	w->shared.loop = &w->loop;
	w->shared.kernel = &w->kernel;
	front_pools_init(&w->pools);
	w->shared.pools = &w->pools;
	if (settings->gate)
		gate_pools_init(&w->gates, settings->run == RUN_AGENT);
	w->shared.gates = &w->gates;
	w->shared.settings = settings;
	w->shared.always = w->always;
	w->shared.outlets = &w->outlets;
	err = resolvers_open(&w->shared.resolvers, &w->loop,
			     &settings->resolvers, &why);
	if (err) {
		log_fatal("resolvers: %s: %s", why ? why : "cannot open",
			  strerror(-err));
		return err;
	}
	err = path_start(w);
	if (!err && settings->webhook_url[0])
		err = webhook_open(&w->shared.webhook, &w->outlets,
				   settings->webhook_url,
				   settings->deny_webhook_token,
				   settings->run == RUN_AGENT);
	if (err)
		log_fatal("OPENSANDBOX_EGRESS_DENY_WEBHOOK: %s",
			  strerror(-err));
	return err;
}

static int sandbox_start(struct worker *w, struct rules *rules)
{
	const struct settings *settings = w->service->settings;
	struct sandbox_place place = {
		.netns = -1,
		.listeners = &w->service->sockets->listeners,
		.xdp = w->service->sockets->xdp,
	};
	char message[256];
	int err;

	if (w->service->sockets->netns >= 0)
		place.netns = dup(w->service->sockets->netns);
	memcpy(place.id, settings->sandbox_id, sizeof(place.id));
	memcpy(place.policy_file, settings->policy_file,
	       sizeof(place.policy_file));
	err = sandbox_open(&w->sandbox, &w->shared, &place, rules, message);
	if (err)
		log_fatal("%s", message);
	return err;
}

static void log_common(const struct settings *settings)
{
	json_t *fields = json_object();

	if (settings->sandbox_id[0])
		json_object_set_new(fields, "sandbox_id",
				    json_string(settings->sandbox_id));
	for (size_t i = 0; i < settings->n_attrs; i++)
		json_object_set_new(fields, settings->attrs[i].key,
				    json_string(settings->attrs[i].value));
	log_set_common(fields);
	log_set_level(settings->log_level);
}

/* A slip of the pen, or what only another sidecar knows: neither stops us. */
static void log_unknown_variables(void)
{
	struct option_table table = {option_table, NULL, NULL};
	const struct options options = {.tables = &table, .n = 1};
	const char *name;
	size_t len;

	for (size_t i = 0;
	     (name = options_unknown(&options, OPTIONS_PREFIX, i, &len)); i++) {
		char *copy = strndup(name, len);

		log_event(LOG_WARN, NULL,
			  "a variable that is no option; it is ignored",
			  "svariable", copy, NULL);
		free(copy);
	}
}

/* Who says which sandboxes there are. */
static int agent_start(struct worker *w)
{
	char message[256];
	int err = agent_open(&w->agent, w->service->sockets->http,
			     w->service->sockets->metrics, &w->shared, message);

	if (err)
		log_fatal("%s", message);
	else
		w->list = agent_sandboxes(w->agent);
	return err;
}

/* What speaks for the sandbox to the outside. */
static int control_start(struct worker *w)
{
	const struct service *service = w->service;
	const struct settings *settings = service->settings;
	int err;

	err = http_open(&w->http, service->sockets->http, w->list, &w->shared,
			settings->run == RUN_SIDECAR);
	if (!err && settings->policy_url[0])
		err = pull_open(&w->pull, &w->outlets, w->sandbox,
				settings->policy_url, settings->policy_token,
				settings->max_rules);
	if (err)
		log_fatal("HTTP: %s", strerror(-err));
	return err;
}

/* The sandbox of sidecar and join mode, or those of the agent. */
static int sandboxes_start(struct worker *w, struct rules *rules)
{
	int err;

	if (w->service->settings->run == RUN_AGENT)
		return agent_start(w);
	w->list = &w->only;
	err = sandbox_start(w, rules);
	if (err)
		return err;
	w->only = (struct sandbox_list){&w->sandbox, 1};
	if (w->settings.run == RUN_SIDECAR)
		resolvers_look_for_loops(w->shared.resolvers);
	return control_start(w);
}

static int worker_start(struct worker *w, struct rules *rules)
{
	int err = always_start(w);

	if (!err)
		err = shared_start(w);
	if (err) {
		rules_free(rules);
		return err;
	}
	err = sandboxes_start(w, rules);
	if (!err)
		err = follow_resolv_conf(w);
	if (!err)
		err = signals_start(w);
	if (!err)
		err = otlp_open(&w->otlp, &w->outlets, w->list,
				w->service->settings);
	if (!err && folder_watch_open(&w->watch, &w->loop,
				      w->service->settings->always_dir,
				      always_reload, w))
		log_event(LOG_WARN, NULL,
			  "always-files are not watched; send SIGHUP", NULL);
	return err;
}

int service_run(void *arg, int ready)
{
	struct worker w = {.service = arg};
	struct rules *rules;
	int err;

	/* The supervisor's death kills a worker, whose rules stay; one that
	 * learns is ended by it instead, and releases the namespace. */
	if (w.service->settings->learn)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	log_common(w.service->settings);
	log_unknown_variables();
	w.settings = *w.service->settings;
	resolvers_from_file(&w);
	if (first_policy(&rules, w.service->settings))
		return EXIT_STARTUP;
	uv_loop_init(&w.loop);
	if (worker_start(&w, rules))
		return EXIT_STARTUP;
	err = privileges_drop(w.service->settings);
	if (err) {
		log_fatal("cannot drop privileges: %s", strerror(-err));
		return EXIT_STARTUP;
	}
	if (write(ready, "+", 1) != 1)
		return EXIT_STARTUP;
	close(ready);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	uv_loop_close(&w.loop);
	always_free(w.always);
	log_set_common(NULL);
	return EXIT_OK;
}
