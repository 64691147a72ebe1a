/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to the end: make what outlives a worker, then run workers. */
#ifndef EGRESS_RUN_H
#define EGRESS_RUN_H

#include "settings.h"

/* Guard what the settings name until SIGTERM or SIGINT. Returns an exit status
 * of supervisor.h, after saying on standard error why it could not start. */
int run_until_stopped(struct settings *settings);

#endif
