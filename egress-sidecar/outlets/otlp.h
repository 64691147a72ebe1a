/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushes the meters to an OpenTelemetry collector, when the standard variables
 * name one: OTLP over HTTP in its JSON encoding (opentelemetry-proto 1.x).
 *
 * OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT with
 * /v1/metrics after it; _HEADERS and _TIMEOUT (milliseconds, 10000) of both;
 * OTEL_METRIC_EXPORT_INTERVAL (milliseconds, 60000); OTEL_SERVICE_NAME;
 * OTEL_RESOURCE_ATTRIBUTES; OTEL_SDK_DISABLED; OTEL_METRICS_EXPORTER=none.
 */
#ifndef EGRESS_CONTROL_OTLP_H
#define EGRESS_CONTROL_OTLP_H

#include "api/meters.h"
#include "outlets.h"

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

#endif
