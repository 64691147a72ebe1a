/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes: a supervisor, which holds the sockets and does nothing but
 * wait, and a worker, which does everything else and may die. The rules in
 * the kernel outlive both.
 */
#ifndef EGRESS_SUPERVISOR_H
#define EGRESS_SUPERVISOR_H

/* The exit statuses of the program. */
enum {
	EXIT_OK = 0,
	EXIT_STARTUP = 1, /* could not start; said on standard error */
	EXIT_USAGE = 2,
};

/*
 * Run work(arg, ready) in a child process until it ends by itself (its status
 * is returned) or SIGTERM or SIGINT is passed on to it. A worker that dies
 * otherwise, after it has written a byte to the descriptor ready, is replaced:
 * at once, then after 0.1, 0.2, ... 5 seconds while it keeps dying young.
 * SIGHUP is passed on. A worker is killed when the supervisor dies, unless work
 * asks for another signal (PR_SET_PDEATHSIG). Returns the exit status for
 * main().
 */
int supervisor_run(int (*work)(void *arg, int ready), void *arg);

#endif
