/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's client, one a source: the whole source first and whenever it
 * is in doubt what the gateway knows, then record by record. An event's record
 * is sent at once; records leave in the order of their events.
 */
#include "inner.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHECK_MS = 1000,     /* between looks whether it still knows us */
	CONFLICT_CHECKS = 5, /* looks between two tries of conflicts */
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 5000,
	RETRY_AFTER_MAX_S = 30,
	SEND_MS = 10 * 1000,
	WHOLE_MS = 120 * 1000,
	MANY = 256,            /* waiting records that may go one by one */
	MANY_OF = 16,          /* or such a part of all */
	ANSWER_MAX = 16 << 20, /* bytes: the conflicts of a source */
	URL_MAX = 1024,
};

static uint32_t now_ms(const struct source *source)
{
	return (uint32_t)uv_now(source->feed->settings.loop);
}

/* Requests */

static int request(struct source *source, const char *method, const char *path,
		   const char *body, size_t body_len, long timeout_ms,
		   void (*done)(void *arg, const struct fetch_result *result),
		   void *arg, struct fetch **out)
{
	const struct feed *feed = source->feed;
	char url[URL_MAX];
	struct fetch_request r = {
		.url = url,
		.method = method,
		.body = body,
		.body_len = body_len,
		.body_lent = body_len > 0,
		.timeout_ms = timeout_ms,
		.answer_max = ANSWER_MAX,
		.socket = feed->socket,
		.direct = true,
		.headers = {"Accept: application/json",
			    "User-Agent: opensandbox-discovery",
			    "Content-Type: application/json"},
	};

	if (!body)
		r.headers[2] = NULL;
	if (feed->token)
		r.headers[body ? 3 : 2] = token_header(feed->token);
	if (snprintf(url, sizeof(url), "%s%s", feed->base, path) >=
	    (int)sizeof(url))
		return -ENAMETOOLONG;
	return fetch_start(feed->settings.fetcher, &r, done, arg, out);
}

/* Failures */

/* "status 507: no memory for the record" */
static char *error_of(const struct fetch_result *result)
{
	json_t *answer;
	const char *message;
	char *error;

	if (result->error)
		return strdup(result->error);
	answer = json_loadb(result->body, result->len, 0, NULL);
	message = json_string_value(json_object_get(answer, "message"));
	if (!message && result->status == 413)
		message = "its client_max_body_size is below what all records "
			  "take";
	if (asprintf(&error, "status %ld%s%.200s", result->status,
		     message ? ": " : "", message ? message : "") < 0)
		error = NULL;
	json_decref(answer);
	return error;
}

/* Said once until it changes or ends. */
static void failed(struct source *source, const struct fetch_result *result)
{
	const struct feed_settings *settings = &source->feed->settings;
	char *error = error_of(result);

	source->n_failures++;
	if (result->status == 401 && source->feed->token)
		token_doubt(source->feed->token);
	if (error && (!source->error || strcmp(source->error, error) != 0))
		log_event(EVENT(event_failed),
			  "cannot feed the gateway; it serves what it knows",
			  "ssource", source->name, "sgateway",
			  settings->gateway, "serror", error, NULL);
	free(source->error);
	source->error = error;
	if (settings->settled)
		settings->settled(settings->arg, false);
}

static void recovered(struct source *source)
{
	if (source->error)
		log_event(LOG_INFO, event_failed.name,
			  "the gateway answers again", "ssource", source->name,
			  "sgateway", source->feed->settings.gateway, NULL);
	free(source->error);
	source->error = NULL;
	source->backoff_ms = BACKOFF_FIRST_MS;
}

/* What is queued goes with all the rest then. */
static void whole_later(struct source *source, uint64_t delay_ms)
{
	struct claim *claim;

	queue_whole(source, delay_ms);
	while ((claim = queue_take(source)))
		claim_tidy(source, claim);
}

/* Longer if the gateway says so. */
static void back_off(struct source *source, const struct fetch_result *result)
{
	uint64_t delay = fetch_back_off(&source->backoff_ms, BACKOFF_MAX_MS);
	uint64_t told = result->retry_after_s < RETRY_AFTER_MAX_S
				? (uint64_t)result->retry_after_s
				: (uint64_t)RETRY_AFTER_MAX_S;

	whole_later(source, told * 1000 > delay ? told * 1000 : delay);
}

