/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "api/api.h"
#include "http/http.h"
#include "life/life.h"
#include "log/log.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	INTERVAL_MS = 60 * 1000,
	INTERVAL_MIN_MS = 100,
	TIMEOUT_MS = 10 * 1000,
	ANSWER_MAX = 64 * 1024,
	HEADERS_OWN_MAX = FETCH_HEADERS_MAX - 1,
};

struct otlp {
	uv_timer_t timer;
	struct fetch *fetch; /* under way */
	const struct sandbox_list *list;
	const struct settings *settings;
	char *url;
	char *headers[HEADERS_OWN_MAX]; /* "Name: value" */
	size_t n_headers;
	json_t *resource;
	uint64_t start_ns, interval_ms;
	long timeout_ms;
	bool failing;
	struct outlets *outlets;
	struct outlet outlet;
	void (*flushed)(void *arg); /* NULL: not asked to flush */
	void *flushed_arg;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Pushing */

static void on_flushed(uv_timer_t *timer)
{
	struct otlp *o = timer->data;

	o->flushed(o->flushed_arg);
}

/* Said once, until it works again; a lost push is made up for by the next,
 * since all points are cumulative. */
static void on_done(void *arg, const struct fetch_result *result)
{
	struct otlp *o = arg;
	bool ok =
		!result->error && result->status >= 200 && result->status < 300;

	o->fetch = NULL;
	if (!ok && !o->failing)
		log_event(LOG_WARN, NULL, "metrics push failed", "surl", o->url,
			  "serror", result->error, "istatus",
			  (long long)result->status, NULL);
	else if (ok && o->failing)
		log_event(LOG_INFO, NULL, "metrics push works again", "surl",
			  o->url, NULL);
	o->failing = !ok;
	o->outlet.counts.queued = 0;
	if (ok)
		outlet_sent(&o->outlet);
	else
		o->outlet.counts.failed++;
	/* Not from here: who waits for it closes us. */
	if (o->flushed)
		uv_timer_start(&o->timer, on_flushed, 0, 0);
}

static void push(struct otlp *o)
{
	struct fetch_request request = {
		.url = o->url,
		.method = "POST",
		.timeout_ms = o->timeout_ms,
		.answer_max = ANSWER_MAX,
		.headers = {"Content-Type: application/json"},
	};
	struct process_counts process;
	json_t *body;
	char *text;

	process_counts(&process);
	body = otlp_body(o->list->at, o->list->n, &process, o->settings,
			 o->resource, o->start_ns, now_ns());
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!text)
		return;
	request.body = text;
	for (size_t i = 0; i < o->n_headers; i++)
		request.headers[i + 1] = o->headers[i];
	o->outlet.counts.queued = 1;
	if (fetch_start(o->outlets->fetcher, &request, on_done, o, &o->fetch)) {
		o->fetch = NULL;
		o->outlet.counts.queued = 0;
		o->outlet.counts.failed++;
	}
	free(text);
}

static void on_timer(uv_timer_t *timer)
{
	struct otlp *o = timer->data;

	if (!o->fetch)
		push(o);
	else
		o->outlet.counts.dropped++;
}

void otlp_flush(struct otlp *o, uint64_t limit_ms, void (*done)(void *arg),
		void *arg)
{
	/* What is under way knows less. */
	fetch_cancel(o->fetch);
	o->fetch = NULL;
	o->flushed = done;
	o->flushed_arg = arg;
	push(o);
	uv_timer_start(&o->timer, on_flushed, o->fetch ? limit_ms : 0, 0);
}

/* The standard variables */

/* What the metrics' own variable says, else the common one; NULL: neither. */
static const char *variable(const char *own, const char *common)
{
	const char *value = getenv(own);

	if (!value || !value[0])
		value = common ? getenv(common) : NULL;
	return value && value[0] ? value : NULL;
}

static bool is_true(const char *name)
{
	const char *value = getenv(name);

	return value && strcasecmp(value, "true") == 0;
}

static uint64_t milliseconds(const char *own, const char *common,
			     uint64_t otherwise)
{
	const char *value = variable(own, common);
	char *end;
	unsigned long n;

	if (!value)
		return otherwise;
	n = strtoul(value, &end, 10);
	return *end || n == 0 || n > 86400000 ? otherwise : n;
}

static bool has_path(const char *url)
{
	const char *host = strstr(url, "://");

	host = host ? strchr(host + 3, '/') : NULL;
	return host && host[1];
}

/*
 * A common endpoint is a base; the metrics' own is the whole URL, but one
 * without a path can only mean the usual one, since no collector listens on
 * "/". NULL: none is named, or out of memory.
 */
