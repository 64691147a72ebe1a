/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the node's agent. Each object that has a policy is told to the
 * agent by the id that it has there: when it changes, until it is attached, and
 * from time to time, since others may have told the agent something else.
 */
#include "inner.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTACHMENT "discovery" /* of whom nobody else has attached */

enum {
	TOLD_MAX = 16, /* requests under way */
	TELL_MS = 10 * 1000,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 5000,
	AGAIN_MS = 60 * 1000, /* between two times that all is told */
	ANSWER_MAX = 4 << 20,
	ERROR_MAX = 512,
};

enum standing {
	UNTOLD,
	IN_FORCE,
	NOT_THERE, /* not attached: it is told again and again */
	NOT_TAKEN, /* the agent has the one before */
};

/* An object's policy; key is the object's in its list. */
struct wanted {
	struct wanted *next, **link; /* of all */
	struct agent *agent;
	const struct feed_list *list;
	enum standing standing;
	pid_t pid;
	uint64_t due_ms; /* loop's time */
	uint32_t backoff_ms;
	bool attaches; /* what is under way does */
	bool again;    /* it changed meanwhile */
	struct fetch *fetch;
	char *body;  /* {"policy":...} */
	char *error; /* why it is not taken */
	char id[FEED_ID_MAX + 1];
	char key[];
};

struct agent {
	struct feed *feed;
	const struct feed_settings *settings;
	void *tree; /* tsearch(3) of wanted, by list and key */
	struct wanted *all;
	size_t n_telling;
	uint64_t not_before_ms;
	uint32_t backoff_ms;
	char error[ERROR_MAX]; /* of the agent; "": none at present */
	uv_timer_t wake;
	struct agent_report *report; /* the feed's, kept up to date */
};

static int compare(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->list != y->list)
		return (uintptr_t)x->list < (uintptr_t)y->list ? -1 : 1;
	return strcmp(x->key, y->key);
}

static struct wanted *wanted_new(struct agent *agent,
				 const struct feed_list *list, const char *key)
{
	size_t len = strlen(key);
	struct wanted *w = calloc(1, sizeof(*w) + len + 1);

	if (!w)
		return NULL;
	w->agent = agent;
	w->list = list;
	memcpy(w->key, key, len + 1);
	return w;
}

static void wanted_free(struct wanted *w)
{
	free(w->body);
	free(w->error);
	free(w);
}

/* The one of that key, made where there is none; NULL: no memory. */
static struct wanted *wanted_get(struct agent *agent,
				 const struct feed_list *list, const char *key)
{
	struct wanted *w = wanted_new(agent, list, key), **found;

	if (!w)
		return NULL;
	found = tsearch(w, &agent->tree, compare);
	if (!found || *found != w) {
		wanted_free(w);
		return found ? *found : NULL;
	}
	agent->report->policies++;
	agent->report->waiting++;
	w->link = &agent->all;
	w->next = agent->all;
	if (w->next)
		w->next->link = &w->next;
	agent->all = w;
	return w;
}

/* What counts those that stand so; NULL: nothing does. */
static uint64_t *count_of(const struct wanted *w)
{
	struct agent_report *report = w->agent->report;

	switch (w->standing) {
	case UNTOLD:
		return &report->waiting;
	case NOT_THERE:
		return &report->absent;
	case NOT_TAKEN:
		return &report->refused;
	case IN_FORCE:
		break;
	}
	return NULL;
}

static void stand(struct wanted *w, enum standing standing)
{
	uint64_t *count = count_of(w);

	if (count)
		--*count;
	w->standing = standing;
	count = count_of(w);
	if (count)
		++*count;
}

static uint64_t now_ms(const struct agent *agent)
{
	return uv_now(agent->settings->loop);
}

static void on_wake(uv_timer_t *wake);

/* When the first is due. */
static void wake_later(struct agent *agent)
{
	uint64_t first = UINT64_MAX, now = now_ms(agent);

	for (const struct wanted *w = agent->all; w; w = w->next)
		if (!w->fetch && w->due_ms < first)
			first = w->due_ms;
	if (first == UINT64_MAX || agent->n_telling == TOLD_MAX) {
		uv_timer_stop(&agent->wake);
		return;
	}
	if (first < agent->not_before_ms)
		first = agent->not_before_ms;
	uv_timer_start(&agent->wake, on_wake, first > now ? first - now : 0, 0);
}

