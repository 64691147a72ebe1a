/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells a URL of every denied name: POST {"hostname","timestamp","source",
 * "sandboxId"}. Never delays the caller: a bounded queue, one request under
 * way, 5 seconds each, three retries after 1, 2 and 4 seconds.
 */
#ifndef EGRESS_CONTROL_WEBHOOK_H
#define EGRESS_CONTROL_WEBHOOK_H

#include "outlets.h"

#include <stdbool.h>

struct webhook;

/* outlets is borrowed. shared: several sandboxes use it, none of which may fill
 * the queue. 0 or -errno. */
int webhook_open(struct webhook **out, struct outlets *outlets, const char *url,
		 bool shared);
void webhook_close(struct webhook *webhook);

/* Queue one denial; dropped and counted when the queue, or the sandbox's share
 * of it, is full. */
void webhook_send(struct webhook *webhook, const char *hostname,
		  const char *sandbox_id);

#endif
