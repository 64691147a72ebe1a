/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says when a sandbox has gone: its process has ended (pidfd_open(2)), or its
 * namespace's name is gone or names another one (inotify(7)). Holding a
 * namespace open keeps it from ending, so that nothing else would tell.
 */
#ifndef EGRESS_CONTROL_PRESENCE_H
#define EGRESS_CONTROL_PRESENCE_H

#include "request.h"

#include <stdint.h>
#include <uv.h>

struct presences;
struct presence;

/* gone(arg, what) is called once for a presence, which it must remove.
 * 0 or -errno. */
int presences_open(struct presences **out, uv_loop_t *loop,
		   void (*gone)(void *arg, void *what), void *arg);
/* Every presence must have been removed. */
void presences_close(struct presences *presences);

/* identity is the namespace's. 0; -ESRCH: it has gone already; -errno. */
int presence_add(struct presence **out, struct presences *presences,
		 const struct agent_place *place, const uint64_t identity[2],
		 void *what);
void presence_remove(struct presence *presence);

#endif
