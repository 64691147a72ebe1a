/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"
#include "life/life.h"
#include "log/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LINES_PER_SECOND = 200, /* of one kind and sandbox */
	LINES_BURST = 400,
};

void journal_init(struct journal *j, const char *sandbox_id,
		  const struct settings *settings)
{
	const struct journal_budget full = {.tokens = LINES_BURST,
					    .per_second = LINES_PER_SECOND,
					    .burst = LINES_BURST};

	*j = (struct journal){
		.sandbox_id = sandbox_id[0] ? sandbox_id : NULL,
		.names = full,
		.answers = full,
		.packets = full,
		.guesses = full,
		.connections = full,
		.kernel = full,
		.lost = full,
		.flows = full,
		.whole = settings->learn,
		.dns_alone = !settings->nft,
		.gate_ports = settings->gate ? settings->gate_ports : NULL,
		.n_gate_ports = settings->n_gate_ports,
	};
	for (size_t i = 0; i < POLICY_LIMITS; i++)
		j->limits[i] = (struct journal_budget){
			.tokens = 1, .per_second = 1, .burst = 1};
}

/* May a line be written? */
static bool budget_take(const struct journal *j, struct journal_budget *b,
			enum log_level level)
{
	struct timespec t;
	uint64_t now, due;

	if (!log_enabled(level))
		return false;
	if (j->whole && b->burst > 1)
		return true;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	due = (now - b->refilled_ms) * b->per_second / 1000;
	if (due > 0) {
		due += b->tokens;
		b->tokens = due > b->burst ? b->burst : (uint32_t)due;
		b->refilled_ms = now;
	}
	if (b->tokens == 0) {
		b->suppressed++;
		return false;
	}
	b->tokens--;
	return true;
}

/* The lines held back since the last one, for that one's field; NULL: none. */
static json_t *budget_suppressed(struct journal_budget *b)
{
	json_t *n =
		b->suppressed ? json_integer((json_int_t)b->suppressed) : NULL;

	b->suppressed = 0;
	return n;
}

static const char *peer_text(const struct sockaddr *peer, char *out)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)peer;

	if (!peer)
		return NULL;
	if (peer->sa_family == AF_INET)
		return inet_ntop(AF_INET, &sin->sin_addr, out,
				 INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, &sin6->sin6_addr, out, INET6_ADDRSTRLEN);
}

static json_t *address_list(const struct address *a, size_t n)
{
	char text[ADDRESS_TEXT_MAX];
	json_t *list = n ? json_array() : NULL;

	for (size_t i = 0; i < n && list; i++)
		json_array_append_new(
			list, json_string(address_to_text(&a[i], text)));
	return list;
}

/* NULL: no gate. */
static json_t *gate_ports(const struct journal *j)
{
	json_t *list = j->gate_ports ? json_array() : NULL;

	for (size_t i = 0; i < j->n_gate_ports && list; i++)
		json_array_append_new(list, json_integer(j->gate_ports[i]));
	return list;
}

/* As in the policy's document. NULL: none. */
static json_t *limits_given(const struct policy_limits *from)
{
	json_t *limits = NULL;

	for (int i = 0; i < POLICY_LIMITS; i++) {
		if (!from->most[i])
			continue;
		if (!limits)
			limits = json_object();
		json_object_set_new(limits,
				    policy_limit_name((enum policy_limit)i),
				    json_integer((json_int_t)from->most[i]));
	}
	return limits;
}

void journal_policy(const struct journal *j, const char *event,
		    const struct policy *policy, const char *error)
{
	const struct rules *rules = policy_rules(policy);
	enum log_level level = error ? LOG_ERROR : LOG_INFO;
	const char *action =
		rules->default_action == POLICY_ALLOW ? "allow" : "deny";
	json_t *ports, *limits;
	size_t list;
	char *text;

	if (!error && rules->warnings)
		log_event(LOG_WARN, NULL,
			  "the policy was not taken as it is written",
			  "ssandbox_id", j->sandbox_id, "jwarnings",
			  rules->warnings, NULL);
	limits = limits_given(&rules->limits);
	if (!error && j->dns_alone &&
	    json_object_size(limits) > (rules->limits.most[LIMIT_DNS] > 0))
		log_event(LOG_WARN, NULL,
			  "limits but dnsPerSecond need --mode dns+nft; they "
			  "do not hold",
			  "ssandbox_id", j->sandbox_id, NULL);
	if (!log_enabled(level)) {
		json_decref(limits);
		return;
	}
	text = rules_to_text(rules, &list);
	if (text)
		text[strlen(text) - 1] = '\0';
	ports = gate_ports(j);
	log_event(level, event,
		  error ? "policy update failed" : "policy in force",
		  "ssandbox_id", j->sandbox_id, "segress.default", action,
		  "segress.gate", ports ? "names" : NULL, "jegress.gate_ports",
		  ports, "jegress.limits", limits, "serror", error, "rrules",
		  text ? text + list : NULL, NULL);
	json_decref(limits);
	json_decref(ports);
	free(text);
}

