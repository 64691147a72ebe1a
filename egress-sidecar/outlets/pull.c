/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "http/http.h"
#include "log/log.h"
#include "policy/policy.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WAIT_S = 30, /* what we ask the gateway to wait for a change */
	TIMEOUT_MS = 45 * 1000,
	PACE_MS = 1000,      /* from one request to the next, after news */
	UNCHANGED_MS = 5000, /* and after none, where it does not wait */
	BACKOFF_FIRST_MS = 1000,
	BACKOFF_MAX_MS = 30 * 1000,
	ETAG_MAX = 256,
};

struct pull {
	struct outlets *outlets;
	struct outlet outlet;
	struct sandbox *sandbox;
	struct fetch *fetch;
	uv_timer_t timer;
	char *url;
	char *authorization; /* header line, NULL: none */
	size_t max_rules;
	char etag[ETAG_MAX]; /* of the last answer, "": none */
	uint64_t refused;    /* hash of the last body that was no policy */
	uint64_t started_ms;
	uint32_t backoff_ms;
	bool failing;
};

static void pull_ask(struct pull *p);

static void on_timer(uv_timer_t *timer)
{
	pull_ask(timer->data);
}

/* Ask again once at least ms have passed since the last request. */
static void ask_later(struct pull *p, uint64_t ms)
{
	uint64_t passed = uv_now(p->outlets->loop) - p->started_ms;

	uv_timer_start(&p->timer, on_timer, passed < ms ? ms - passed : 0, 0);
}

static void back_off(struct pull *p)
{
	uv_timer_start(&p->timer, on_timer,
		       fetch_back_off(&p->backoff_ms, BACKOFF_MAX_MS), 0);
}

/* The gateway has no answer for us. Said once, until it has one again. */
static void failed(struct pull *p, const char *error, long status)
{
	p->outlet.counts.failed++;
	if (!p->failing)
		log_event(LOG_WARN, NULL,
			  "policy URL failed; the last policy stays", "surl",
			  p->url, "serror", error, "istatus", (long long)status,
			  "ssandbox_id", sandbox_id(p->sandbox), NULL);
	p->failing = true;
	back_off(p);
}

static void recovered(struct pull *p)
{
	if (p->failing)
		log_event(LOG_INFO, NULL, "policy URL answers again", "surl",
			  p->url, "ssandbox_id", sandbox_id(p->sandbox), NULL);
	p->failing = false;
	p->backoff_ms = BACKOFF_FIRST_MS;
}

/* FNV-1a: tells a body that was already complained about. */
static uint64_t hash(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	while (len-- > 0)
		h = (h ^ (unsigned char)*text++) * 0x100000001b3u;
	return h;
}

static void refused(struct pull *p, const struct fetch_result *result,
		    const char *message)
{
	uint64_t h = hash(result->body, result->len);

	p->outlet.counts.failed++;
	if (h != p->refused)
		log_event(EVENT(event_update_failed),
			  "policy URL gave no policy; the last one stays",
			  "surl", p->url, "serror", message, "setag",
			  result->etag, "ssandbox_id", sandbox_id(p->sandbox),
			  NULL);
	p->refused = h;
}

static void keep_etag(struct pull *p, const char *etag)
{
	p->etag[0] = '\0';
	if (etag && strlen(etag) < sizeof(p->etag))
		memcpy(p->etag, etag, strlen(etag) + 1);
}

static void take(struct pull *p, const struct fetch_result *result)
{
	struct policy_error fault = {.index = -1};
	struct rules *rules;
	char message[256];
	int err = rules_from_text(&rules, result->body, result->len,
				  p->max_rules, &fault);

	if (err == -ENOMEM) {
		failed(p, "out of memory", result->status);
		return;
	}
	if (!err && result->len == strspn(result->body, " \t\r\n")) {
		/* null and {} are policies; nothing at all is a broken
		 * gateway. */
		rules_free(rules);
		refused(p, result, "the answer is empty");
	} else if (err) {
		refused(p, result, fault.message);
	} else if (sandbox_replace(p->sandbox, rules, message)) {
		/* The sandbox has said so; the same answer is worth another
		 * try. */
		p->outlet.counts.failed++;
		back_off(p);
		return;
	} else {
		outlet_sent(&p->outlet);
		p->refused = 0;
	}
	recovered(p);
	keep_etag(p, result->etag);
	ask_later(p, p->etag[0] ? PACE_MS : WAIT_S * 1000);
}

static void on_done(void *arg, const struct fetch_result *result)
{
	struct pull *p = arg;

	p->fetch = NULL;
	if (result->error) {
		failed(p, result->error, result->status);
	} else if (result->status == 304 && p->etag[0]) {
		outlet_sent(&p->outlet);
		recovered(p);
		ask_later(p, UNCHANGED_MS);
	} else if (result->status == 200) {
		take(p, result);
	} else {
		failed(p, "unexpected status", result->status);
	}
}

static void pull_ask(struct pull *p)
{
	char match[ETAG_MAX + 32], prefer[32];
	struct fetch_request request = {
		.url = p->url,
		.method = "GET",
		.timeout_ms = TIMEOUT_MS,
		.answer_max = POLICY_BODY_MAX,
		.headers = {"Accept: application/json"},
	};
	size_t n = 1;

	p->started_ms = uv_now(p->outlets->loop);
	if (p->authorization)
		request.headers[n++] = p->authorization;
	if (p->etag[0]) {
		snprintf(match, sizeof(match), "If-None-Match: %s", p->etag);
		snprintf(prefer, sizeof(prefer), "Prefer: wait=%d", WAIT_S);
		request.headers[n++] = match;
		request.headers[n++] = prefer;
	}
	if (fetch_start(p->outlets->fetcher, &request, on_done, p, &p->fetch))
		failed(p, "cannot start a request", 0);
}

static void pull_free(struct pull *p)
{
	free(p->url);
	free(p->authorization);
	free(p);
}

int pull_open(struct pull **out, struct outlets *outlets,
	      struct sandbox *sandbox, const char *url, const char *token,
	      size_t max_rules)
{
	struct pull *p = calloc(1, sizeof(*p));
	int err = 0;

	if (!p)
		return -ENOMEM;
	p->outlets = outlets;
	p->sandbox = sandbox;
	p->max_rules = max_rules;
	p->backoff_ms = BACKOFF_FIRST_MS;
	p->url = strdup(url);
	err = p->url ? outlet_bearer(&p->authorization, token) : -ENOMEM;
	if (!err)
		err = outlets_fetcher_open(outlets);
	if (err) {
		pull_free(p);
		return err;
	}
	outlet_add(outlets, &p->outlet, "policy_url", sandbox_id(sandbox));
	uv_timer_init(outlets->loop, &p->timer);
	p->timer.data = p;
	pull_ask(p);
	*out = p;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	pull_free(handle->data);
}

void pull_close(struct pull *p)
{
	if (!p)
		return;
	outlet_remove(p->outlets, &p->outlet);
	if (p->fetch)
		fetch_cancel(p->fetch);
	uv_close((uv_handle_t *)&p->timer, on_closed);
}
