/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of sandboxes in Prometheus' text format (version 0.0.4). The
 * names are those of OpenSandbox's meters, spelled as Prometheus spells them.
 */
#ifndef EGRESS_CONTROL_METRICS_H
#define EGRESS_CONTROL_METRICS_H

#include "meters.h"
#include "outlets/outlets.h"

/* The whole page, the caller's to free; NULL when out of memory. */
char *metrics_text(const struct sandbox_list *list,
		   const struct settings *settings,
		   const struct outlets *outlets);

#endif