void journal_denied_name(struct journal *j, const struct domain_name *name,
			 const struct decision *decision,
			 const struct sockaddr *peer)
{
	char text[DOMAIN_NAME_TEXT_MAX], from[INET6_ADDRSTRLEN];
	json_t *held;

	if (!budget_take(j, &j->names, LOG_INFO))
		return;
	held = budget_suppressed(&j->names);
	log_event(EVENT(event_denied), "name denied", "ssandbox_id",
		  j->sandbox_id, "starget.host",
		  domain_name_to_text(name, text), "srule",
		  decision->rule ? decision->rule->target : NULL, "ssource",
		  decision->source, "speer", peer_text(peer, from),
		  "jsuppressed", held, NULL);
	json_decref(held);
}

void journal_held_name(struct journal *j, const struct domain_name *name,
		       unsigned seconds, const struct sockaddr *peer)
{
	char text[DOMAIN_NAME_TEXT_MAX], from[INET6_ADDRSTRLEN];
	json_t *held;

	if (!budget_take(j, &j->names, LOG_INFO))
		return;
	held = budget_suppressed(&j->names);
	log_event(EVENT(event_pending), "name waits for approval",
		  "ssandbox_id", j->sandbox_id, "starget.host",
		  domain_name_to_text(name, text), "iseconds",
		  (long long)seconds, "speer", peer_text(peer, from),
		  "jsuppressed", held, NULL);
	json_decref(held);
}

const char *refused_reason(const struct refused_packet *packet)
{
	if (packet->guess)
		return "mark_guessed";
	return packet->limit < POLICY_LIMITS ? policy_limit_name(packet->limit)
					     : NULL;
}

void journal_denied_packet(struct journal *j,
			   const struct refused_packet *packet,
			   const struct domain_name *name)
{
	char text[DOMAIN_NAME_TEXT_MAX], from[ADDRESS_TEXT_MAX],
		to[ADDRESS_TEXT_MAX], protocol[PROTOCOL_TEXT_MAX];
	bool over = packet->limit < POLICY_LIMITS;
	struct journal_budget *budget = over ? &j->limits[packet->limit]
					: packet->guess ? &j->guesses
							: &j->packets;
	json_t *held, *port = NULL;

	if (!budget_take(j, budget, LOG_INFO))
		return;
	held = budget_suppressed(budget);
	if (packet->destination_port)
		port = json_integer(packet->destination_port);
	log_event(
		EVENT(event_denied),
		packet->audit   ? "packet would be refused"
		: over          ? "packet over a limit refused"
		: packet->guess ? "our mark is being guessed; nothing of ours "
				  "leaves by it for a while"
		: packet->inbound ? "inbound packet refused"
				  : "packet refused",
		"sdirection", packet->inbound ? "inbound" : NULL, "ssandbox_id",
		j->sandbox_id, "starget.ip",
		address_to_text(&packet->destination, to), "jtarget.port", port,
		"sprotocol", protocol_to_text(packet->protocol, protocol),
		"starget.host", name ? domain_name_to_text(name, text) : NULL,
		"speer", address_to_text(&packet->source, from), "sreason",
		refused_reason(packet), "jsuppressed", held, NULL);
	json_decref(held);
	json_decref(port);
}

void journal_denied_connection(struct journal *j, const struct gate_refusal *r)
{
	char text[DOMAIN_NAME_TEXT_MAX], from[ADDRESS_TEXT_MAX],
		to[ADDRESS_TEXT_MAX];
	json_t *held, *port;

	if (!budget_take(j, &j->connections, LOG_INFO))
		return;
	held = budget_suppressed(&j->connections);
	port = json_integer(r->port);
	log_event(EVENT(event_denied),
		  r->audit ? "connection would be refused"
			   : "connection refused by name",
		  "ssandbox_id", j->sandbox_id, "starget.ip",
		  address_to_text(&r->destination, to), "jtarget.port", port,
		  "sprotocol", "tcp", "starget.host",
		  r->name ? domain_name_to_text(r->name, text) : NULL,
		  "sreason", gate_reason_text(r->reason), "speer",
		  address_to_text(&r->source, from), "jsuppressed", held, NULL);
	json_decref(held);
	json_decref(port);
}

