/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out of the sandbox's own namespace (sidecar mode) for our own HTTP:
 * the webhook, the policy's URL and the collector are reached whatever the
 * policy says, by us alone. Their names are looked up past the policy, the
 * packet filter is told of their addresses and ports, and the sockets carry
 * our mark.
 */
#ifndef EGRESS_CONTROL_WAY_H
#define EGRESS_CONTROL_WAY_H

#include "filter/filter.h"
#include "lookup.h"

#include <uv.h>

struct way;
struct way_ask;

struct way_settings {
	uv_loop_t *loop;
	struct resolvers *resolvers; /* must outlive it */
	uint32_t mark;
	/* Let these be reached, and no others from now on. 0 or -errno. */
	int (*let_out)(void *arg, const struct filter_peer *peers, size_t n);
	void *arg;
};

/* 0 or -errno. */
int way_open(struct way **out, const struct way_settings *settings);
/* Those who ask have cancelled. */
void way_close(struct way *way);

/*
 * Find the way to url's host and let it be. 1: it is there, and *entry is what
 * CURLOPT_RESOLVE needs ("HOST:PORT:ADDRESS,..."), to be freed, or NULL where
 * that needs nothing. 0: done is called once with the entry (valid during the
 * call), or with an error, unless cancelled. -errno.
 */
int way_find(struct way *way, const char *url, char **entry,
	     void (*done)(void *arg, const char *entry, const char *error),
	     void *arg, struct way_ask **out);
void way_cancel(struct way_ask *ask);

/* A socket towards peer, for CURLOPT_OPENSOCKETFUNCTION; -errno. */
int way_socket(const struct way *way, int type, int protocol,
	       const struct sockaddr *peer);

#endif
