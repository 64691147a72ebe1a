/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SETTLE_MS = 200
}; /* editors write in several steps */

struct folder_watch {
	uv_fs_event_t event;
	uv_timer_t settle;
	int open_handles;
	char folder[4096];
	char watched[4096]; /* folder, or a parent of it */
	void (*changed)(void *arg);
	void *arg;
};

/* Strip the last component; "/" stays. */
static void parent_of(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		memcpy(path, ".", 2);
	else if (slash == path)
		path[1] = '\0';
	else
		*slash = '\0';
}

static void on_event(uv_fs_event_t *event, const char *file, int events,
		     int status);

/* Watch the folder, or as much of its path as there is. */
static int watch_arm(struct folder_watch *w)
{
	int err;

	memcpy(w->watched, w->folder, sizeof(w->watched));
	while (access(w->watched, F_OK) < 0 && strcmp(w->watched, "/") != 0 &&
	       strcmp(w->watched, ".") != 0)
		parent_of(w->watched);
	err = uv_fs_event_start(&w->event, on_event, w->watched, 0);
	return err;
}

static void on_settled(uv_timer_t *timer)
{
	struct folder_watch *w = timer->data;

	/* A folder that came, went or was renamed is another inode now. */
	uv_fs_event_stop(&w->event);
	(void)watch_arm(w);
	w->changed(w->arg);
}

static void on_event(uv_fs_event_t *event, const char *file, int events,
		     int status)
{
	struct folder_watch *w = event->data;
	size_t len = strlen(w->watched);
	const char *next;

	(void)events;
	/* Above the folder only its own path matters. */
	if (strcmp(w->watched, w->folder) != 0 && status == 0 && file) {
		next = w->folder + len;
		next += *next == '/';
		if (strncmp(next, file, strlen(file)) != 0)
			return;
	}
	if (!uv_is_active((uv_handle_t *)&w->settle))
		uv_timer_start(&w->settle, on_settled, SETTLE_MS, 0);
}

int folder_watch_open(struct folder_watch **out, uv_loop_t *loop,
		      const char *folder, void (*changed)(void *arg), void *arg)
{
	struct folder_watch *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->changed = changed;
	w->arg = arg;
	w->open_handles = 2;
	snprintf(w->folder, sizeof(w->folder), "%s", folder);
	uv_fs_event_init(loop, &w->event);
	uv_timer_init(loop, &w->settle);
	w->event.data = w;
	w->settle.data = w;
	err = watch_arm(w);
	if (err)
		folder_watch_close(w);
	else
		*out = w;
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct folder_watch *w = handle->data;

	if (--w->open_handles == 0)
		free(w);
}

void folder_watch_close(struct folder_watch *w)
{
	if (!w)
		return;
	uv_close((uv_handle_t *)&w->event, on_closed);
	uv_close((uv_handle_t *)&w->settle, on_closed);
}
