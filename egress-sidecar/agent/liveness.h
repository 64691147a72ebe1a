/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says when a sandbox has gone: its process has ended (pidfd_open(2)), or its
 * namespace's name is gone or names another one (inotify(7)). Holding a
 * namespace open keeps it from ending, so that nothing else would tell.
 */
#ifndef EGRESS_LIVENESS_H
#define EGRESS_LIVENESS_H

#include "request.h"

#include <stdint.h>
#include <uv.h>

struct liveness;
struct liveness_watch;

/* gone(arg, what) is called once for a watch, which it must remove.
 * 0 or -errno. */
int liveness_open(struct liveness **out, uv_loop_t *loop,
		  void (*gone)(void *arg, void *what), void *arg);
/* Every watch must have been removed. */
void liveness_close(struct liveness *liveness);

/* identity is the namespace's. 0; -ESRCH: it has gone already; -errno. */
int liveness_add(struct liveness_watch **out, struct liveness *liveness,
		 const struct agent_place *place, const uint64_t identity[2],
		 void *what);
void liveness_remove(struct liveness_watch *alive);

#endif
