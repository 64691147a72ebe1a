/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* {"label":["opensandbox.io/id"]} */
#define LIST_URL                                             \
	"http://localhost/containers/json?all=true&filters=" \
	"%7B%22label%22%3A%5B%22opensandbox.io%2Fid%22%5D%7D"
/* {"type":["container","network"]} */
#define EVENTS_URL                                    \
	"http://localhost/events?since=%lld&filters=" \
	"%%7B%%22type%%22%%3A%%5B%%22container%%22%%2C%%22network%%22%%5D%%7D"

#define EVENTS_ENDED "the events have ended"

enum {
	LIST_MS = 60 * 1000,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 5000,
	ERROR_MAX = 16 << 10, /* bytes of an answer that is an error */
	/* Seconds before the listing that events are asked from: one that is
	 * told twice costs an inspection, one that is missed a sandbox. */
	OVERLAP_S = 2,
	URL_MAX = 200,
};

struct engine {
	const struct provider_host *host;
	const struct docker_settings *settings;
	struct feed_list *list;
	struct inspections inspections;
	struct fetch *events, *listing; /* NULL: not under way */
	struct lines lines;
	struct id_scan scan;
	bool answered; /* the list has been answered, and not ended yet */
	uv_timer_t timer;
	uint32_t backoff_ms;
};

static void on_timer(uv_timer_t *timer);

static void session_end(struct engine *e)
{
	if (e->events)
		fetch_cancel(e->events);
	if (e->listing)
		fetch_cancel(e->listing);
	e->events = e->listing = NULL;
	e->answered = false;
	inspections_clear(&e->inspections);
	lines_free(&e->lines);
}

static void session_fail(struct engine *e, const char *error)
{
	char text[400];

	snprintf(text, sizeof(text), "%s: %s", e->settings->socket, error);
	session_end(e);
	uv_timer_start(&e->timer, on_timer,
		       fetch_back_off(&e->backoff_ms, BACKOFF_MAX_MS), 0);
	feed_list_failed(e->list, text);
}

/* What ended a request: "status 400: bad filter". */
static void session_fail_of(struct engine *e, const struct fetch_result *result)
{
	json_t *answer = json_loadb(result->body, result->len, 0, NULL);
	const char *message =
		json_string_value(json_object_get(answer, "message"));
	char text[200];

	snprintf(text, sizeof(text), "status %ld%s%.160s", result->status,
		 message ? ": " : "", message ? message : "");
	json_decref(answer);
	session_fail(e, result->error ? result->error : text);
}

/* Events */

static int take_event(void *arg, const char *line, size_t len)
{
	struct engine *e = arg;
	struct engine_event event;
	int err = engine_event_read(&event, line, len);

	if (err)
		return err;
	e->inspections.health_told |= event.health;
	return inspections_add(&e->inspections, event.id,
			       event.health ? CHECKED : CHANGED);
}

static void on_event_piece(void *arg, const char *piece, size_t len)
{
	struct engine *e = arg;
	int err = lines_add(&e->lines, piece, len, take_event, e);

	if (err == -EMSGSIZE)
		session_fail(e, "an event is too long");
	else if (err == -EINVAL)
		session_fail(e, "an event cannot be read");
	else if (err)
		session_fail(e, strerror(-err));
}

/* An engine that ends them at what it cannot read does so each time: a listing
 * under way is not given up for that. */
static void on_events_end(void *arg, const struct fetch_result *result)
{
	bool clean = !result->error && result->status == 200;
	struct engine *e = arg;

	e->events = NULL;
	if (!clean)
		session_fail_of(e, result);
	else if (!e->listing && !e->answered)
		session_fail(e, EVENTS_ENDED);
}

/* A container cannot be asked for. Without events, the engine may be away. */
static bool on_lost(void *arg, const char *error)
{
	struct engine *e = arg;

	if (e->events)
		return false;
	session_fail(e, error);
	return true;
}

/* The list */

static void on_listed(void *arg)
{
	struct engine *e = arg;

	if (!e->answered)
		return;
	e->answered = false;
	feed_list_end(e->list);
	if (e->events)
		e->backoff_ms = BACKOFF_FIRST_MS;
	else
		session_fail(e, EVENTS_ENDED);
}

static void on_id(void *arg, const char *id)
{
	struct engine *e = arg;

	if (inspections_add(&e->inspections, id, LISTED))
		e->scan.bad = true;
}

static void on_list_piece(void *arg, const char *piece, size_t len)
{
	struct engine *e = arg;

	id_scan_add(&e->scan, piece, len);
}

static void on_list_end(void *arg, const struct fetch_result *result)
{
	struct fetch_result ended = *result;
	struct engine *e = arg;

	e->listing = NULL;
	if (!ended.error && ended.status == 200 && !id_scan_complete(&e->scan))
		ended.error = "the list of containers cannot be read";
	if (ended.error || ended.status != 200) {
		session_fail_of(e, &ended);
		return;
	}
	e->answered = true;
	if (e->inspections.n_listed == 0)
		on_listed(e);
}

/* Sessions */

static void session_begin(struct engine *e)
{
	char url[URL_MAX];
	struct fetch_request events = {
		.url = url,
		.method = "GET",
		.answer_max = ERROR_MAX,
		.socket = e->settings->socket,
		.data = on_event_piece,
	};
	struct fetch_request list = {
		.url = LIST_URL,
		.method = "GET",
		.timeout_ms = LIST_MS,
		.answer_max = ERROR_MAX,
		.socket = e->settings->socket,
		.data = on_list_piece,
	};
	struct fetcher *fetcher = e->host->fetcher;
	int err;

	snprintf(url, sizeof(url), EVENTS_URL,
		 (long long)time(NULL) - OVERLAP_S);
	e->scan = (struct id_scan){.found = on_id, .arg = e};
	feed_list_begin(e->list);
	err = fetch_start(fetcher, &events, on_events_end, e, &e->events);
	if (!err)
		err = fetch_start(fetcher, &list, on_list_end, e, &e->listing);
	if (err)
		session_fail(e, strerror(-err));
}

static void on_timer(uv_timer_t *timer)
{
	session_begin(timer->data);
}

int engine_open(struct engine **out, const struct provider_host *host,
		const struct docker_settings *settings)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->list = feed_list_open(host->feed, "docker", "containers");
	if (!e->list) {
		free(e);
		return -ENOMEM;
	}
	e->host = host;
	e->settings = settings;
	e->backoff_ms = BACKOFF_FIRST_MS;
	e->inspections = (struct inspections){
		.host = host,
		.settings = settings,
		.list = e->list,
		.listed = on_listed,
		.lost = on_lost,
		.arg = e,
	};
	inspections_open(&e->inspections);
	uv_timer_init(host->loop, &e->timer);
	e->timer.data = e;
	*out = e;
	session_begin(e);
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_inspections_closed(void *arg)
{
	struct engine *e = arg;

	uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

void engine_close(struct engine *e)
{
	session_end(e);
	uv_timer_stop(&e->timer);
	inspections_close(&e->inspections, on_inspections_closed);
}