void journal_limited_question(struct journal *j, const struct domain_name *name,
			      const struct sockaddr *peer)
{
	char text[DOMAIN_NAME_TEXT_MAX], from[INET6_ADDRSTRLEN];
	json_t *held;

	if (!budget_take(j, &j->limits[LIMIT_DNS], LOG_INFO))
		return;
	held = budget_suppressed(&j->limits[LIMIT_DNS]);
	log_event(EVENT(event_denied), "question over a limit refused",
		  "ssandbox_id", j->sandbox_id, "starget.host",
		  name ? domain_name_to_text(name, text) : NULL, "speer",
		  peer_text(peer, from), "sreason",
		  policy_limit_name(LIMIT_DNS), "jsuppressed", held, NULL);
	json_decref(held);
}

void journal_answered(struct journal *j, const struct domain_name *name,
		      const struct address *admitted, size_t n_admitted,
		      const struct address *refused, size_t n_refused,
		      const char *error, const struct sockaddr *peer)
{
	enum log_level level = error || n_refused ? LOG_WARN : LOG_INFO;
	char text[DOMAIN_NAME_TEXT_MAX], from[INET6_ADDRSTRLEN];
	json_t *ips, *cut, *held;

	if (!budget_take(j, &j->answers, level))
		return;
	held = budget_suppressed(&j->answers);
	ips = address_list(admitted, n_admitted);
	cut = address_list(refused, n_refused);
	log_event(level, event_outbound.name,
		  error       ? "name not resolved"
		  : n_refused ? "name resolved, addresses refused"
			      : "name resolved",
		  "ssandbox_id", j->sandbox_id, "starget.host",
		  domain_name_to_text(name, text), "jtarget.ips", ips,
		  "jrefused.ips", cut, "speer", peer_text(peer, from), "serror",
		  error, "jsuppressed", held, NULL);
	json_decref(ips);
	json_decref(cut);
	json_decref(held);
}

/* NULL is left out, and so is what is not known. */
static json_t *given(const json_t *flow, const char *key)
{
	json_t *value = json_object_get(flow, key);

	return json_is_null(value) ? NULL : value;
}

void journal_flow(struct journal *j, const json_t *flow)
{
	json_t *held;

	if (!budget_take(j, &j->flows, event_flow.level))
		return;
	held = budget_suppressed(&j->flows);
	log_event(EVENT(event_flow), "connection ended", "ssandbox_id",
		  j->sandbox_id, "jid", given(flow, "id"), "jstart",
		  given(flow, "start"), "jend", given(flow, "end"),
		  "jdirection", given(flow, "direction"), "jtarget.host",
		  given(flow, "name"), "jtarget.ip", given(flow, "address"),
		  "jtarget.port", given(flow, "port"), "jprotocol",
		  given(flow, "protocol"), "jpeer", given(flow, "peer"),
		  "jpeer.port", given(flow, "peerPort"), "jbytesOut",
		  given(flow, "bytesOut"), "jbytesIn", given(flow, "bytesIn"),
		  "jpacketsOut", given(flow, "packetsOut"), "jpacketsIn",
		  given(flow, "packetsIn"), "jverdict", given(flow, "verdict"),
		  "jrule", given(flow, "rule"), "jsource",
		  given(flow, "source"), "jreason", given(flow, "reason"),
		  "jsuppressed", held, NULL);
	json_decref(held);
}

void journal_kernel_failure(struct journal *j, int err)
{
	json_t *held;

	if (!budget_take(j, &j->kernel, LOG_ERROR))
		return;
	held = budget_suppressed(&j->kernel);
	log_event(EVENT(event_update_failed),
		  "learned addresses refused by the kernel; answers withheld",
		  "ssandbox_id", j->sandbox_id, "serror", strerror(-err),
		  "jsuppressed", held, NULL);
	json_decref(held);
}

void journal_lost(struct journal *j, const char *what)
{
	json_t *held;

	if (!budget_take(j, &j->lost, LOG_ERROR))
		return;
	held = budget_suppressed(&j->lost);
	log_event(EVENT(event_rules_lost),
		  "another process changed the rules in the kernel",
		  "ssandbox_id", j->sandbox_id, "serror", what, "jsuppressed",
		  held, NULL);
	json_decref(held);
}

void journal_restored(struct journal *j)
{
	json_t *held;

	if (!budget_take(j, &j->lost, LOG_WARN))
		return;
	held = budget_suppressed(&j->lost);
	log_event(EVENT(event_rules_restored), "the rules are in force again",
		  "ssandbox_id", j->sandbox_id, "jsuppressed", held, NULL);
	json_decref(held);
}
