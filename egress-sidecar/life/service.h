/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's life: everything that stands on the loop, in the order of its
 * start, and the signals that end it.
 */
#ifndef EGRESS_SERVICE_H
#define EGRESS_SERVICE_H

#include "settings.h"
#include "sockets.h"

struct service {
	const struct settings *settings;
	const struct service_sockets *sockets;
};

/*
 * supervisor_run()'s work: serve until SIGTERM or SIGINT; SIGHUP reads the
 * always-files again. Writes a byte to ready once the sandbox is closed and
 * served. Returns an exit status.
 */
int service_run(void *service, int ready);

#endif
