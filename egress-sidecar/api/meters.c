/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNTER(name, prometheus, unit, help, field)                  \
	{                                                             \
		name, prometheus, unit, help, METER_COUNTER,          \
			offsetof(struct sandbox_counts, field), false \
	}
#define GAUGE(name, prometheus, unit, help, field)                    \
	{                                                             \
		name, prometheus, unit, help, METER_GAUGE,            \
			offsetof(struct sandbox_counts, field), false \
	}

const struct meter sandbox_meters[] = {
	COUNTER("egress.policy.denied_total", "egress_policy_denied_total",
		"{query}", "DNS queries that the policy denied.", dns.denied),
	GAUGE("egress.nftables.rules.count", "egress_nftables_rules_count",
	      "{element}", "Rules of the policy in force.", rules),
	COUNTER("egress.nftables.updates.count",
		"egress_nftables_updates_count_total", "{update}",
		"Batches that the kernel's packet filter has taken.",
		filter.commits),
	GAUGE("egress.rules.in_force", "egress_rules_in_force", "1",
	      "1 while the kernel holds all rules and the gate listens, else "
	      "0: what GET /healthz says.",
	      rules_in_force),
	COUNTER("egress.rules.lost", "egress_rules_lost_total", "{loss}",
		"How often another process took rules out of the kernel.",
		rules_lost),
	COUNTER("egress.dns.queries", "egress_dns_queries_total", "{query}",
		"DNS queries that came in.", dns.queries),
	COUNTER("egress.dns.answers.fresh", "egress_dns_answers_fresh_total",
		"{answer}", "Answers that a resolver gave.",
		dns.answered_fresh),
	COUNTER("egress.dns.answers.cached", "egress_dns_answers_cached_total",
		"{answer}", "Answers from the cache.", dns.answered_cached),
	COUNTER("egress.dns.answers.shared", "egress_dns_answers_shared_total",
		"{answer}", "Answers that shared a query already under way.",
		dns.shared),
	COUNTER("egress.dns.query.failed_total",
		"egress_dns_query_failed_total", "{query}",
		"Allowed queries that no resolver could answer.", dns.failed),
	COUNTER("egress.dns.malformed", "egress_dns_malformed_total",
		"{message}", "Messages that were no DNS query.", dns.malformed),
	COUNTER("egress.dns.dropped", "egress_dns_dropped_total", "{query}",
		"Queries dropped because too many were under way.",
		dns.dropped),
	COUNTER("egress.dns.refused_addresses",
		"egress_dns_refused_addresses_total", "{address}",
		"Addresses cut from answers.", dns.refused_addresses),
	GAUGE("egress.dns.pending", "egress_dns_pending", "{name}",
	      "Names that wait for approval.", dns.pending),
	COUNTER("egress.dns.held", "egress_dns_held_total", "{name}",
		"Names whose answer was held for approval.", dns.held),
	COUNTER("egress.dns.approved", "egress_dns_approved_total", "{name}",
		"Held names that a change of the policy allowed.",
		dns.approved),
	COUNTER("egress.dns.not_held", "egress_dns_not_held_total", "{query}",
		"DNS queries denied at once because too many wait for "
		"approval.",
		dns.not_held),
	COUNTER("egress.dns.upstream.timeouts",
		"egress_dns_upstream_timeouts_total", "{query}",
		"Questions that a resolver left open, over all sandboxes.",
		resolvers.timed_out),
	COUNTER("egress.dns.upstream.failovers",
		"egress_dns_upstream_failovers_total", "{query}",
		"Questions that went on to the next resolver, over all "
		"sandboxes.",
		resolvers.failed_over),
	COUNTER("egress.dns.upstream.spoofed",
		"egress_dns_upstream_spoofed_total", "{message}",
		"Messages from resolvers that answer no open question, over "
		"all sandboxes.",
		resolvers.spoofed),
	GAUGE("egress.dns.upstream.healthy", "egress_dns_upstream_healthy",
	      "{resolver}",
	      "Resolvers that are not known to be down, over all sandboxes.",
	      resolvers.healthy),
	COUNTER("egress.packets.refused", "egress_packets_refused_total",
		"{packet}", "Packets that the packet filter refused.",
		filter.refused_packets),
	COUNTER("egress.packets.mark_guessed",
		"egress_packets_mark_guessed_total", "{packet}",
		"Packets refused since the mark of our own was being guessed.",
		filter.guessed),
	COUNTER("egress.limit.refused.connections",
		"egress_limit_refused_connections_total", "{packet}",
		"Connections refused for the policy's limits.connections.",
		filter.limited[LIMIT_CONNECTIONS]),
	COUNTER("egress.limit.refused.new_connections_per_second",
		"egress_limit_refused_new_connections_per_second_total",
		"{packet}",
		"Connections refused for limits.newConnectionsPerSecond.",
		filter.limited[LIMIT_NEW_CONNECTIONS]),
	COUNTER("egress.limit.refused.bytes_per_second",
		"egress_limit_refused_bytes_per_second_total", "{packet}",
		"Packets dropped for limits.bytesPerSecond.",
		filter.limited[LIMIT_BYTES_PER_SECOND]),
	COUNTER("egress.limit.refused.bytes_total",
		"egress_limit_refused_bytes_total_total", "{packet}",
		"Packets refused for limits.bytesTotal.",
		filter.limited[LIMIT_BYTES_TOTAL]),
	COUNTER("egress.limit.refused.dns_per_second",
		"egress_limit_refused_dns_per_second_total", "{query}",
		"DNS queries refused for limits.dnsPerSecond.", dns.limited),
	GAUGE("egress.limit.bytes_total.used", "egress_limit_bytes_total_used",
	      "By", "Bytes that count for limits.bytesTotal.",
	      filter.quota_used),
	COUNTER("egress.leases.learned", "egress_leases_learned_total",
		"{address}", "Addresses let in because of an answer.",
		filter.leased_elements),
	GAUGE("egress.leases.count", "egress_leases_count", "{address}",
	      "Addresses known from answers.", leases),
	COUNTER("egress.flows", "egress_flows_total", "{connection}",
		"Connections that began.", flows.begun),
	GAUGE("egress.flows.open", "egress_flows_open", "{connection}",
	      "Connections that are open.", flows.open),
	COUNTER("egress.flows.lost", "egress_flows_lost_total", "{event}",
		"Beginnings and ends of connections that the kernel could not "
		"tell us.",
		flows.lost),
	COUNTER("egress.flows.dropped", "egress_flows_dropped_total",
		"{connection}",
		"Connections that GET /flows had no room for for an hour.",
		flows.dropped),
	COUNTER("egress.gate.accepted", "egress_gate_accepted_total",
		"{connection}", "Connections that came to the gate.",
		gate.accepted),
	COUNTER("egress.gate.allowed", "egress_gate_allowed_total",
		"{connection}", "Connections that the gate let on.",
		gate.allowed),
	COUNTER("egress.gate.refused.sni_mismatch",
		"egress_gate_refused_sni_mismatch_total", "{connection}",
		"Connections refused for a name that did not lead there, or is "
		"not allowed.",
		gate.refused[GATE_MISMATCH]),
	COUNTER("egress.gate.refused.no_name",
		"egress_gate_refused_no_name_total", "{connection}",
		"Connections refused since they gave no name.",
		gate.refused[GATE_NO_NAME]),
	COUNTER("egress.gate.refused.malformed",
		"egress_gate_refused_malformed_total", "{connection}",
		"Connections refused since they are neither TLS nor HTTP.",
		gate.refused[GATE_MALFORMED]),
	COUNTER("egress.gate.dropped", "egress_gate_dropped_total",
		"{connection}", "Connections that the gate had no room for.",
		gate.dropped),
	COUNTER("egress.gate.failed", "egress_gate_failed_total",
		"{connection}",
		"Connections that were let on and could not be opened.",
		gate.failed),
	GAUGE("egress.gate.connections", "egress_gate_connections",
	      "{connection}", "Connections that the gate holds open.",
	      gate.open),
	COUNTER("egress.policy.updates", "egress_policy_updates_total",
		"{update}", "Policies put in force after the first.",
		policy_updates),
	COUNTER("egress.policy.update_failures",
		"egress_policy_update_failures_total", "{update}",
		"Policies that could not be put in force.",
		policy_update_failures),
	{.name = NULL},
};

