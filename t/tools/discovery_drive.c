/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery_drive GATEWAY TOKEN-FILE HTTP-ADDR LIST...
 *
 * opensandbox-discovery without a provider: what it would say is read from
 * standard input, a command a line, its fields separated by tabs ("" for no
 * TOKEN-FILE or HTTP-ADDR). It drops its privileges before.
 *
 *   begin LIST | end LIST | failed LIST ERROR | ok LIST
 *   put LIST KEY ID[,ID...] RECORD | delete LIST KEY | refuse LIST KEY WHY
 *   fill LIST FIRST LAST    objects o-N of sandboxes s-N, N counting
 */
#include "feed/feed.h"
#include "health/health.h"
#include "privileges.h"

#include "http/http.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LISTS_MAX = 4,
	FIELDS_MAX = 5,
};

static uv_loop_t loop;
static struct feed *feed;
static char *const *names;
static struct feed_list *lists[LISTS_MAX];
static char *text;
static size_t text_len;

static struct feed_list *list_of(const char *name)
{
	for (size_t i = 0; i < LISTS_MAX && lists[i]; i++)
		if (strcmp(names[i], name) == 0)
			return lists[i];
	fprintf(stderr, "no list \"%s\"\n", name);
	exit(1);
}

static void put(struct feed_list *list, const char *key, char *ids,
		const char *record)
{
	struct feed_sandbox sandbox = {
		.record = json_loads(record, 0, NULL),
	};
	char *id;

	for (size_t i = 0; i < FEED_IDS_MAX && (id = strsep(&ids, ",")); i++)
		sandbox.ids[i] = id;
	if (!sandbox.record || feed_put(list, key, &sandbox))
		fprintf(stderr, "cannot put %s\n", key);
	json_decref(sandbox.record);
}

static void fill(struct feed_list *list, long first, long last)
{
	char key[32], id[32], record[160];

	for (long n = first; n <= last; n++) {
		snprintf(key, sizeof(key), "space/o-%ld", n);
		snprintf(id, sizeof(id), "s-%ld", n);
		snprintf(record, sizeof(record),
			 "{\"endpoint\":\"10.%ld.%ld.%ld\",\"ready\":true,"
			 "\"expose\":[8000,\"8080-8090\"]}",
			 n >> 16 & 255, n >> 8 & 255, n & 255);
		put(list, key, id, record);
	}
}

static void command(char *line)
{
	char *field[FIELDS_MAX] = {NULL};
	struct feed_list *list;

	for (size_t n = 0; n < FIELDS_MAX && line; n++)
		field[n] = strsep(&line, "\t");
	list = list_of(field[1] ? field[1] : "");
	if (strcmp(field[0], "begin") == 0)
		feed_list_begin(list);
	else if (strcmp(field[0], "end") == 0)
		feed_list_end(list);
	else if (strcmp(field[0], "ok") == 0)
		feed_list_ok(list);
	else if (strcmp(field[0], "failed") == 0)
		feed_list_failed(list, field[2]);
	else if (strcmp(field[0], "put") == 0)
		put(list, field[2], field[3], field[4]);
	else if (strcmp(field[0], "delete") == 0)
		feed_delete(list, field[2]);
	else if (strcmp(field[0], "refuse") == 0)
		feed_refuse(list, field[2], field[3]);
	else if (strcmp(field[0], "fill") == 0)
		fill(list, strtol(field[2], NULL, 10),
		     strtol(field[3], NULL, 10));
	else
		fprintf(stderr, "no command \"%s\"\n", field[0]);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	(void)handle;
	*buf = uv_buf_init(malloc(size), (unsigned)size);
}

static void on_read(uv_stream_t *input, ssize_t n, const uv_buf_t *buf)
{
	char *end;

	if (n < 0) {
		uv_read_stop(input);
		uv_stop(&loop);
	} else {
		text = realloc(text, text_len + (size_t)n + 1);
		memcpy(text + text_len, buf->base, (size_t)n);
		text_len += (size_t)n;
		text[text_len] = '\0';
	}
	while (text && (end = memchr(text, '\n', text_len))) {
		*end++ = '\0';
		command(text);
		text_len -= (size_t)(end - text);
		memmove(text, end, text_len + 1);
	}
	free(buf->base);
}

int main(int argc, char **argv)
{
	struct feed_settings settings = {.loop = &loop};
	struct health *health = NULL;
	uv_pipe_t input;

	if (argc < 5 || argc > 4 + LISTS_MAX)
		return 2;
	log_set_program("discovery_drive");
	uv_loop_init(&loop);
	if (fetcher_open(&settings.fetcher, &loop, NULL))
		return 1;
	settings.gateway = argv[1];
	settings.token_file = argv[2][0] ? argv[2] : NULL;
	if (feed_open(&feed, &settings))
		return 1;
	names = argv + 4;
	for (int i = 4; i < argc; i++)
		lists[i - 4] = feed_list_open(feed, "test", argv[i]);
	if (argv[3][0] && health_open(&health, &loop, argv[3], feed))
		return 1;
	if (privileges_drop(false))
		return 1;
	uv_pipe_init(&loop, &input, 0);
	uv_pipe_open(&input, 0);
	uv_read_start((uv_stream_t *)&input, on_alloc, on_read);
	uv_run(&loop, UV_RUN_DEFAULT);

	health_close(health);
	feed_close(feed);
	fetcher_close(settings.fetcher);
	uv_close((uv_handle_t *)&input, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	free(text);
	return uv_loop_close(&loop) ? 1 : 0;
}
