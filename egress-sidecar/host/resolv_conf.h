/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolvers that /etc/resolv.conf names (resolv.conf(5)), now and whenever
 * it changes: written in place, replaced, or a symbolic link to another file.
 */
#ifndef EGRESS_RESOLV_CONF_H
#define EGRESS_RESOLV_CONF_H

#include "dns/resolvers.h"

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

#endif
