/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DISCOVERY_HEALTH_INNER_H
#define DISCOVERY_HEALTH_INNER_H

#include "health.h"

/* health/metrics.c */

/* The page for Prometheus, its text format 0.0.4; to be freed, NULL: no
 * memory. */
char *metrics_text(const struct feed *feed);

#endif
