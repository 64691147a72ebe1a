/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is served by HTTP: one sandbox's interface, with what an interface of
 * many is made of; and what is measured.
 */
#ifndef EGRESS_API_H
#define EGRESS_API_H

#include "http/http.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct sandbox;
struct sandbox_shared;
struct settings;

/* The sandboxes that are served and measured; borrowed by who does. */
struct sandbox_list {
	struct sandbox **at;
	size_t n;
};

/* api/http.c: the interface of one sandbox: /policy, /flows,
 * /healthz, /metrics. */

struct http;

/* A listening socket at a literal address, every address of both families where
 * host is empty; port in host order. A descriptor, or -errno. */
int http_listen(const char *host, uint16_t port);

/*
 * Serve list's one sandbox on listen_fd; they and shared are borrowed. inside:
 * the interface shares the sandbox's namespace, so whoever connects from one of
 * its own addresses gets nothing but /healthz unless it holds the token. Else
 * the sandbox is among those who connect from elsewhere: where no token is set
 * they get /healthz and /metrics, and so do proxies and processes of other
 * users here. 0 or -errno.
 */
int http_open(struct http **out, int listen_fd, const struct sandbox_list *list,
	      const struct sandbox_shared *shared, bool inside);
void http_close(struct http *http);

/* api/meters.c: one table of meters, which the Prometheus page, the OTLP push
 * and the agent's counts all walk. The dotted names are those of OpenSandbox's
 * meters where it has one. */

enum meter_kind {
	METER_COUNTER,
	METER_GAUGE,
};

struct meter {
	const char *name;       /* OTLP: dotted */
	const char *prometheus; /* Prometheus: base unit and _total */
	const char *unit;       /* UCUM, as OTLP has it */
	const char *help;
	enum meter_kind kind;
	size_t offset; /* of a uint64_t in the struct it measures */
	bool seconds;  /* that number is of microseconds */
};

/* Of each sandbox: offsets into struct sandbox_counts. Ends with a NULL
 * name. */
extern const struct meter sandbox_meters[];

/* The histogram of struct sandbox_counts. */
#define METER_QUERY_NAME       "egress.dns.query.duration"
#define METER_QUERY_PROMETHEUS "egress_dns_query_duration_seconds"
#define METER_QUERY_HELP       "Time that resolvers took to answer allowed queries."

/* Of the process. What could not be read is METER_ABSENT: it is left out, not
 * zero. */
#define METER_ABSENT UINT64_MAX
struct process_counts {
	uint64_t log_dropped;
	uint64_t resident_bytes;
	uint64_t cgroup_bytes; /* charged to our control group */
	uint64_t cpu_us;       /* user and system time of ours */
};
void process_counts(struct process_counts *counts);

/* Offsets into struct process_counts. Ends with a NULL name. */
extern const struct meter process_meters[];

/* What the meter says in the struct that it measures. */
uint64_t meter_value(const struct meter *meter, const void *counts);

/* api/policy_api.c: what requests are answered, in the wire format of
 * OpenSandbox's egress sidecar. Knows no HTTP library. */

/* Whose policy is asked for; borrowed. */
struct policy_call {
	struct sandbox *sandbox;
	const struct settings *settings;
	const char *follows; /* what its policy is pulled by, NULL: nothing */
};

/*
 * Act on one request for /policy: GET shows, POST and PUT replace, PATCH puts
 * rules before the others, DELETE takes targets away. 200 only after the kernel
 * has taken it; 400 and 413 for bodies, 405 for methods, 500 where the kernel
 * or the policy file refused.
 */
void policy_api(const struct policy_call *call, const char *method,
		const char *body, size_t len, struct reply *reply);

/* flows_api.c: GET /flows?limit=N&after=ID, sandbox_flows(). 400 names a bad
 * parameter. */
void flows_api(struct sandbox *sandbox, const struct server_request *request,
	       struct reply *reply);

/* api/status_api.c: GET /status: sandbox_status(). */
void status_api(struct sandbox *sandbox, const char *method,
		struct reply *reply);

/* api/pending_api.c: GET /pending: the names that wait for approval. */
void pending_api(const struct sandbox *sandbox, const char *method,
		 struct reply *reply);

/* GET /healthz: "ok", or 503 and a line for each sandbox whose rules the kernel
 * is not seen to hold, with what is missing. */
void reply_health(struct reply *reply, const char *method,
		  const struct sandbox_list *list);

/* GET /metrics of these sandboxes and of the outlets. */
void reply_metrics(struct reply *reply, const char *method,
		   const struct sandbox_list *list,
		   const struct sandbox_shared *shared);

#endif
