/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a watch: which version the server has; the list, page by page;
 * then one watch after another, each from the revision that the one before came
 * to. When a revision is forgotten, or the server says ERROR, the list anew.
 */
#include "inner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 30 * 1000,
	RETRY_AFTER_MAX_S = 120,
	SOUND_MS = 1000, /* a watch that lasts so long is in order */
	ERROR_MAX = 512,
	REVISION_MAX = 128,
};

struct kube_watch {
	struct kube_watch *next, **link; /* of the kube's */
	struct kube *kube;
	const struct kube_resource *resource;
	const char *namespace;
	char name[128]; /* of the list, in logs and metrics: "team-a/pods" */
	struct feed_list *list;
	uv_timer_t timer;        /* to the next try */
	struct fetcher *fetcher; /* its own connections */
	bool renew; /* the fetcher, since a connection has failed */
	struct fetch *fetch;
	enum step {
		ASK_VERSION,
		LIST,
		WATCH,
	} step;
	const char *version;
	enum step next_step; /* once the version is known, if it is the same */
	struct scan scan;
	bool listed; /* the page has come whole */
	char *page;  /* the next one's token; NULL: the first, or none */
	char revision[REVISION_MAX];
	uint64_t began_ms; /* when the watch was answered; 0: not yet */
	uint32_t backoff_ms;
	/* Why the scan was ended: */
	bool gone;             /* the revision is forgotten */
	char error[ERROR_MAX]; /* or something else; "": nothing */
};

static void run(struct kube_watch *w);

/* Tries */

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

/* Longer if the server says so. */
static void retry(struct kube_watch *w, enum step step, long told_s)
{
	uint64_t delay = fetch_back_off(&w->backoff_ms, BACKOFF_MAX_MS);
	uint64_t told_ms;

	if (told_s > RETRY_AFTER_MAX_S)
		told_s = RETRY_AFTER_MAX_S;
	told_ms = told_s > 0 ? (uint64_t)told_s * 1000 : 0;
	w->step = step;
	uv_timer_start(&w->timer, on_timer, told_ms > delay ? told_ms : delay,
		       0);
}

static void watch_ended(struct kube_watch *w)
{
	if (w->step == WATCH && w->began_ms &&
	    uv_now(w->kube->loop) - w->began_ms >= SOUND_MS)
		w->backoff_ms = BACKOFF_FIRST_MS;
	w->fetch = NULL;
}

static void first_page(struct kube_watch *w)
{
	free(w->page);
	w->page = NULL;
}

/* From the first page. */
static void list_anew(struct kube_watch *w, bool at_once)
{
	first_page(w);
	if (at_once && w->backoff_ms == BACKOFF_FIRST_MS) {
		w->backoff_ms *= 2;
		w->step = LIST;
		uv_timer_start(&w->timer, on_timer, 0, 0);
	} else {
		retry(w, LIST, 0);
	}
}

/* What arrives */

static const struct scan_want page_metadata[] = {
	{.key = "resourceVersion"},
	{.key = "continue"},
	{.key = NULL},
};

static const struct scan_want page_wants[] = {
	{.key = "metadata", .members = page_metadata},
	{.key = "items", .members = kube_object_wants, .each = true},
	{.key = NULL},
};

static const struct scan_want event_wants[] = {
	{.key = "type"},
	{.key = "object", .members = kube_object_wants},
	{.key = NULL},
};

static json_t *load(struct kube_watch *w, const char *json, size_t len)
{
	json_error_t error;
	/* NUL may be in what an owner writes: it is judged there. */
	json_t *value =
		json_loadb(json, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);

	if (!value)
		snprintf(w->error, sizeof(w->error),
			 "what the server sent is no JSON: %s", error.text);
	return value;
}

static void set_revision(struct kube_watch *w, const json_t *object)
{
	const char *revision = json_string_value(json_object_get(
		json_object_get(object, "metadata"), "resourceVersion"));

	if (revision && revision[0] && strlen(revision) < REVISION_MAX)
		memcpy(w->revision, revision, strlen(revision) + 1);
}

static int on_item(void *arg, const char *json, size_t len, uint64_t size)
{
	struct kube_watch *w = arg;
	json_t *object = load(w, json, len);

	if (!object)
		return -ECANCELED;
	change_tell(w->list, w->resource, w->kube->allow_loopback, object, size,
		    false);
	json_decref(object);
	return 0;
}

static int on_page(void *arg, const char *json, size_t len, uint64_t size)
{
	struct kube_watch *w = arg;
	json_t *page = load(w, json, len);
	const char *next;

	(void)size;
	if (!page)
		return -ECANCELED;
	next = json_string_value(
		json_object_get(json_object_get(page, "metadata"), "continue"));
	free(w->page);
	w->page = next && next[0] ? strdup(next) : NULL;
	w->listed = true;
	set_revision(w, page);
	if (next && next[0] && !w->page)
		snprintf(w->error, sizeof(w->error), "no memory");
	json_decref(page);
	return w->error[0] ? -ECANCELED : 0;
}

