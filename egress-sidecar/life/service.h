/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's life: everything that stands on the loop, in the order of its
 * start, and the signals that end it.
 */
#ifndef EGRESS_SERVICE_H
#define EGRESS_SERVICE_H

#include "host/listeners.h"
#include "settings.h"

/* What outlives a worker: made before the first one, handed to each. */
struct service_sockets {
	int netns;                  /* the sandbox's namespace, -1: our own */
	struct listeners listeners; /* DNS, in the sandbox's namespace */
	int http;                   /* the policy API, in our own */
	struct xdp_holds *xdp;      /* queues of AF_XDP there, NULL: none */
};

struct service {
	const struct settings *settings;
	const struct service_sockets *sockets;
};

/* Open them. 0, or -errno after saying why on standard error. */
int service_sockets_open(struct service_sockets *sockets,
			 const struct settings *settings);
void service_sockets_close(struct service_sockets *sockets);

/*
 * supervisor_run()'s work: serve until SIGTERM or SIGINT; SIGHUP reads the
 * always-files again. Writes a byte to ready once the sandbox is closed and
 * served. Returns an exit status.
 */
int service_run(void *service, int ready);

#endif