static bool is_done(const struct fetch_result *result)
{
	return !result->error && result->status >= 200 && result->status < 300;
}

/* A 400's "field" and "message"; to be released. */
static json_t *fault_of(const struct fetch_result *result, const char **field,
			const char **message)
{
	json_t *answer = json_loadb(result->body, result->len, 0, NULL);

	*field = json_string_value(json_object_get(answer, "field"));
	*message = json_string_value(json_object_get(answer, "message"));
	return answer;
}

/* All records at once */

static void note_conflicts(struct source *source, const json_t *conflicts)
{
	size_t i;
	json_t *id;

	json_array_foreach(conflicts, i, id)
	{
		const char *text = json_string_value(id);
		struct claim *claim = text ? claim_find(source, text) : NULL;

		if (claim)
			claim->listed = true;
	}
}

static void whole_taken(struct source *source,
			const struct fetch_result *result)
{
	json_t *answer = json_loadb(result->body, result->len, 0, NULL);
	const json_t *conflicts = json_object_get(answer, "conflicts");

	source->n_feeds++;
	source->lag_ms = now_ms(source) - source->whole_since_ms;
	recovered(source);
	log_event(EVENT(event_fed), "fed all records", "ssource", source->name,
		  "jadded", json_object_get(answer, "added"), "jchanged",
		  json_object_get(answer, "changed"), "jremoved",
		  json_object_get(answer, "removed"), "jconflicts", conflicts,
		  NULL);
	note_conflicts(source, conflicts);
	claims_conflicts(source);
	json_decref(answer);
	source->fed = true;
}

/* Does it name a record that it does not take? That one is left out then. */
static bool whole_refused(struct source *source,
			  const struct fetch_result *result)
{
	const char *field, *message;
	struct claim *claim = NULL;
	json_t *answer;
	size_t index;

	if (result->error || result->status != 400)
		return false;
	answer = fault_of(result, &field, &message);
	if (field && sscanf(field, "[%zu]", &index) == 1) {
		claim = body_claim(source, index);
		if (claim)
			claim_refuse(source, claim, field, message);
	}
	json_decref(answer);
	return claim != NULL;
}

static void on_whole(void *arg, const struct fetch_result *result)
{
	struct source *source = arg;

	source->whole = NULL;
	if (is_done(result)) {
		whole_taken(source, result);
	} else if (whole_refused(source, result)) {
		whole_later(source, 0);
	} else {
		failed(source, result);
		back_off(source, result);
	}
	free(source->body);
	source->body = NULL;
	queue_wake(source);
	feed_settle(source->feed);
}

static void not_started(struct source *source)
{
	struct fetch_result result = {.error = "cannot start a request"};

	failed(source, &result);
	back_off(source, &result);
}

static void send_whole(struct source *source)
{
	char path[128];

	source->whole_due = false;
	source->body = body_of_source(source, &source->body_len);
	snprintf(path, sizeof(path), "/v1/sandboxes?source=%s", source->name);
	if (source->body &&
	    request(source, "PUT", path, source->body, source->body_len,
		    WHOLE_MS, on_whole, source, &source->whole) == 0)
		return;
	free(source->body);
	source->body = NULL;
	source->whole = NULL;
	not_started(source);
}

/* One record */

static bool one_refused(struct send *send, const struct fetch_result *result)
{
	const char *field, *message;
	json_t *answer;

	if ((result->status != 400 && result->status != 413) || send->deletes)
		return false;
	/* What is newer has not been judged. */
	if (send->claim->again)
		return true;
	answer = fault_of(result, &field, &message);
	claim_refuse(send->source, send->claim, field,
		     message ? message : "no reason is told");
	json_decref(answer);
	return true;
}

static bool one_taken(struct send *send, const struct fetch_result *result)
{
	struct source *source = send->source;
	struct claim *claim = send->claim;

	if (result->status == 409) {
		claim->fed = false;
		claim_set_conflict(source, claim, !send->deletes);
		return true;
	}
	if (!is_done(result) && !(send->deletes && result->status == 404))
		return false;
	claim_set_conflict(source, claim, false);
	claim->fed = !send->deletes;
	source->n_feeds++;
	source->lag_ms = now_ms(source) - claim->since_ms;
	return true;
}