const struct meter process_meters[] = {
	{"egress.log.dropped_lines", "egress_log_dropped_lines_total", "{line}",
	 "Log lines that standard output did not take.", METER_COUNTER,
	 offsetof(struct process_counts, log_dropped), false},
	{"egress.process.memory.usage_bytes",
	 "egress_process_memory_usage_bytes", "By",
	 "Memory charged to our control group.", METER_GAUGE,
	 offsetof(struct process_counts, cgroup_bytes), false},
	{"egress.process.memory.resident_bytes",
	 "process_resident_memory_bytes", "By", "Resident memory.", METER_GAUGE,
	 offsetof(struct process_counts, resident_bytes), false},
	{"egress.process.cpu.time", "egress_process_cpu_time_seconds_total",
	 "s", "Processor time, user and system.", METER_COUNTER,
	 offsetof(struct process_counts, cpu_us), true},
	{.name = NULL},
};

uint64_t meter_value(const struct meter *meter, const void *counts)
{
	uint64_t value;

	memcpy(&value, (const char *)counts + meter->offset, sizeof(value));
	return value;
}

/* The first number of a small file. */
static bool read_number(const char *path, unsigned skip, uint64_t *out)
{
	char text[128], *at = text, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	for (; skip > 0; skip--) {
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
	}
	*out = strtoull(at, &end, 10);
	return end != at;
}

/* memory.current of our own group: cgroups(7), version 2, as a container sees
 * it, then version 1. */
static bool cgroup_bytes(uint64_t *out)
{
	return read_number("/sys/fs/cgroup/memory.current", 0, out) ||
	       read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", 0,
			   out);
}

void process_counts(struct process_counts *c)
{
	struct rusage usage;
	uint64_t pages;

	*c = (struct process_counts){
		.log_dropped = log_dropped(),
		.resident_bytes = METER_ABSENT,
		.cgroup_bytes = METER_ABSENT,
		.cpu_us = METER_ABSENT,
	};
	if (read_number("/proc/self/statm", 1, &pages))
		c->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	(void)cgroup_bytes(&c->cgroup_bytes);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		c->cpu_us = ((uint64_t)usage.ru_utime.tv_sec +
			     (uint64_t)usage.ru_stime.tv_sec) *
				    1000000 +
			    (uint64_t)usage.ru_utime.tv_usec +
			    (uint64_t)usage.ru_stime.tv_usec;
}