static void due_in(struct wanted *w, uint64_t ms)
{
	w->due_ms = now_ms(w->agent) + ms;
}

/* What the agent answers */

static void error_of(const struct fetch_result *result, char error[ERROR_MAX])
{
	json_t *answer;
	const char *message;

	if (result->error) {
		snprintf(error, ERROR_MAX, "%s", result->error);
		return;
	}
	answer = json_loadb(result->body, result->len, 0, NULL);
	message = json_string_value(json_object_get(answer, "message"));
	snprintf(error, ERROR_MAX, "status %ld: %.400s", result->status,
		 message ? message : "no reason given");
	json_decref(answer);
}

/* Nobody can be told anything at present. Said once until it changes. */
static void agent_failed(struct agent *agent, const char *error)
{
	const struct feed_settings *s = agent->settings;

	agent->report->failures++;
	if (strcmp(agent->error, error) != 0)
		log_event(EVENT(event_failed),
			  "cannot reach the agent; its policies stay", "sagent",
			  s->agent, "serror", error, NULL);
	snprintf(agent->error, sizeof(agent->error), "%s", error);
	agent->report->error = agent->error;
	agent->not_before_ms =
		now_ms(agent) +
		fetch_back_off(&agent->backoff_ms, BACKOFF_MAX_MS);
	if (s->settled)
		s->settled(s->arg, false);
}

static void agent_answers(struct agent *agent)
{
	if (agent->error[0])
		log_event(LOG_INFO, event_failed.name,
			  "the agent answers again", "sagent",
			  agent->settings->agent, NULL);
	agent->error[0] = '\0';
	agent->report->error = NULL;
	agent->backoff_ms = BACKOFF_FIRST_MS;
}

static void in_force(struct wanted *w)
{
	if (w->standing != IN_FORCE)
		log_event(EVENT(event_fed), "the agent has its policy",
			  "ssource", w->list->source->name, "sobject", w->key,
			  "ssandbox_id", w->id, NULL);
	stand(w, IN_FORCE);
	free(w->error);
	w->error = NULL;
	due_in(w, AGAIN_MS);
}

static void not_taken(struct wanted *w, const char *error)
{
	if (!w->error || strcmp(w->error, error) != 0)
		log_event(EVENT(event_refused),
			  "the agent does not take its policy; the one before "
			  "stays",
			  "ssource", w->list->source->name, "sobject", w->key,
			  "ssandbox_id", w->id, "serror", error, NULL);
	stand(w, NOT_TAKEN);
	free(w->error);
	w->error = strdup(error);
	due_in(w, AGAIN_MS);
}

static void absent(struct wanted *w)
{
	stand(w, NOT_THERE);
	due_in(w, fetch_back_off(&w->backoff_ms, BACKOFF_MAX_MS));
}

/* A container that began anew has another process, in another namespace than
 * the one that the agent may still know it by. */
static bool is_there(const struct wanted *w, const struct fetch_result *result)
{
	json_t *answer, *attachment;
	bool there = true;
	size_t i;

	if (!w->pid)
		return true;
	answer = json_loadb(result->body, result->len, 0, NULL);
	json_array_foreach(json_object_get(answer, "attachments"), i,
			   attachment)
	{
		const json_t *pid = json_object_get(attachment, "pid");

		there = !pid || json_integer_value(pid) == w->pid;
		if (there)
			break;
	}
	json_decref(answer);
	return there;
}

static void tell(struct wanted *w, bool attach);

/* Is there anything more to say of it at once? */
static void judge(struct wanted *w, const struct fetch_result *result)
{
	bool done = result->status >= 200 && result->status < 300;
	char error[ERROR_MAX] = "";

	if (!done)
		error_of(result, error);
	if (result->error || result->status >= 500) {
		agent_failed(w->agent, error);
		return;
	}
	agent_answers(w->agent);
	if (w->again) {
		due_in(w, 0);
	} else if (!w->attaches && w->pid &&
		   (result->status == 404 || (done && !is_there(w, result)))) {
		tell(w, true);
	} else if (done) {
		in_force(w);
	} else if (result->status == 404) {
		absent(w);
	} else {
		not_taken(w, error);
	}
}

static void on_told(void *arg, const struct fetch_result *result)
{
	struct wanted *w = arg;
	struct agent *agent = w->agent;

	w->fetch = NULL;
	agent->n_telling--;
	agent->report->feeds++;
	judge(w, result);
	w->again = false;
	wake_later(agent);
	feed_settle(agent->feed);
}

