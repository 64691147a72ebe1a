/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The egress path out of the sandbox's own namespace (sidecar mode) for our
 * own HTTP:
 * the webhook, the policy's URL and the collector are reached whatever the
 * policy says, by us alone. Their names are looked up past the policy, the
 * packet filter is told of their addresses and ports, and the sockets carry
 * our mark.
 */
#ifndef EGRESS_PATH_H
#define EGRESS_PATH_H

#include "filter/filter.h"
#include "http/fetch.h"

#include <uv.h>

struct egress_path;

struct egress_path_settings {
	uv_loop_t *loop;
	struct resolvers *resolvers; /* must outlive it */
	uint32_t mark;
	/* Let these be reached, and no others from now on. 0 or -errno. */
	int (*let_out)(void *arg, const struct filter_peer *peers, size_t n);
	void *arg;
};

/* 0 or -errno. */
int egress_path_open(struct egress_path **out,
		     const struct egress_path_settings *settings);
/* Those who ask have cancelled. */
void egress_path_close(struct egress_path *path);

/* For a fetcher; lives as long as the path. */
const struct fetch_path *egress_path_fetch(const struct egress_path *path);

#endif
