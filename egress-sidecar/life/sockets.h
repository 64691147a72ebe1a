/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that outlive a worker, so that none of its ends opens a sandbox.
 */
#ifndef EGRESS_SOCKETS_H
#define EGRESS_SOCKETS_H

#include "host/host.h"
#include "settings.h"

/* What outlives a worker: made before the first one, handed to each. */
struct service_sockets {
	int netns;                  /* the sandbox's namespace, -1: our own */
	struct listeners listeners; /* DNS, in the sandbox's namespace */
	int http;                   /* the policy API, in our own */
	struct xdp_holds *xdp;      /* queues of AF_XDP there, NULL: none */
};

/* Open them. 0, or -errno after saying why on standard error. */
int service_sockets_open(struct service_sockets *sockets,
			 const struct settings *settings);
void service_sockets_close(struct service_sockets *sockets);

#endif
