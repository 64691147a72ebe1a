/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to the end: make what outlives a worker, then run workers. */
#ifndef EGRESS_GUARD_H
#define EGRESS_GUARD_H

#include "settings.h"

/* Guard what the settings name until SIGTERM or SIGINT. Returns an exit status
 * of supervisor.h, after saying on standard error why it could not start. */
int guard_run(struct settings *settings);

#endif
