/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef EGRESS_LIFE_INNER_H
#define EGRESS_LIFE_INNER_H

#include "host/host.h"
#include "life.h"

/* options.c: each has a name on the command line, one in the environment, a
 * parser and a line of help. settings.c walks the table. */

enum {
	OPTION_WHY_MAX = 200
};

struct option_entry {
	const char *name;      /* without the dashes */
	const char *variable;  /* NULL: command line alone */
	const char *argument;  /* NULL: a switch */
	const char *otherwise; /* the default, read at the start; NULL: none */
	const char *help;
	/* Reads value ("" for a switch) into settings. 0, or -EINVAL with
	 * what was expected in why, OPTION_WHY_MAX bytes. */
	int (*read)(struct settings *settings, const char *value, char *why);
};

/* Ends with an entry whose name is NULL. */
extern const struct option_entry option_table[];

/* option_values.c: what options' values are made of. A reader returns 0, or
 * -EINVAL with what was expected in why, OPTION_WHY_MAX bytes, where it has
 * one. */

/* Put what into why; -EINVAL. */
int option_expected(char *why, const char *what);

/* A copy into a field of size bytes. */
int option_text(char *field, size_t size, const char *value, char *why);

/* Decimal digits, at most max. */
int option_number(const char *value, unsigned long max, unsigned long *out);

/* A copy on the heap in place of the one that was there; "": NULL. */
int option_copy(char **field, const char *value, char *why);

/* http:// or https://, or "". */
int option_url(char *field, size_t size, const char *value, char *why);

/* An absolute one. */
int option_path(char *field, size_t size, const char *value, char *why);

/* 1, true, yes, y, on, and their opposites; "" is false. */
int option_bool(bool *out, const char *value, char *why);

/* A comma-separated list, blanks trimmed, in place of the *n items that were
 * there; add puts one more. */
int option_list(struct settings *s, size_t *n, const char *value, char *why,
		int (*add)(struct settings *s, const char *item, char *why));

/* settings.c */

/* The i-th variable of the environment that has the name of an option's and is
 * none, and its name's length; NULL: there are no more. */
const char *settings_unknown(size_t i, size_t *len);

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
	struct listeners listeners; /* DNS, in the sandbox's namespace */
	int http;                   /* the policy API, in our own */
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
