/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where we speak to others by HTTP, unasked: the webhook, the policy's URL,
 * the collector; and the egress path that this takes.
 */
#ifndef EGRESS_OUTLETS_H
#define EGRESS_OUTLETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

struct fetch_path;
struct fetcher;
struct filter_peer;
struct resolvers;
struct sandbox;
struct sandbox_list;
struct settings;

/* outlets/egress_path.c */

/*
 * The egress path out of the sandbox's own namespace (sidecar mode): the
 * outlets are reached whatever the policy says, by us alone. Their names are
 * looked up past the policy, the packet filter is told of their addresses and
 * ports, and the sockets carry our mark.
 */
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

/* outlets/outlets.c */

struct outlet_counts {
	uint64_t sent;      /* requests that were answered as wished */
	uint64_t failed;    /* and those that were not, retries not counted */
	uint64_t dropped;   /* never sent, since too many were waiting */
	uint64_t queued;    /* waiting or under way */
	uint64_t success_s; /* the last answer, seconds since 1970; 0: none */
};

struct outlet {
	TAILQ_ENTRY(outlet) in_list;
	const char *kind;       /* a constant */
	const char *sandbox_id; /* borrowed; "": the process's */
	struct outlet_counts counts;
};

/* What the outlets share, and how each fares. */
struct outlets {
	uv_loop_t *loop;
	const struct fetch_path *path; /* out of the sandbox's own namespace,
					  borrowed; NULL: we are not in it */
	struct fetcher *fetcher;       /* of them all, NULL: none yet */
	TAILQ_HEAD(outlet_list, outlet) list;
};

void outlets_init(struct outlets *outlets, uv_loop_t *loop);
/* Every outlet is closed. */
void outlets_close(struct outlets *outlets);

/* outlets/otlp.c */

/*
 * Pushes the meters to an OpenTelemetry collector, when the standard variables
 * name one: OTLP over HTTP in its JSON encoding (opentelemetry-proto 1.x).
 *
 * OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT with
 * /v1/metrics after it; _HEADERS and _TIMEOUT (milliseconds, 10000) of both;
 * OTEL_METRIC_EXPORT_INTERVAL (milliseconds, 60000); OTEL_SERVICE_NAME;
 * OTEL_RESOURCE_ATTRIBUTES; OTEL_SDK_DISABLED; OTEL_METRICS_EXPORTER=none.
 */
struct otlp;

/*
 * Start pushing what list holds at each time; list, settings and outlets must
 * outlive it. *out is NULL where no collector is named, and where what the
 * variables say cannot be used, which is logged: telemetry is never a reason
 * not to guard. 0 or -errno.
 */
int otlp_open(struct otlp **out, struct outlets *outlets,
	      const struct sandbox_list *list, const struct settings *settings);
/*
 * Push once more what has been measured up to now; done is called once, when
 * that was answered or limit_ms have passed, never before this returns. There
 * are no further pushes.
 */
void otlp_flush(struct otlp *otlp, uint64_t limit_ms, void (*done)(void *arg),
		void *arg);
void otlp_close(struct otlp *otlp);

/* outlets/pull.c */

/*
 * Follows the policy that a gateway serves: GET with If-None-Match and
 * "Prefer: wait=30" (RFC 7240), so that a change arrives at once and nothing
 * is asked while nothing changes. Whatever the gateway does, the last good
 * policy stays in force.
 */
struct pull;

/* Start following url; token NULL: no Authorization. Both are copied, the
 * sandbox and outlets must outlive it. 0 or -errno. */
int pull_open(struct pull **out, struct outlets *outlets,
	      struct sandbox *sandbox, const char *url, const char *token,
	      size_t max_rules);
void pull_close(struct pull *pull);

/* outlets/webhook.c */

/*
 * Tells a URL of every denied name: POST {"hostname","timestamp","source",
 * "sandboxId"}, and of every name that waits for approval: with
 * "pending":true. Never delays the caller: a bounded queue, one request under
 * way, 5 seconds each, three retries after 1, 2 and 4 seconds.
 */
struct webhook;

/* outlets is borrowed, url and token are copied; token NULL: no Authorization.
 * shared: several sandboxes use it, none of which may fill
 * the queue. 0 or -errno. */
int webhook_open(struct webhook **out, struct outlets *outlets, const char *url,
		 const char *token, bool shared);
void webhook_close(struct webhook *webhook);

/* Queue one denial, or, pending, what may become one; dropped and counted when
 * the queue, or the sandbox's share of it, is full. */
void webhook_send(struct webhook *webhook, const char *hostname,
		  const char *sandbox_id, bool pending);

#endif
