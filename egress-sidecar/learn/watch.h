/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where traffic is read from: the log of a sidecar that runs below us in
 * audit mode, or a log that was kept.
 */
#ifndef EGRESS_LEARN_WATCH_H
#define EGRESS_LEARN_WATCH_H

#include "life/life.h"
#include "traffic.h"

/* Read a log to its end; "-" is standard input. 0 or -errno. */
int watch_log(struct traffic *traffic, const char *path);

/*
 * Guard the sandbox in a child process and read what it logs until SIGINT,
 * SIGTERM, the end of duration_s (0: none), or the child's own end. Warnings
 * among the lines are passed on to standard error. Returns an exit status of
 * supervisor.h: EXIT_OK where traffic was watched and the child ended well.
 */
int watch_sandbox(struct traffic *traffic, struct settings *settings,
		  unsigned duration_s);

#endif