static int error_event(struct kube_watch *w, const json_t *status)
{
	const char *message =
		json_string_value(json_object_get(status, "message"));
	long code = (long)json_integer_value(json_object_get(status, "code"));

	w->gone = code == 410;
	if (!w->gone)
		snprintf(w->error, sizeof(w->error),
			 "the server ended the watch: %ld %.300s", code,
			 message ? message : "");
	return -ECANCELED;
}

static int on_event(void *arg, const char *json, size_t len, uint64_t size)
{
	struct kube_watch *w = arg;
	json_t *event = load(w, json, len);
	const json_t *object = json_object_get(event, "object");
	const char *type = json_string_value(json_object_get(event, "type"));
	int ret = 0;

	if (!event)
		return -ECANCELED;
	if (!type)
		type = "";
	if (strcmp(type, "ERROR") == 0) {
		ret = error_event(w, object);
	} else if (strcmp(type, "ADDED") == 0 ||
		   strcmp(type, "MODIFIED") == 0 ||
		   strcmp(type, "DELETED") == 0) {
		set_revision(w, object);
		change_tell(w->list, w->resource, w->kube->allow_loopback,
			    object, size, type[0] == 'D');
	} else if (strcmp(type, "BOOKMARK") == 0) {
		set_revision(w, object);
	} else {
		snprintf(w->error, sizeof(w->error),
			 "the server sent an event of an unknown type: %.40s",
			 type);
		ret = -ECANCELED;
	}
	json_decref(event);
	return ret;
}

static void on_begun(void *arg)
{
	struct kube_watch *w = arg;

	w->began_ms = uv_now(w->kube->loop);
	if (w->step == WATCH)
		feed_list_ok(w->list);
}

static void on_data(void *arg, const char *piece, size_t len)
{
	struct kube_watch *w = arg;
	int err = scan_feed(&w->scan, piece, len);

	if (!err)
		return;
	fetch_cancel(w->fetch);
	watch_ended(w);
	if (w->gone) {
		list_anew(w, true);
		return;
	}
	if (!w->error[0])
		snprintf(w->error, sizeof(w->error), "%s",
			 err == -ENOMEM ? "no memory"
					: "what the server sent is no JSON");
	feed_list_failed(w->list, w->error);
	list_anew(w, false);
}

/* Answers */

static bool has_versions(const struct kube_resource *resource)
{
	return resource->versions[1] != NULL;
}

static void failed(struct kube_watch *w, const struct fetch_result *result)
{
	json_t *status = json_loadb(result->body, result->len, 0, NULL);
	const char *message =
		json_string_value(json_object_get(status, "message"));

	if (result->error)
		snprintf(w->error, sizeof(w->error), "%s", result->error);
	else
		snprintf(w->error, sizeof(w->error), "status %ld%s%.300s",
			 result->status, message ? ": " : "",
			 message ? message : "");
	json_decref(status);
	feed_list_failed(w->list, w->error);
}

static void on_failed(struct kube_watch *w, const struct fetch_result *result)
{
	enum step step = w->step;

	if (!result->error && result->status == 410) {
		list_anew(w, true);
		return;
	}
	failed(w, result);
	if (result->error) {
		w->renew = true;
	} else if (result->status == 401) {
		kube_request_refused(w->kube);
	} else if (result->status == 404 && has_versions(w->resource) &&
		   step != ASK_VERSION) {
		/* It has another one, or has just begun and knows none yet. */
		w->next_step = step;
		step = ASK_VERSION;
	}
	/* Else the list goes on with the page that failed. */
	if (result->status == 400)
		first_page(w);
	retry(w, step, result->retry_after_s);
}

/* The newest that we know of those in an APIGroup. */
static const char *version_of(const struct kube_resource *resource,
			      const json_t *group)
{
	const json_t *all = json_object_get(group, "versions");

	for (const char *const *known = resource->versions; *known; known++) {
		for (size_t i = 0; i < json_array_size(all); i++) {
			const char *has = json_string_value(json_object_get(
				json_array_get(all, i), "version"));

			if (has && strcmp(has, *known) == 0)
				return *known;
		}
	}
	return NULL;
}

static void on_version(struct kube_watch *w, const struct fetch_result *result)
{
	json_t *group = json_loadb(result->body, result->len, 0, NULL);
	const char *version = version_of(w->resource, group);

	json_decref(group);
	if (version) {
		if (version != w->version) {
			w->next_step = LIST;
			first_page(w);
		}
		w->version = version;
		w->step = w->next_step;
		run(w);
		return;
	}
	snprintf(w->error, sizeof(w->error),
		 "the server has no version of %s that is known here",
		 w->resource->group);
	feed_list_failed(w->list, w->error);
	retry(w, ASK_VERSION, 0);
}

