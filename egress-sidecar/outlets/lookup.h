/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of the host names that the configuration holds, looked up past the
 * policy: /etc/hosts, then our own resolvers, with the search list of
 * resolv.conf(5). getaddrinfo(3) would ask as the sandbox does, and be judged
 * like it.
 */
#ifndef EGRESS_CONTROL_LOOKUP_H
#define EGRESS_CONTROL_LOOKUP_H

#include "dns/resolvers.h"

#include <stdbool.h>
#include <stddef.h>

struct lookup;

enum {
	LOOKUP_ADDRESSES_MAX = 8
};

struct lookup_result {
	struct address a[LOOKUP_ADDRESSES_MAX];
	size_t n;       /* 0: the name was not found */
	uint32_t ttl_s; /* for which it may be kept */
};

/*
 * Look host up. 1: result is there already, done will not be called. 0: done
 * is called once, never before this returns, unless cancelled; result is then
 * valid during the call. -EINVAL (not a host name), -ENOMEM. resolvers must
 * outlive it.
 */
int lookup_start(struct lookup **out, struct resolvers *resolvers,
		 const char *host, struct lookup_result *result,
		 void (*done)(void *arg, const struct lookup_result *result),
		 void *arg);
void lookup_cancel(struct lookup *lookup);

/* Pure: the addresses that a line of hosts(5) gives host, added to result. */
void lookup_hosts_line(struct lookup_result *result, char *line,
		       const char *host);

enum {
	SEARCH_MAX = 6
};

/* The list that short names are tried with. */
struct lookup_search {
	char suffix[SEARCH_MAX][256];
	size_t n;
	unsigned ndots; /* 1 */
};
/* Pure: take what a line of resolv.conf(5) says of it. */
void lookup_search_line(struct lookup_search *search, char *line);
/* Pure: the i-th name to try for host, in order, into out; false after the
 * last. */
bool lookup_candidate(const struct lookup_search *search, const char *host,
		      size_t i, char out[512]);

#endif