static char *endpoint(void)
{
	const char *own = variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", NULL);
	const char *base =
		own ? own : variable("OTEL_EXPORTER_OTLP_ENDPOINT", NULL);
	const char *exporter = variable("OTEL_METRICS_EXPORTER", NULL);
	char *url = NULL;
	size_t len;

	if (!base || is_true("OTEL_SDK_DISABLED") ||
	    (exporter && strcmp(exporter, "none") == 0))
		return NULL;
	if (own && has_path(own))
		return strdup(own);
	len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		len--;
	if (asprintf(&url, "%.*s/v1/metrics", (int)len, base) < 0)
		return NULL;
	return url;
}

static const char *headers_read(struct otlp *o)
{
	const char *text = variable("OTEL_EXPORTER_OTLP_METRICS_HEADERS",
				    "OTEL_EXPORTER_OTLP_HEADERS");
	const char *why = NULL, *key;
	json_t *object, *value;

	if (!text)
		return NULL;
	object = json_object();
	if (otlp_pairs(object, text))
		why = "OTEL_EXPORTER_OTLP_HEADERS: expected key=value pairs";
	json_object_foreach(object, key, value)
	{
		char *line;

		if (why)
			break;
		if (o->n_headers == HEADERS_OWN_MAX)
			why = "OTEL_EXPORTER_OTLP_HEADERS: too many headers";
		else if (asprintf(&line, "%s: %s", key,
				  json_string_value(value)) < 0)
			why = "out of memory";
		else
			o->headers[o->n_headers++] = line;
	}
	json_decref(object);
	return why;
}

static const char *resource_read(struct otlp *o)
{
	const char *attributes = variable("OTEL_RESOURCE_ATTRIBUTES", NULL);
	const char *name = variable("OTEL_SERVICE_NAME", NULL);

	o->resource = json_object();
	json_object_set_new(
		o->resource, "service.name",
		json_string("opensandbox-egress-" OPENSANDBOX_VERSION));
	if (attributes && otlp_pairs(o->resource, attributes))
		return "OTEL_RESOURCE_ATTRIBUTES: expected key=value pairs";
	if (name)
		json_object_set_new(o->resource, "service.name",
				    json_string(name));
	return NULL;
}

/* What cannot be used, NULL: nothing. */
static const char *otlp_read(struct otlp *o)
{
	const char *protocol = variable("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
					"OTEL_EXPORTER_OTLP_PROTOCOL");
	const char *why;

	if (strncmp(o->url, "http://", 7) && strncmp(o->url, "https://", 8))
		return "OTEL_EXPORTER_OTLP_ENDPOINT: expected an http:// or "
		       "https:// URL";
	if (protocol && strcmp(protocol, "grpc") == 0)
		return "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not spoken, "
		       "expected http/json";
	o->interval_ms =
		milliseconds("OTEL_METRIC_EXPORT_INTERVAL", NULL, INTERVAL_MS);
	if (o->interval_ms < INTERVAL_MIN_MS)
		o->interval_ms = INTERVAL_MIN_MS;
	o->timeout_ms =
		(long)milliseconds("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
				   "OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT_MS);
	why = headers_read(o);
	return why ? why : resource_read(o);
}

/* Life */

static void otlp_free(struct otlp *o)
{
	for (size_t i = 0; i < o->n_headers; i++)
		free(o->headers[i]);
	json_decref(o->resource);
	free(o->url);
	free(o);
}

int otlp_open(struct otlp **out, struct outlets *outlets,
	      const struct sandbox_list *list, const struct settings *settings)
{
	char *url = endpoint();
	const char *why;
	struct otlp *o;
	int err;

	*out = NULL;
	if (!url)
		return 0;
	o = calloc(1, sizeof(*o));
	if (!o) {
		free(url);
		return -ENOMEM;
	}
	o->url = url;
	o->list = list;
	o->settings = settings;
	o->start_ns = now_ns();
	why = otlp_read(o);
	if (why)
		log_event(LOG_WARN, NULL, "metrics are not pushed", "serror",
			  why, NULL);
	err = why ? 0 : outlets_fetcher_open(outlets);
	if (why || err) {
		otlp_free(o);
		return err;
	}
	o->outlets = outlets;
	outlet_add(outlets, &o->outlet, "otlp", "");
	uv_timer_init(outlets->loop, &o->timer);
	o->timer.data = o;
	uv_timer_start(&o->timer, on_timer, o->interval_ms, o->interval_ms);
	*out = o;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	otlp_free(handle->data);
}

void otlp_close(struct otlp *o)
{
	if (!o)
		return;
	outlet_remove(o->outlets, &o->outlet);
	fetch_cancel(o->fetch);
	uv_close((uv_handle_t *)&o->timer, on_closed);
}
