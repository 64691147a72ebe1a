/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other processes do to our tables: told by the kernel (nfnetlink(7),
 * group NFNLGRP_NFTABLES), which knows who asked for each change.
 */
#ifndef EGRESS_FILTER_MONITOR_H
#define EGRESS_FILTER_MONITOR_H

#include "netlink.h"

enum {
	MONITOR_WHAT_MAX = 128
};

struct monitor_change {
	unsigned rank; /* 0: none */
	char what[MONITOR_WHAT_MAX];
};

struct monitor {
	struct channel events;       /* fd -1: closed */
	struct monitor_change next;  /* of a transaction not heard of whole */
	struct monitor_change found; /* the gravest */
	uint32_t since; /* transactions up to this one do not count */
};

/* Hear of changes in the namespace (-1: ours) from now on, but for those that
 * the socket with the netlink port own_port asks for. Needs CAP_NET_ADMIN.
 * 0 or -errno. */
int monitor_open(struct monitor *m, int netns, uint32_t own_port);
void monitor_close(struct monitor *m);

/* Read what is there, and say what became of our tables since the last
 * monitor_clear(): "table inet opensandbox is missing", the gravest change
 * alone; NULL: nothing. Where the kernel had more to tell than the socket
 * holds (ENOBUFS) any of it may have been about them. */
const char *monitor_read(struct monitor *m);

/* The number of the last transaction in the namespace, asked for over c;
 * it wraps. 0 or -errno. */
int monitor_now(struct channel *c, uint32_t *transaction);

/* The tables were written anew after this transaction: what changed them up to
 * it, heard of by now or not, does not count. */
void monitor_clear(struct monitor *m, uint32_t transaction);

#endif
