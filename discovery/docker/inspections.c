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
	TIMEOUT_MS = 10 * 1000,
	ANSWER_MAX = 16 << 20, /* bytes; all labels are in it */
	URL_MAX = 64 + CONTAINER_ID_MAX,
};

struct inspection {
	struct inspections *all;
	struct inspection *next; /* waiting, or of later */
	struct fetch *fetch;     /* NULL: it waits */
	json_t *container;       /* while its network's container is asked for;
				    owned */
	unsigned tries;
	bool listed; /* the listing waits for it */
	bool again;  /* something happened while it was asked for */
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

	if (!err && !t.ids[0][0])
		feed_delete(all->list, it->id);
	else if (!err)
		err = feed_put(all->list, it->id, &sandbox);
	if (err)
		refuse(it, container, t.why[0] ? t.why : strerror(-err));
	translation_free(&t);
}

static void fail(struct inspection *it, const char *why);
static void retry(uv_timer_t *timer);
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
	if (++it->tries == TRIES_MAX) {
		snprintf(text, sizeof(text), "it cannot be inspected: %.120s",
			 why);
		refuse(it, NULL, text);
		finish(it);
		return;
	}
	it->next = all->later;
	all->later = it;
	if (!uv_is_active((uv_handle_t *)&all->timer))
		uv_timer_start(&all->timer, retry, RETRY_MS, 0);
}

static void fail_of(struct inspection *it, const struct fetch_result *result)
{
	char text[32];

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

static void retry(uv_timer_t *timer)
{
	struct inspections *all = timer->data;
	struct inspection *it;

	while ((it = all->later)) {
		all->later = it->next;
		append(all, it);
	}
	pump(all);
}

void inspections_init(struct inspections *all)
{
	all->last = &all->first;
	uv_timer_init(all->host->loop, &all->timer);
	all->timer.data = all;
}

int inspections_add(struct inspections *all, const char *id, bool listed)
{
	struct inspection *const *found = tfind(id, &all->by_id, compare_id);
	struct inspection *it = found ? *found : NULL;

	if (!is_id(id))
		return 0;
	if (it) {
		it->again |= it->fetch != NULL;
	} else {
		it = calloc(1, sizeof(*it));
		if (!it)
			return -ENOMEM;
		it->all = all;
		memcpy(it->id, id, strlen(id) + 1);
		if (!tsearch(it, &all->by_id, compare)) {
			free(it);
			return -ENOMEM;
		}
		append(all, it);
	}
	if (listed && !it->listed) {
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
	all->first = all->later = NULL;
	all->last = &all->first;
	all->n_running = 0;
	all->n_listed = 0;
	uv_timer_stop(&all->timer);
}
