/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define UNIX "unix:"

/* "http://HOST:PORT/", "unix:/path" */
static int gateway_address(struct feed *feed, const char *gateway)
{
	size_t len = strlen(gateway);

	if (strncmp(gateway, UNIX, strlen(UNIX)) == 0) {
		feed->socket = strdup(gateway + strlen(UNIX));
		feed->base = strdup("http://localhost");
		return feed->socket && feed->base ? 0 : -ENOMEM;
	}
	while (len > 0 && gateway[len - 1] == '/')
		len--;
	feed->base = strndup(gateway, len);
	return feed->base ? 0 : -ENOMEM;
}

static void feed_free(struct feed *feed)
{
	token_close(feed->token);
	free(feed->base);
	free(feed->socket);
	free(feed);
}

static int parts_open(struct feed *feed)
{
	const struct feed_settings *s = &feed->settings;
	int err = s->gateway ? gateway_address(feed, s->gateway) : 0;

	if (err) {
		log_fatal("no memory");
		return err;
	}
	if (s->gateway && s->token_file) {
		err = token_open(&feed->token, s->token_file);
		if (err)
			log_fatal("--gateway-token-file: \"%s\": %s",
				  s->token_file,
				  err == -ENODATA ? "there is no token in it"
						  : strerror(-err));
	}
	if (!err && s->agent) {
		err = agent_open(&feed->agent, feed);
		if (err)
			log_fatal("--agent: \"%s\": %s", s->agent,
				  strerror(-err));
	}
	return err;
}

int feed_open(struct feed **out, const struct feed_settings *settings)
{
	struct feed *feed = calloc(1, sizeof(*feed));
	int err;

	if (!feed) {
		log_fatal("no memory");
		return -ENOMEM;
	}
	feed->settings = *settings;
	err = parts_open(feed);
	if (err)
		feed_free(feed);
	else
		*out = feed;
	return err;
}

/* Sources and lists */

static struct source *source_get(struct feed *feed, const char *name)
{
	struct source *source = feed->sources;

	while (source && strcmp(source->name, name) != 0)
		source = source->next;
	if (source)
		return source;
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	source->feed = feed;
	source->name = name;
	source->last = &source->first;
	source->whole_due = true;
	source->whole_since_ms = (uint32_t)uv_now(feed->settings.loop);
	source->next = feed->sources;
	feed->sources = source;
	uv_timer_init(feed->settings.loop, &source->wake);
	uv_timer_init(feed->settings.loop, &source->check_timer);
	source->wake.data = source->check_timer.data = source;
	feed->open_handles += 2;
	if (feed->settings.gateway)
		gateway_open(source);
	return source;
}

struct feed_list *feed_list_open(struct feed *feed, const char *source,
				 const char *name)
{
	struct feed_list *list = calloc(1, sizeof(*list));

	if (!list)
		return NULL;
	list->source = source_get(feed, source);
	if (!list->source) {
		free(list);
		return NULL;
	}
	list->name = name;
	list->next = list->source->lists;
	list->source->lists = list;
	return list;
}

/* The end */

static void list_free(struct feed_list *list)
{
	tdestroy(list->objects, free);
	free(list->error);
	free(list);
}

static void on_closed(uv_handle_t *handle)
{
	struct source *source = handle->data, *next;
	struct feed *feed = source->feed;

	if (--feed->open_handles > 0)
		return;
	for (source = feed->sources; source; source = next) {
		next = source->next;
		free(source);
	}
	feed_free(feed);
}

void feed_close(struct feed *feed)
{
	struct feed_list *list, *next;

	if (!feed)
		return;
	agent_close(feed->agent);
	for (struct source *s = feed->sources; s; s = s->next) {
		gateway_close(s);
		for (list = s->lists; list; list = next) {
			next = list->next;
			list_free(list);
		}
		claims_free(s);
		uv_close((uv_handle_t *)&s->wake, on_closed);
		uv_close((uv_handle_t *)&s->check_timer, on_closed);
	}
	if (!feed->sources)
		feed_free(feed);
}
