/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef EGRESS_LIFE_INNER_H
#define EGRESS_LIFE_INNER_H

#include "host/host.h"
#include "life.h"

/* Before the name of each variable. */
#define OPTIONS_PREFIX "OPENSANDBOX_EGRESS_"

/* options.c: into a struct settings */
extern const struct option_row option_table[];

/* first_policy.c */

/*
 * The policy to start with: the policy file's if there is something in it,
 * else the environment's or the command line's rules, else none: deny all.
 * *rules is the caller's, NULL: none. 0, or -errno after saying why on standard
 * error.
 */
int first_policy(struct rules **rules, const struct settings *settings);

/* resolv_conf.c: the resolvers that the file names (resolv.conf(5)), now and
 * whenever it changes: written in place, replaced, or a symbolic link to
 * another file. */

#define RESOLV_CONF_PATH "/etc/resolv.conf"

/* What a look at the file found. */
struct resolv_conf {
	struct resolver_address address[RESOLVERS_MAX];
	size_t n;
	size_t n_left_out; /* more than RESOLVERS_MAX */
};

/* Read it; lines that are none of its are passed over, a file that is not
 * there names no resolver. */
void resolv_conf_read(struct resolv_conf *out, const char *path);

struct resolv_conf_watch;

/* Call changed(arg) after the file at path, which need not exist, may have
 * changed. path is borrowed. 0 or -errno. */
int resolv_conf_watch_open(struct resolv_conf_watch **out, uv_loop_t *loop,
			   const char *path, void (*changed)(void *arg),
			   void *arg);
void resolv_conf_watch_close(struct resolv_conf_watch *watch); /* NULL: none */

/* sockets.c: those that outlive a worker, so that none of its ends opens a
 * sandbox. */

/* Made before the first worker, handed to each. */
struct service_sockets {
	int netns;                  /* the sandbox's namespace, -1: our own */
	struct listeners listeners; /* in the sandbox's namespace */
	int http;                   /* the policy API, in our own */
	int metrics;                /* an agent's /metrics, -1: none */
	struct xdp_holds *xdp;      /* queues of AF_XDP there, NULL: none */
};

/* Open them. 0, or -errno after saying why on standard error. */
int service_sockets_open(struct service_sockets *sockets,
			 const struct settings *settings);
void service_sockets_close(struct service_sockets *sockets);

/* service.c: everything that stands on a worker's loop, in the order of its
 * start, and the signals that end it. */

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

/* supervisor.c: two processes: a supervisor, which holds the sockets and does
 * nothing but wait, and a worker, which does everything else and may die. The
 * rules in the kernel outlive both. */

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
