/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SETTLE_MS = 100, /* it is written in several steps */
	PLACES = 3       /* the file, its folder, the folder of what it is */
};

void resolv_conf_read(struct resolv_conf *out, const char *path)
{
	struct resolver_address address;
	char line[512], word[128];
	FILE *f = fopen(path, "re");

	memset(out, 0, sizeof(*out));
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " nameserver %127s", word) != 1 ||
		    resolver_from_text(&address, word) != 0)
			continue;
		if (out->n < RESOLVERS_MAX)
			out->address[out->n++] = address;
		else
			out->n_left_out++;
	}
	if (f)
		fclose(f);
}

struct resolv_conf_watch {
	uv_fs_event_t event[PLACES];
	uv_timer_t settle;
	int open_handles;
	const char *path;
	void (*changed)(void *arg);
	void *arg;
};

static void folder_of(char *out, size_t size, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(out, size, ".");
	else if (slash == path)
		snprintf(out, size, "/");
	else
		snprintf(out, size, "%.*s", (int)(slash - path), path);
}

static void on_settled(uv_timer_t *timer);

static void on_event(uv_fs_event_t *event, const char *file, int events,
		     int status)
{
	struct resolv_conf_watch *w = event->data;

	(void)file;
	(void)events;
	(void)status;
	uv_timer_start(&w->settle, on_settled, SETTLE_MS, 0);
}

/* What is watched is an inode, and a change may have brought another one. */
static void arm(struct resolv_conf_watch *w)
{
	char folder[PATH_MAX], behind[PATH_MAX], real[PATH_MAX];
	const char *place[PLACES] = {w->path, folder, NULL};

	folder_of(folder, sizeof(folder), w->path);
	if (realpath(w->path, real)) {
		folder_of(behind, sizeof(behind), real);
		place[2] = behind;
	}
	for (size_t i = 0; i < PLACES; i++) {
		uv_fs_event_stop(&w->event[i]);
		if (place[i])
			(void)uv_fs_event_start(&w->event[i], on_event,
						place[i], 0);
	}
}

static void on_settled(uv_timer_t *timer)
{
	struct resolv_conf_watch *w = timer->data;

	arm(w);
	w->changed(w->arg);
}

int resolv_conf_watch_open(struct resolv_conf_watch **out, uv_loop_t *loop,
			   const char *path, void (*changed)(void *arg),
			   void *arg)
{
	struct resolv_conf_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->path = path;
	w->changed = changed;
	w->arg = arg;
	w->open_handles = PLACES + 1;
	for (size_t i = 0; i < PLACES; i++) {
		uv_fs_event_init(loop, &w->event[i]);
		w->event[i].data = w;
	}
	uv_timer_init(loop, &w->settle);
	w->settle.data = w;
	arm(w);
	*out = w;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct resolv_conf_watch *w = handle->data;

	if (--w->open_handles == 0)
		free(w);
}

void resolv_conf_watch_close(struct resolv_conf_watch *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < PLACES; i++)
		uv_close((uv_handle_t *)&w->event[i], on_closed);
	uv_close((uv_handle_t *)&w->settle, on_closed);
}
