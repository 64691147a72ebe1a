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
#ifndef EGRESS_AGENT_H
#define EGRESS_AGENT_H

struct agent;
struct sandbox_list;
struct sandbox_shared;

/* agent/listen.c */

/* A listening unix socket, mode 0600, in a folder that is made if need be; a
 * stale socket is replaced, one that is served by another process is
 * -EADDRINUSE. A descriptor, or -errno. */
int agent_listen(const char *path);

/* agent/agent.c */

/*
 * Guard again what the state folder holds, then serve on listen_fd, and
 * /healthz and /metrics alone on metrics_fd (-1: none); both are borrowed.
 * shared must outlive it. 0 or -errno, and then message (256 bytes) says why.
 */
int agent_open(struct agent **out, int listen_fd, int metrics_fd,
	       const struct sandbox_shared *shared, char *message);
/* Every sandbox is left, its rules stay. */
void agent_close(struct agent *agent);

/* What it guards now; the list lives and changes with the agent. */
const struct sandbox_list *agent_sandboxes(const struct agent *agent);

/* agent/cni.c */

/*
 * egress-sidecar cni: a chained CNI plugin (Container Network Interface
 * Specification, 1.0.0) that has the host's agent guard the container's
 * namespace. The network configuration comes on standard input and the
 * parameters in CNI_ variables. Returns the exit status: 0, 1 after an error
 * object on standard output, 2 where no container runtime runs it.
 */
int cni_main(int argc, char **argv);

/* agent/cni_entry.c */

/*
 * egress-sidecar cni-entry FILE FOLDER: put the plugin's entry into the network
 * configuration list that the container runtimes of this host take. Returns the
 * exit status: 0, 1 after one line on standard error, 2 for wrong usage.
 */
int cni_entry_main(int argc, char **argv);

/* agent/hook.c */

/*
 * egress-sidecar hook: an OCI hook (OCI Runtime Specification, config.md,
 * "POSIX-platform Hooks") for createRuntime and poststop. The container's
 * state comes on standard input. Returns the exit status: 0, 1 after one line
 * on standard error, 2 for wrong usage.
 */
int hook_main(int argc, char **argv);

#endif
