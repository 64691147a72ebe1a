/* SPDX-License-Identifier: Apache-2.0 */
/* What the outlets share. */
#ifndef EGRESS_OUTLETS_INNER_H
#define EGRESS_OUTLETS_INNER_H

#include "dns/dns.h"
#include "outlets.h"

#include <jansson.h>

struct process_counts;

/* lookup.c: addresses of the host names that the configuration holds, looked up
 * past the policy: /etc/hosts, then our own resolvers, with the search list of
 * resolv.conf(5). getaddrinfo(3) would ask as the sandbox does, and be judged
 * like it. */

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

/* otlp_body.c */

/* Pure: the body of one push. resource holds the resource's attributes, an
 * object of strings; times are nanoseconds since 1970. A new reference, NULL
 * when out of memory. */
json_t *otlp_body(struct sandbox *const *sandboxes, size_t n,
		  const struct process_counts *process,
		  const struct settings *settings, const json_t *resource,
		  uint64_t start_ns, uint64_t now_ns);

/* Pure: the parts of "key=value,key=value", percent-decoded, into an object
 * of strings (W3C Baggage, as OTEL_EXPORTER_OTLP_HEADERS has it). 0 or
 * -EINVAL. */
int otlp_pairs(json_t *object, const char *text);

/* outlets.c */

/* A header line with a bearer token (RFC 6750), the caller's to free; NULL
 * without a token. 0 or -ENOMEM. */
int outlet_bearer(char **line, const char *token);
/* Have a fetcher. 0 or -errno. */
int outlets_fetcher_open(struct outlets *outlets);
void outlet_add(struct outlets *outlets, struct outlet *outlet,
		const char *kind, const char *sandbox_id);
void outlet_remove(struct outlets *outlets, struct outlet *outlet);
/* Count an answer as wished, now. */
void outlet_sent(struct outlet *outlet);

#endif
