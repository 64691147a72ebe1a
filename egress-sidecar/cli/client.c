/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "http/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TIMEOUT_MS = 10000,
	PAGE = 200, /* sandboxes of one list */
	ANSWER_MAX = 4 << 20,
	URL_SIZE = 1024 + 256,
};

/* What came of a request. */
struct answer {
	bool ended;
	long status; /* 0: none came */
	json_t *json;
	struct client *client;
};

static int __attribute__((format(printf, 3, 4)))
fail(struct client *c, int status, const char *format, ...)
{
	const struct cli_options *o = c->options;
	char text[CLI_MESSAGE_SIZE];
	va_list args;
	int n;

	/* Where is as the operator gave it. */
	n = snprintf(text, sizeof(text),
		     "%.200s: ", o->socket[0] ? o->socket : o->url);
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	cli_printable(text, c->message, sizeof(c->message));
	return status;
}

/* The agent's errors are JSON, the sidecar's a line. */
static void take_refusal(struct client *c, const struct fetch_result *r)
{
	json_t *json = json_loadb(r->body, r->len, 0, NULL);
	const json_t *message = json_object_get(json, "message");
	const json_t *field = json_object_get(json, "field");

	if (json_is_string(message))
		fail(c, 0, "%ld %s%s%.300s", r->status,
		     json_is_string(field) ? json_string_value(field) : "",
		     json_is_string(field) ? ": " : "",
		     json_string_value(message));
	else
		fail(c, 0, "%ld %.*s", r->status, (int)strcspn(r->body, "\r\n"),
		     r->body);
	json_decref(json);
}

static void on_done(void *arg, const struct fetch_result *r)
{
	struct answer *a = arg;
	json_error_t error;

	a->ended = true;
	/* A timer's callback may be followed by a wait within uv_run(). */
	uv_stop(&a->client->loop);
	if (r->error) {
		fail(a->client, 0, "%s", r->error);
		return;
	}
	a->status = r->status;
	if (r->status / 100 != 2) {
		take_refusal(a->client, r);
		return;
	}
	a->json = json_loadb(r->body, r->len, 0, &error);
	if (!a->json)
		fail(a->client, 0, "the answer is not JSON: line %d: %s",
		     error.line, error.text);
}

static int perform(struct client *c, const char *path, const char *method,
		   const char *body, size_t len, struct answer *a)
{
	const struct cli_options *o = c->options;
	char url[URL_SIZE];
	struct fetch_request request = {
		.url = url,
		.method = method,
		.body = body,
		.body_len = len,
		.timeout_ms = TIMEOUT_MS,
		.answer_max = ANSWER_MAX,
		.socket = o->socket[0] ? o->socket : NULL,
		.direct = true,
	};
	size_t n = 0;
	struct fetch *fetch;
	int err;

	snprintf(url, sizeof(url), "%s%s",
		 o->socket[0] ? "http://agent" : o->url, path);
	if (body)
		request.headers[n++] = "Content-Type: application/json";
	if (o->token)
		request.headers[n++] = c->header;
	*a = (struct answer){.client = c};
	err = fetch_start(c->fetcher, &request, on_done, a, &fetch);
	if (err)
		return fail(c, CLI_UNREACHABLE, "%s", strerror(-err));
	while (!a->ended && !(c->stop && *c->stop))
		uv_run(&c->loop, UV_RUN_ONCE);
	if (!a->ended) {
		fetch_cancel(fetch);
		return fail(c, CLI_UNREACHABLE, "interrupted");
	}
	return a->json ? CLI_DONE : a->status ? CLI_REFUSED : CLI_UNREACHABLE;
}

int client_open(struct client *c, const struct cli_options *options)
{
	int n, err;

	*c = (struct client){.options = options};
	n = snprintf(c->header, sizeof(c->header),
		     "OPENSANDBOX-EGRESS-AUTH: %s",
		     options->token ? options->token : "");
	if (n >= (int)sizeof(c->header) || strpbrk(c->header, "\r\n")) {
		fail(c, 0, "the token is no header's value");
		return -EINVAL;
	}
	err = uv_loop_init(&c->loop);
	if (err)
		return err;
	err = fetcher_open(&c->fetcher, &c->loop, NULL);
	if (err)
		uv_loop_close(&c->loop);
	return err;
}

void client_close(struct client *c)
{
	if (!c->fetcher)
		return;
	fetcher_close(c->fetcher);
	uv_run(&c->loop, UV_RUN_DEFAULT);
	uv_loop_close(&c->loop);
	c->fetcher = NULL;
}

bool client_is_agent(const struct client *c)
{
	return c->options->socket[0] != '\0';
}

int client_ask(struct client *c, const char *id, const char *what,
	       const char *method, const char *body, size_t len, json_t **json)
{
	char path[256];
	struct answer a;
	int ret;

	snprintf(path, sizeof(path), "%s%s%s",
		 client_is_agent(c) ? "/v1/sandboxes/" : "",
		 client_is_agent(c) ? id : "", what);
	ret = perform(c, path, method, body, len, &a);
	*json = a.json;
	return ret == CLI_REFUSED && a.status == 404 ? -ENOENT : ret;
}

static void take_id(json_t *ids, json_t *id)
{
	char text[CLI_ID_SIZE];

	if (json_is_string(id) && cli_id_read(text, json_string_value(id)) == 0)
		json_array_append(ids, id);
}

int client_ids(struct client *c, json_t **ids)
{
	char path[256], after[CLI_ID_SIZE] = "";
	int ret = CLI_DONE;
	bool more = client_is_agent(c);

	*ids = json_array();
	if (!more)
		json_array_append_new(*ids, json_string(""));
	while (more && ret == CLI_DONE) {
		struct answer a;
		json_t *one;
		size_t i;

		snprintf(path, sizeof(path), "/v1/sandboxes?limit=%d%s%s", PAGE,
			 after[0] ? "&after=" : "", after);
		ret = perform(c, path, "GET", NULL, 0, &a);
		json_array_foreach(json_object_get(a.json, "sandboxes"), i, one)
			take_id(*ids, json_object_get(one, "id"));
		one = json_object_get(a.json, "next");
		more = json_is_string(one) &&
		       cli_id_read(after, json_string_value(one)) == 0;
		json_decref(a.json);
	}
	return ret;
}