static void on_sent(void *arg, const struct fetch_result *result)
{
	struct send *send = arg;
	struct source *source = send->source;
	struct claim *claim = send->claim;
	bool again;

	send->fetch = NULL;
	source->n_sending--;
	if (!result->error &&
	    (one_taken(send, result) || one_refused(send, result))) {
		if (!source->whole_due)
			recovered(source);
	} else {
		failed(source, result);
		/* Of those under way together the first one counts. */
		if (!source->whole_due)
			back_off(source, result);
	}
	again = claim->again;
	claim->sending = claim->again = false;
	if (again)
		queue_add(source, claim);
	claim_tidy(source, claim);
	queue_wake(source);
	feed_settle(source->feed);
}

static struct send *free_send(struct source *source)
{
	size_t i = 0;

	while (source->sends[i].fetch) {
		i++;
		assert(i < SENDS_MAX);
	}
	return &source->sends[i];
}

static void send_one(struct source *source, struct claim *claim)
{
	struct send *send = free_send(source);
	char path[256], *body = NULL;
	int err = -ENOMEM;

	send->source = source;
	send->claim = claim;
	send->deletes = claim->verdict == ABSENT;
	snprintf(path, sizeof(path), "/v1/sandboxes/%s?source=%s", claim->id,
		 source->name);
	if (!send->deletes)
		body = body_of_claim(claim);
	if (body || send->deletes)
		err = request(source, send->deletes ? "DELETE" : "PUT", path,
			      body, 0, SEND_MS, on_sent, send, &send->fetch);
	free(body);
	if (err) {
		send->fetch = NULL;
		not_started(source);
		return;
	}
	claim->fed |= !send->deletes;
	claim->sending = true;
	source->n_sending++;
}

/* Send what is next. */

static bool is_much(const struct source *source)
{
	return source->n_waiting > MANY &&
	       source->n_waiting > source->n_records / MANY_OF;
}

static void on_wake(uv_timer_t *wake)
{
	struct source *source = wake->data;
	struct claim *claim;

	if (source->whole)
		return;
	if (!source->whole_due && is_much(source))
		whole_later(source, 0);
	if (source->whole_due) {
		if (source->n_sending == 0)
			send_whole(source);
		return;
	}
	while (source->n_sending < SENDS_MAX && !source->whole_due &&
	       (claim = queue_take(source))) {
		if (claim->left_out ||
		    (claim->verdict == ABSENT && !claim->fed))
			claim_tidy(source, claim);
		else
			send_one(source, claim);
	}
}

/* Does the gateway still know us? */

static void on_checked(void *arg, const struct fetch_result *result)
{
	struct source *source = arg;

	source->check = NULL;
	/* What is fed in the meantime tells more. */
	if (source->whole || source->whole_due)
		return;
	if (is_done(result)) {
		recovered(source);
	} else if (!result->error && result->status == 404) {
		log_event(EVENT(event_fed),
			  "the gateway has begun anew; feeding all records",
			  "ssource", source->name, NULL);
		source->fed = false;
		whole_later(source, 0);
	} else {
		failed(source, result);
	}
}

static void on_check(uv_timer_t *timer)
{
	struct source *source = timer->data;
	char path[128];

	if (source->check || source->whole || source->whole_due)
		return;
	if (++source->checks % CONFLICT_CHECKS == 0 && source->n_conflicts)
		claims_retry(source);
	snprintf(path, sizeof(path), "/v1/sources/%s", source->name);
	if (request(source, "GET", path, NULL, 0, SEND_MS, on_checked, source,
		    &source->check))
		source->check = NULL;
}

void gateway_open(struct source *source)
{
	source->backoff_ms = BACKOFF_FIRST_MS;
	source->run = on_wake;
	uv_timer_start(&source->check_timer, on_check, CHECK_MS, CHECK_MS);
}

void gateway_close(struct source *source)
{
	for (size_t i = 0; i < SENDS_MAX; i++)
		fetch_cancel(source->sends[i].fetch);
	fetch_cancel(source->whole);
	fetch_cancel(source->check);
	free(source->body);
	free(source->error);
}
