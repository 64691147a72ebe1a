/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch a folder of files that may not exist yet, and say when something in
 * it has changed. Built on inotify(7): nothing wakes up while nothing changes.
 */
#ifndef EGRESS_WATCH_H
#define EGRESS_WATCH_H

#include <uv.h>

struct watch;

/*
 * Call changed(arg) within a second of a change to a file in folder, once for
 * a burst of changes. While the folder is missing its nearest parent that
 * exists is watched. 0 or -errno.
 */
int watch_open(struct watch **out, uv_loop_t *loop, const char *folder,
	       void (*changed)(void *arg), void *arg);
void watch_close(struct watch *watch);

#endif
