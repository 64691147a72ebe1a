/* SPDX-License-Identifier: Apache-2.0 */
/* What tells of the program by HTTP: /healthz and /metrics. */
#ifndef DISCOVERY_HEALTH_H
#define DISCOVERY_HEALTH_H

#include "feed/feed.h"

struct health;

/* address: "[ADDRESS]:PORT". 0, or -errno with the reason said by
 * log_fatal(). */
int health_open(struct health **out, uv_loop_t *loop, const char *address,
		const struct feed *feed);
void health_close(struct health *health);

#endif
