/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host agent: an HTTP interface on a unix socket that says which
 * sandboxes to guard. /v1/sandboxes, /v1/sandboxes/{id} and the sidecar's
 * /policy below each; /healthz, /metrics. A sandbox with a policyUrl follows
 * what that serves, as the sidecar does.
 *
 * A sandbox is closed before PUT is answered. It is kept in a folder, so that
 * the next worker, or the next agent, guards it again; it is forgotten on
 * DELETE, which sets it free, and when its namespace or process has gone,
 * where the rules stay with whatever may be left in the namespace.
 */
#ifndef EGRESS_CONTROL_AGENT_H
#define EGRESS_CONTROL_AGENT_H

#include "api/api.h"

struct agent;

/* A listening unix socket, mode 0600, in a folder that is made if need be; a
 * stale socket is replaced, one that is served by another process is
 * -EADDRINUSE. A descriptor, or -errno. */
int agent_listen(const char *path);

/*
 * Guard again what the state folder holds, then serve on listen_fd, which is
 * borrowed. shared must outlive it. 0 or -errno, and then message (256 bytes)
 * says why.
 */
int agent_open(struct agent **out, int listen_fd,
	       const struct sandbox_shared *shared, char *message);
/* Every sandbox is left, its rules stay. */
void agent_close(struct agent *agent);

/* What it guards now; the list lives and changes with the agent. */
const struct sandbox_list *agent_sandboxes(const struct agent *agent);

#endif