/* What the agent is told */

static void tell(struct wanted *w, bool attach)
{
	struct agent *agent = w->agent;
	struct fetch_request request = {
		.method = attach ? "PUT" : "PATCH",
		.timeout_ms = TELL_MS,
		.answer_max = ANSWER_MAX,
		.socket = agent->settings->agent,
		.headers = {"Content-Type: application/json",
			    "User-Agent: opensandbox-discovery"},
	};
	char url[128], *body = NULL;
	int err = -ENOMEM;

	snprintf(url, sizeof(url), "http://agent/v1/sandboxes/%s", w->id);
	request.url = url;
	request.body = w->body;
	if (attach &&
	    asprintf(&body, "{\"pid\":%d,\"attachment\":\"" ATTACHMENT "\",%s",
		     (int)w->pid, w->body + 1) < 0)
		body = NULL;
	if (attach)
		request.body = body;
	if (request.body)
		err = fetch_start(agent->settings->fetcher, &request, on_told,
				  w, &w->fetch);
	free(body);
	if (err) {
		w->fetch = NULL;
		agent_failed(agent, strerror(-err));
		return;
	}
	w->attaches = attach;
	agent->n_telling++;
}

static void on_wake(uv_timer_t *wake)
{
	struct agent *agent = wake->data;
	uint64_t now = now_ms(agent);

	for (struct wanted *w = agent->all;
	     w && agent->n_telling < TOLD_MAX && now >= agent->not_before_ms;
	     w = w->next)
		if (!w->fetch && w->due_ms <= now)
			tell(w, false);
	wake_later(agent);
}

static char *body_of(json_t *policy)
{
	json_t *body = json_pack("{sO}", "policy", policy);
	char *text =
		body ? json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(body);
	return text;
}

static bool is_same(const struct wanted *w, const struct feed_sandbox *sandbox,
		    const char *body)
{
	return w->body && strcmp(w->body, body) == 0 &&
	       w->pid == sandbox->pid && strcmp(w->id, sandbox->agent_id) == 0;
}

int agent_put(struct agent *agent, const struct feed_list *list,
	      const char *key, const struct feed_sandbox *sandbox)
{
	struct wanted *w;
	char *body;

	if (!sandbox->agent_id || !sandbox->policy) {
		agent_delete(agent, list, key);
		return 0;
	}
	body = body_of(sandbox->policy);
	w = body ? wanted_get(agent, list, key) : NULL;
	if (!w) {
		free(body);
		return -ENOMEM;
	}
	if (is_same(w, sandbox, body)) {
		free(body);
		/* An event may mean that it is attached now. */
		if (w->standing != NOT_THERE || w->fetch)
			return 0;
	} else {
		free(w->body);
		w->body = body;
		w->pid = sandbox->pid;
		snprintf(w->id, sizeof(w->id), "%s", sandbox->agent_id);
		stand(w, UNTOLD);
		w->again = w->fetch != NULL;
	}
	w->backoff_ms = BACKOFF_FIRST_MS;
	due_in(w, 0);
	wake_later(agent);
	return 0;
}

static void forget(struct agent *agent, struct wanted *w)
{
	stand(w, IN_FORCE);
	agent->report->policies--;
	if (w->fetch) {
		fetch_cancel(w->fetch);
		agent->n_telling--;
	}
	tdelete(w, &agent->tree, compare);
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	wanted_free(w);
}

void agent_delete(struct agent *agent, const struct feed_list *list,
		  const char *key)
{
	struct wanted *asked = wanted_new(agent, list, key), **found;

	found = asked ? tfind(asked, &agent->tree, compare) : NULL;
	free(asked);
	if (!found)
		return;
	forget(agent, *found);
	wake_later(agent);
}

/* Life */

int agent_open(struct agent **out, struct feed *feed)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return -ENOMEM;
	agent->feed = feed;
	agent->settings = &feed->settings;
	agent->report = &feed->agent_report;
	agent->backoff_ms = BACKOFF_FIRST_MS;
	uv_timer_init(feed->settings.loop, &agent->wake);
	agent->wake.data = agent;
	*out = agent;
	return 0;
}

static void on_closed(uv_handle_t *wake)
{
	free(wake->data);
}

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	while (agent->all)
		forget(agent, agent->all);
	uv_close((uv_handle_t *)&agent->wake, on_closed);
}
