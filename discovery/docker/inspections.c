/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RUNNING_MAX = 8, /* requests at a time */
	TRIES_MAX = 3,
	RETRY_MS = 1000,
	HEALTH_TICK_MS = 1000,
	HEALTH_MS = 5000,  /* from look to look where no event tells */
	CHECKED_MS = 2000, /* from an event to the look after it */
	TIMEOUT_MS = 10 * 1000,
	ANSWER_MAX = 16 << 20, /* bytes; all labels are in it */
	URL_MAX = 64 + CONTAINER_ID_MAX,
};

struct inspection {
	struct inspections *all;
	enum inspection_state {
		WAITING,
		RUNNING,
		FAILED, /* waits for the retry timer */
		IDLE,   /* waits for the health timer */
	} state;
	struct inspection *next; /* waiting */
	struct fetch *fetch;     /* running; NULL: not at present */
	json_t *container;       /* while its network's container is asked for;
				    owned */
	uint64_t due_ms;         /* idle (loop's time) */
	unsigned tries;
	bool has_health;
	bool checked; /* told of, and not looked at after that */
	bool listed;  /* the listing waits for it */
	bool again;   /* something happened while it was asked for */
	char id[CONTAINER_ID_MAX + 1];
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct inspection *)a)->id,
		      ((const struct inspection *)b)->id);
}

static int compare_id(const void *id, const void *inspection)
{
	return strcmp(id, ((const struct inspection *)inspection)->id);
}

static void append(struct inspections *all, struct inspection *it)
{
	it->state = WAITING;
	it->next = NULL;
	*all->last = it;
	all->last = &it->next;
}

static void inspection_free(struct inspection *it)
{
	if (it->fetch)
		fetch_cancel(it->fetch);
	json_decref(it->container);
	free(it);
}

static void on_retry(uv_timer_t *timer);
static void health_watch(struct inspections *all);

/* It is known what the container is, or that this cannot be known. */
static void finish(struct inspection *it)
{
	struct inspections *all = it->all;
	bool last = it->listed && --all->n_listed == 0;

	json_decref(it->container);
	it->container = NULL;
	it->listed = false;
	it->tries = 0;
	if (it->again) {
		it->again = false;
		append(all, it);
	} else if (it->has_health && (it->checked || !all->health_told)) {
		it->state = IDLE;
		it->due_ms = uv_now(all->host->loop) +
			     (it->checked ? CHECKED_MS : HEALTH_MS);
		it->checked = false;
		health_watch(all);
	} else {
		tdelete(it, &all->by_id, compare);
		inspection_free(it);
	}
	if (last)
		all->listed(all->arg);
}

static void refuse(struct inspection *it, const json_t *container,
		   const char *why)
{
	const char *name =
		json_string_value(json_object_get(container, "Name"));
	char text[TRANSLATE_WHY_MAX + 100];

	snprintf(text, sizeof(text), "container \"%.64s\": %s",
		 name ? name + (name[0] == '/') : "", why);
	feed_refuse(it->all->list, it->id, name ? text : why);
}

static void feed(struct inspection *it, const json_t *container,
		 const json_t *network)
{
	struct inspections *all = it->all;
	struct translation t = {.allow_loopback = all->host->allow_loopback};
	int err = docker_translate(&t, container, network, all->settings);
	struct feed_sandbox sandbox = translation_sandbox(&t);

	it->has_health = !err && docker_has_health(container);
	if (!err && !t.ids[0][0])
		feed_delete(all->list, it->id);
	else if (!err)
		err = feed_put(all->list, it->id, &sandbox);
	if (err)
		refuse(it, container, t.why[0] ? t.why : strerror(-err));
	translation_free(&t);
}

static void fail(struct inspection *it, const char *why);
static void on_container(void *arg, const struct fetch_result *result);
static void on_network(void *arg, const struct fetch_result *result);

static void ask(struct inspection *it, const char *id,
		void (*done)(void *arg, const struct fetch_result *result))
{
	struct inspections *all = it->all;
	char url[URL_MAX];
	struct fetch_request request = {
		.url = url,
		.method = "GET",
		.timeout_ms = TIMEOUT_MS,
		.answer_max = ANSWER_MAX,
		.socket = all->settings->socket,
	};
	int err;

	snprintf(url, sizeof(url), "http://localhost/containers/%s/json", id);
	err = fetch_start(all->host->fetcher, &request, done, it, &it->fetch);
	if (err)
		fail(it, strerror(-err));
	else
		all->n_running++;
}

/* The engine cannot say at present, or not of this one. */
static void fail(struct inspection *it, const char *why)
{
	struct inspections *all = it->all;
	char text[TRANSLATE_WHY_MAX];

	json_decref(it->container);
	it->container = NULL;
	it->has_health = false;
	if (++it->tries == TRIES_MAX) {
		snprintf(text, sizeof(text), "it cannot be inspected: %.120s",
			 why);
		refuse(it, NULL, text);
		finish(it);
		return;
	}
	it->state = FAILED;
	if (!uv_is_active((uv_handle_t *)&all->retry))
		uv_timer_start(&all->retry, on_retry, RETRY_MS, 0);
}

static void fail_of(struct inspection *it, const struct fetch_result *result)
{
	struct inspections *all = it->all;
	char text[32];

	if (result->status == 0 && result->error &&
	    all->lost(all->arg, result->error))
		return;
	snprintf(text, sizeof(text), "status %ld", result->status);
	fail(it, result->error ? result->error : text);
}