static void on_listed(struct kube_watch *w)
{
	if (!w->listed || !scan_is_between(&w->scan)) {
		feed_list_failed(w->list, "the list ended early");
		list_anew(w, false);
		return;
	}
	if (!w->page) {
		feed_list_end(w->list);
		w->step = WATCH;
	}
	run(w);
}

static void on_watched(struct kube_watch *w)
{
	if (w->backoff_ms > BACKOFF_FIRST_MS || !w->began_ms ||
	    uv_now(w->kube->loop) - w->began_ms < SOUND_MS)
		retry(w, WATCH, 0);
	else
		run(w);
}

static void on_done(void *arg, const struct fetch_result *result)
{
	struct kube_watch *w = arg;

	watch_ended(w);
	if (result->error || result->status != 200)
		on_failed(w, result);
	else if (w->step == ASK_VERSION)
		on_version(w, result);
	else if (w->step == LIST)
		on_listed(w);
	else
		on_watched(w);
}

/* Requests */

static void scan_begin(struct kube_watch *w)
{
	scan_reset(&w->scan);
	w->scan.arg = w;
	w->scan.wants = w->step == LIST ? page_wants : event_wants;
	w->scan.element = on_item;
	w->scan.rest = w->step == LIST ? on_page : on_event;
	w->listed = w->gone = false;
	w->error[0] = '\0';
	w->began_ms = 0;
}

/* From the time-out to half as much again. */
static unsigned watch_seconds(const struct kube *kube)
{
	unsigned random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	return kube->watch_s + random % (kube->watch_s / 2 + 1);
}

/* Connections that failed, or fell silent, are not used again. */
static int fetcher_renew(struct kube_watch *w)
{
	if (!w->renew)
		return 0;
	w->renew = false;
	fetcher_close(w->fetcher);
	w->fetcher = NULL;
	return fetcher_open(&w->fetcher, w->kube->loop, NULL);
}

static void run(struct kube_watch *w)
{
	struct kube_call call = {
		.resource = w->resource,
		.version = w->step == ASK_VERSION ? NULL : w->version,
		.namespace = w->namespace,
		.watch_s = w->step == WATCH ? watch_seconds(w->kube) : 0,
		.revision = w->revision,
		.page = w->page,
		.begun = on_begun,
		.data = w->step == ASK_VERSION ? NULL : on_data,
		.done = on_done,
		.arg = w,
	};

	scan_begin(w);
	if (w->step == LIST && !w->page)
		feed_list_begin(w->list);
	if (fetcher_renew(w) ||
	    kube_request(w->kube, w->fetcher, &call, &w->fetch)) {
		w->fetch = NULL;
		w->renew = !w->fetcher;
		feed_list_failed(w->list, "cannot start a request");
		retry(w, w->step, 0);
	}
}

/* Beginning and end */

void kube_release(struct kube *kube)
{
	if (--kube->users > 0)
		return;
	kube_config_close(&kube->config);
	free(kube);
}

static void on_closed(uv_handle_t *handle)
{
	struct kube_watch *w = handle->data;

	kube_release(w->kube);
	free(w);
}

int kube_watch_open(struct kube *kube, const struct kube_resource *resource,
		    const char *namespace)
{
	struct kube_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->kube = kube;
	w->resource = resource;
	w->namespace = namespace;
	w->version = resource->versions[0];
	w->step = has_versions(resource) ? ASK_VERSION : LIST;
	w->next_step = LIST;
	w->backoff_ms = BACKOFF_FIRST_MS;
	snprintf(w->name, sizeof(w->name), "%s%s%s", namespace ? namespace : "",
		 namespace ? "/" : "",
		 resource == &kube_node_pods ? "node's pods" : resource->name);
	w->list = feed_list_open(kube->feed, kubernetes_provider.name, w->name);
	if (!w->list || fetcher_open(&w->fetcher, kube->loop, NULL)) {
		free(w);
		return -ENOMEM;
	}
	uv_timer_init(kube->loop, &w->timer);
	w->timer.data = w;
	w->link = &kube->watches;
	w->next = *w->link;
	if (w->next)
		w->next->link = &w->next;
	*w->link = w;
	kube->users++;
	uv_timer_start(&w->timer, on_timer, 0, 0);
	return 0;
}

void kube_watch_close(struct kube_watch *w)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	fetch_cancel(w->fetch);
	fetcher_close(w->fetcher);
	scan_close(&w->scan);
	free(w->page);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}
