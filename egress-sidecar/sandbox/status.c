/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"status":"ok","id":"sb-1","mode":"enforcing","enforcementMode":"dns+nft",
 * "audit":false,"rules":2,"leases":1,...}: docs/api.md lists all.
 */
#include "inner.h"

#include "life/life.h"
#include "log/log.h"
#include "version.h"

#include <sys/utsname.h>

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *time_json(time_t t)
{
	char text[TIME_TEXT_SIZE];

	time_to_text(t, text);
	return json_string(text);
}

static json_t *denied_json(const struct sandbox *s)
{
	uint64_t now_s = now_ms() / 1000;
	json_t *latest = json_array();
	const struct denial *d;
	char text[DOMAIN_NAME_TEXT_MAX];

	for (size_t i = 0; (d = denials_latest(&s->denials, i)); i++)
		json_array_append_new(
			latest,
			json_pack("{ss so so}", "name",
				  domain_name_to_text(&d->name, text), "count",
				  count(d->count), "at", time_json(d->at)));
	return json_pack(
		"{so so so so}", "names",
		count(denials_in_minute(&s->denials, DENIED_NAME, now_s)),
		"connections",
		count(denials_in_minute(&s->denials, DENIED_CONNECTION, now_s)),
		"packets",
		count(denials_in_minute(&s->denials, DENIED_PACKET, now_s)),
		"latest", latest);
}

static json_t *resolvers_json(const struct sandbox *s)
{
	const struct resolvers *resolvers =
		s->own_resolvers ? s->own_resolvers : s->shared->resolvers;
	json_t *list = json_array();
	struct resolver_state state;
	char text[RESOLVER_TEXT_MAX];

	for (size_t i = 0; resolvers_state(resolvers, i, &state); i++)
		json_array_append_new(
			list,
			json_pack("{ss ss so}", "address",
				  resolver_to_text(&state.address, text),
				  "state",
				  state.loops  ? "loops"
				  : state.down ? "down"
					       : "up",
				  "latencyMs",
				  state.rtt_ms ? json_integer(state.rtt_ms)
					       : json_null()));
	return list;
}

static json_t *gate_json(const struct sandbox *s, const struct gate_counts *g)
{
	const struct settings *settings = s->shared->settings;
	json_t *ports;
	uint64_t refused = 0;

	if (!s->gate)
		return json_null();
	ports = json_array();
	for (size_t i = 0; i < settings->n_gate_ports; i++)
		json_array_append_new(ports,
				      json_integer(settings->gate_ports[i]));
	for (size_t i = 0; i < GATE_REASONS; i++)
		refused += g->refused[i];
	return json_pack("{so so so so so so}", "ports", ports, "open",
			 count(g->open), "allowed", count(g->allowed),
			 "refused", count(refused), "dropped",
			 count(g->dropped), "failed", count(g->failed));
}

static json_t *kernel_json(const struct sandbox *s)
{
	json_t *features = json_object(), *missing = json_array();
	struct utsname uts = {.release = ""};
	unsigned tried, found = filter_features(s->filter, &tried);
	const char *line;

	for (size_t i = 0; i < FILTER_FEATURES; i++) {
		unsigned bit = filter_feature_names[i].feature;

		if (bit == FILTER_XDP) /* missing tells of it */
			continue;
		json_object_set_new(features, filter_feature_names[i].name,
				    tried & bit ? json_boolean(found & bit)
						: json_null());
	}
	/* The gate does not start without. */
	json_object_set_new(features, "conntrack-zones",
			    s->gate ? json_true() : json_null());
	for (size_t i = 0; (line = filter_missing(s->filter, i)); i++)
		json_array_append_new(missing, json_string(line));
	(void)uname(&uts);
	return json_pack("{ss so so}", "release", uts.release, "features",
			 features, "missing", missing);
}

json_t *sandbox_status(struct sandbox *s)
{
	const struct settings *settings = s->shared->settings;
	const char *lost;
	struct sandbox_counts c;

	sandbox_counts(s, &c); /* which asks the kernel */
	lost = c.rules_in_force ? NULL : sandbox_lost(s);
	return json_pack(
		"{ss ss ss* ss ss ss sb so so so so so so so so so so}",
		"status", "ok", "version", OPENSANDBOX_VERSION, "id",
		s->place.id[0] ? s->place.id : NULL, "health",
		lost ? "lost" : "ok", "mode", sandbox_mode(s),
		"enforcementMode", settings->nft ? "dns+nft" : "dns", "audit",
		(int)settings->audit, "lost",
		lost ? json_string(lost) : json_null(), "rules", count(c.rules),
		"leases", count(c.leases), "flowsOpen", count(c.flows.open),
		"pending", count(c.dns.pending), "queries",
		count(c.dns.queries), "deniedLastMinute", denied_json(s),
		"resolvers", resolvers_json(s), "gate", gate_json(s, &c.gate),
		"kernel", kernel_json(s));
}
