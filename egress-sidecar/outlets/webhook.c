/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "http/http.h"
#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	QUEUE_MAX = 1024,
	SHARE_MAX = QUEUE_MAX / 16, /* of one sandbox among several */
	SHARES = 4096,
	TIMEOUT_MS = 5000,
	RETRIES = 3,
	RETRY_FIRST_MS = 1000,
	ANSWER_MAX = 64 * 1024,  /* bytes of an answer that nobody reads */
	COMPLAIN_MS = 10 * 1000, /* between log lines about failures */
};

struct denial {
	struct denial *next;
	uint16_t *share; /* that it is counted in */
	char *body;
};

struct webhook {
	struct outlets *outlets;
	struct outlet outlet;
	struct fetch *fetch; /* under way */
	uv_timer_t retry;
	char *url;
	char *authorization; /* header line, NULL: none */
	struct denial *first, **last;
	/* Denials in the queue, by the hash of their sandbox: two that meet
	 * have one share. */
	uint16_t shares[SHARES], share_max;
	unsigned tries;         /* of the first */
	uint64_t complained_ms; /* 0: never */
};

static void webhook_next(struct webhook *w);

static void denial_drop_first(struct webhook *w)
{
	struct denial *d = w->first;

	w->first = d->next;
	if (!w->first)
		w->last = &w->first;
	w->outlet.counts.queued--;
	--*d->share;
	w->tries = 0;
	free(d->body);
	free(d);
}

static void on_retry(uv_timer_t *timer)
{
	webhook_next(timer->data);
}

/* A receiver that stays away must not fill the log. */
static void complain(struct webhook *w, const char *error, long status)
{
	uint64_t now = uv_now(w->outlets->loop);

	w->outlet.counts.failed++;
	if (w->complained_ms && now - w->complained_ms < COMPLAIN_MS)
		return;
	w->complained_ms = now;
	log_event(LOG_WARN, NULL, "deny webhook failed", "serror", error,
		  "istatus", (long long)status, "ifailed",
		  (long long)w->outlet.counts.failed, "idropped",
		  (long long)w->outlet.counts.dropped, NULL);
}

static void retry_later(struct webhook *w)
{
	uv_timer_start(&w->retry, on_retry,
		       (uint64_t)RETRY_FIRST_MS << (w->tries - 1), 0);
}

/* No answer and 5xx are tried again; 3xx and 4xx will not get better. What
 * follows the status of a 2xx does not matter. */
static void on_done(void *arg, const struct fetch_result *result)
{
	struct webhook *w = arg;
	bool final = result->status >= 300 && result->status < 500;

	w->fetch = NULL;
	if (result->status >= 200 && result->status < 300) {
		outlet_sent(&w->outlet);
	} else if (!final && w->tries <= RETRIES) {
		retry_later(w);
		return;
	} else {
		complain(w, result->error, result->status);
	}
	denial_drop_first(w);
	webhook_next(w);
}

static void webhook_next(struct webhook *w)
{
	struct fetch_request request = {
		.url = w->url,
		.method = "POST",
		.timeout_ms = TIMEOUT_MS,
		.answer_max = ANSWER_MAX,
		.headers = {"Content-Type: application/json", w->authorization},
	};

	if (!w->first || w->fetch)
		return;
	request.body = w->first->body;
	w->tries++;
	if (fetch_start(w->outlets->fetcher, &request, on_done, w, &w->fetch) ==
	    0)
		return;
	if (w->tries <= RETRIES) {
		retry_later(w);
		return;
	}
	complain(w, "cannot start a request", 0);
	denial_drop_first(w);
	uv_timer_start(&w->retry, on_retry, RETRY_FIRST_MS, 0);
}

static void webhook_free(struct webhook *w)
{
	if (!w)
		return;
	free(w->url);
	free(w->authorization);
	free(w);
}

int webhook_open(struct webhook **out, struct outlets *outlets, const char *url,
		 const char *token, bool shared)
{
	struct webhook *w = calloc(1, sizeof(*w));
	int err = w ? 0 : -ENOMEM;

	if (!err) {
		w->outlets = outlets;
		w->last = &w->first;
		w->share_max = shared ? SHARE_MAX : QUEUE_MAX;
		w->url = strdup(url);
		err = w->url ? outlet_bearer(&w->authorization, token)
			     : -ENOMEM;
	}
	if (!err)
		err = outlets_fetcher_open(outlets);
	if (err) {
		webhook_free(w);
		return err;
	}
	outlet_add(outlets, &w->outlet, "webhook", "");
	uv_timer_init(outlets->loop, &w->retry);
	w->retry.data = w;
	*out = w;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	webhook_free(handle->data);
}

void webhook_close(struct webhook *w)
{
	if (!w)
		return;
	outlet_remove(w->outlets, &w->outlet);
	if (w->fetch)
		fetch_cancel(w->fetch);
	while (w->first)
		denial_drop_first(w);
	uv_close((uv_handle_t *)&w->retry, on_closed);
}

static char *denial_body(const char *hostname, const char *sandbox_id,
			 bool pending)
{
	char stamp[TIME_TEXT_SIZE];
	json_t *json;
	char *body;

	time_to_text(time(NULL), stamp);
	json = json_pack("{ss ss ss ss}", "hostname", hostname, "timestamp",
			 stamp, "source", "opensandbox-egress", "sandboxId",
			 sandbox_id);
	if (pending)
		json_object_set_new(json, "pending", json_true());
	body = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return body;
}

static uint16_t *share_of(struct webhook *w, const char *sandbox_id)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (; *sandbox_id; sandbox_id++)
		h = (h ^ (uint8_t)*sandbox_id) * 16777619U;
	return &w->shares[h % SHARES];
}

void webhook_send(struct webhook *w, const char *hostname,
		  const char *sandbox_id, bool pending)
{
	uint16_t *share = share_of(w, sandbox_id);
	struct denial *d = NULL;

	if (w->outlet.counts.queued < QUEUE_MAX && *share < w->share_max)
		d = calloc(1, sizeof(*d));
	if (d)
		d->body = denial_body(hostname, sandbox_id, pending);
	if (!d || !d->body) {
		w->outlet.counts.dropped++;
		free(d);
		return;
	}
	d->share = share;
	++*share;
	*w->last = d;
	w->last = &d->next;
	/* One that waits for its retry goes on waiting. */
	if (w->outlet.counts.queued++ == 0)
		webhook_next(w);
}