static void pump(struct inspections *all)
{
	while (all->first && all->n_running < RUNNING_MAX) {
		struct inspection *it = all->first;

		all->first = it->next;
		if (!all->first)
			all->last = &all->first;
		it->state = RUNNING;
		ask(it, it->id, on_container);
	}
}

/* The answer's object, NULL: it is none. */
static json_t *answer_of(struct inspection *it,
			 const struct fetch_result *result)
{
	json_t *answer = NULL;

	it->fetch = NULL;
	it->all->n_running--;
	if (!result->error && result->status == 200)
		answer = json_loadb(result->body, result->len, 0, NULL);
	if (json_is_object(answer))
		return answer;
	json_decref(answer);
	return NULL;
}

static bool is_gone(const struct fetch_result *result)
{
	return !result->error && result->status == 404;
}

static bool is_id(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= CONTAINER_ID_MAX &&
	       text[strspn(text, "0123456789abcdef")] == '\0';
}

static void on_container(void *arg, const struct fetch_result *result)
{
	struct inspection *it = arg;
	struct inspections *all = it->all;
	const char *network;

	it->container = answer_of(it, result);
	network = it->container ? docker_network_of(it->container) : NULL;
	if (network && is_id(network)) {
		ask(it, network, on_network);
	} else if (it->container) {
		feed(it, it->container, it->container);
		finish(it);
	} else if (is_gone(result)) {
		it->has_health = false;
		feed_delete(all->list, it->id);
		finish(it);
	} else {
		fail_of(it, result);
	}
	pump(all);
}

static void on_network(void *arg, const struct fetch_result *result)
{
	struct inspection *it = arg;
	struct inspections *all = it->all;
	json_t *network = answer_of(it, result);

	if (network || is_gone(result)) {
		feed(it, it->container, network ? network : it->container);
		finish(it);
	} else {
		fail_of(it, result);
	}
	json_decref(network);
	pump(all);
}

/* All that are in the state, and due, wait for their turn again. */
struct revival {
	struct inspections *all;
	enum inspection_state state;
	uint64_t now_ms;
	bool more; /* some are not due yet */
};

static void revive_one(const void *node, VISIT visit, void *arg)
{
	struct inspection *it = *(struct inspection *const *)node;
	struct revival *revival = arg;

	if ((visit != postorder && visit != leaf) ||
	    it->state != revival->state)
		return;
	if (it->state == IDLE && it->due_ms > revival->now_ms)
		revival->more = true;
	else
		append(revival->all, it);
}

static bool revive(struct inspections *all, enum inspection_state state)
{
	struct revival revival = {
		.all = all, .state = state, .now_ms = uv_now(all->host->loop)};

	twalk_r(all->by_id, revive_one, &revival);
	pump(all);
	return revival.more;
}

static void on_retry(uv_timer_t *timer)
{
	revive(timer->data, FAILED);
}

static void on_health(uv_timer_t *timer)
{
	if (revive(timer->data, IDLE))
		health_watch(timer->data);
}

static void health_watch(struct inspections *all)
{
	if (!uv_is_active((uv_handle_t *)&all->health))
		uv_timer_start(&all->health, on_health, HEALTH_TICK_MS, 0);
}

void inspections_open(struct inspections *all)
{
	uv_timer_t *timers[] = {&all->retry, &all->health};

	all->last = &all->first;
	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++) {
		uv_timer_init(all->host->loop, timers[i]);
		timers[i]->data = all;
		all->open_handles++;
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct inspections *all = handle->data;

	if (--all->open_handles == 0)
		all->closed(all->arg);
}

void inspections_close(struct inspections *all, void (*closed)(void *arg))
{
	inspections_clear(all);
	all->closed = closed;
	uv_close((uv_handle_t *)&all->retry, on_closed);
	uv_close((uv_handle_t *)&all->health, on_closed);
}

static struct inspection *inspection_new(struct inspections *all,
					 const char *id)
{
	struct inspection *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->all = all;
	memcpy(it->id, id, strlen(id) + 1);
	if (!tsearch(it, &all->by_id, compare)) {
		free(it);
		return NULL;
	}
	append(all, it);
	return it;
}

int inspections_add(struct inspections *all, const char *id,
		    enum inspection_cause cause)
{
	struct inspection *const *found = tfind(id, &all->by_id, compare_id);
	struct inspection *it = found ? *found : NULL;

	if (!is_id(id))
		return 0;
	if (it && (it->state == IDLE || it->state == FAILED))
		append(all, it);
	else if (it)
		it->again |= it->state == RUNNING;
	else
		it = inspection_new(all, id);
	if (!it)
		return -ENOMEM;
	it->checked |= cause == CHECKED;
	if (cause == LISTED && !it->listed) {
		it->listed = true;
		all->n_listed++;
	}
	pump(all);
	return 0;
}

static void free_one(void *inspection)
{
	inspection_free(inspection);
}

void inspections_clear(struct inspections *all)
{
	tdestroy(all->by_id, free_one);
	all->by_id = NULL;
	all->first = NULL;
	all->last = &all->first;
	all->n_running = 0;
	all->n_listed = 0;
	all->health_told = false;
	uv_timer_stop(&all->retry);
	uv_timer_stop(&all->health);
}
