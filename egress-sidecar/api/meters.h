/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured: one table of meters, which the Prometheus page and the
 * OTLP push both walk. The dotted names are those of OpenSandbox's meters
 * where it has one.
 */
#ifndef EGRESS_CONTROL_METERS_H
#define EGRESS_CONTROL_METERS_H

#include "sandbox/sandbox.h"

/* The sandboxes that are measured; borrowed by who measures. */
struct sandbox_list {
	struct sandbox **at;
	size_t n;
};

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
};

/* Of each sandbox: offsets into struct sandbox_counts. Ends with a NULL
 * name. */
extern const struct meter sandbox_meters[];

/* The histogram of struct sandbox_counts. */
#define METER_QUERY_NAME       "egress.dns.query.duration"
#define METER_QUERY_PROMETHEUS "egress_dns_query_duration_seconds"
#define METER_QUERY_HELP       "Time that resolvers took to answer allowed queries."

/* Of the process. What could not be read is left out: absent, not zero. */
struct process_counts {
	uint64_t log_dropped;
	uint64_t resident_bytes;
	uint64_t cgroup_bytes; /* charged to our control group */
	uint64_t cpu_us;       /* user and system time of ours */
	bool has_resident, has_cgroup, has_cpu;
};
void process_counts(struct process_counts *counts);

#endif
