/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a provider is: a row of the table in main.c.
 */
#ifndef DISCOVERY_PROVIDER_H
#define DISCOVERY_PROVIDER_H

#include "settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct feed;
struct fetcher;

/* What a provider works with; outlives it. */
struct provider_host {
	uv_loop_t *loop;
	struct fetcher *fetcher;
	struct feed *feed;
	bool gateway, agent;   /* who is fed */
	bool allow_loopback;   /* --allow-loopback */
	const char *node_name; /* --node-name; NULL: none */
};

struct provider {
	const char *name;                 /* as records' source: "docker" */
	const struct option_row *options; /* read into its settings */
	size_t settings_size;             /* bytes; zeroed before */
	/* Is it asked for? */
	bool (*wanted)(const void *settings);
	/* A unix socket that it connects to, which may be root's alone; NULL or
	 * returns NULL: none. */
	const char *(*socket)(const void *settings);
	/*
	 * Open all its lists (feed_list_open()) and begin to list and watch,
	 * before privileges are dropped; settings outlive it. 0, or -errno
	 * with the reason said by log_fatal().
	 */
	int (*open)(void **state, const struct provider_host *host,
		    const void *settings);
	/* Feeds nothing any more; its handles may close later. */
	void (*close)(void *state);
};

#endif
