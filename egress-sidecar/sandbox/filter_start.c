/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter of a sandbox, from its settings. */
#include "inner.h"

#include "life/life.h"
#include "log/log.h"

#include <string.h>
#include <unistd.h>

size_t sandbox_resolver_peers(const struct sandbox *s, struct filter_peer *out)
{
	const struct resolvers_settings *from = &s->shared->settings->resolvers;

	for (size_t i = 0; i < from->n; i++) {
		out[i].a = from->address[i].a;
		out[i].port = from->address[i].port;
	}
	return from->n;
}

static void filter_settings_fill(struct filter_settings *f,
				 const struct sandbox *s,
				 const struct listeners *l)
{
	const struct settings *from = s->shared->settings;

	*f = (struct filter_settings){
		.netns = s->place.netns,
		.drop = from->drop,
		.audit = from->audit,
		.log_all = from->learn,
		.dns_only = !from->nft,
		.private_ok = from->private_ok,
		.dns_port = l->port,
		.log_group = LOG_GROUP,
		.without = from->without,
		.xdp = s->place.xdp,
		.kernel = s->shared->kernel,
		.doh = from->block_doh_443 ? from->doh : NULL,
		.n_doh = from->block_doh_443 ? from->n_doh : 0,
		.n_exempt = from->n_exempt,
		.n_inbound = from->n_inbound,
		.inbound_only = from->inbound_only,
		.uid = (uint32_t)geteuid(),
	};
	memcpy(f->exempt, from->exempt, sizeof(f->exempt));
	memcpy(f->inbound, from->inbound, sizeof(f->inbound));
	if (from->gate) {
		f->gate_port = l->gate_port;
		memcpy(f->gated, from->gate_ports, sizeof(f->gated));
		f->n_gated = from->n_gate_ports;
		f->gate_all = from->learn;
		f->mark = from->gate_mark;
	}
	if (from->run != RUN_SIDECAR)
		return;
	f->api_port = from->http_port;
	f->mark = from->resolvers.mark;
	f->n_resolvers = sandbox_resolver_peers(s, f->resolvers);
}

static void log_rewritten(const struct sandbox *s, const struct filter_peer *to,
			  const struct filter_peer *peer)
{
	char from[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	json_t *port = json_integer(peer->port);

	log_event(LOG_WARN, NULL,
		  "a program of the control group rewrites a resolver's "
		  "address; our questions may go to any address on its port",
		  "ssandbox_id", s->place.id, "sresolver",
		  address_to_text(&to->a, from), "starget.ip",
		  address_to_text(&peer->a, text), "jtarget.port", port, NULL);
	json_decref(port);
}

/* In our own namespace a question that is led elsewhere would meet the
 * redirection that makes port 53 ours. */
static void find_rewritten(const struct sandbox *s, struct filter_settings *f)
{
	for (size_t i = 0; i < f->n_resolvers; i++) {
		struct filter_peer peer;
		size_t k = 0;

		if (filter_true_peer(&f->resolvers[i], &peer) < 0 ||
		    (peer.port == f->resolvers[i].port &&
		     address_compare(&peer.a, &f->resolvers[i].a) == 0))
			continue;
		log_rewritten(s, &f->resolvers[i], &peer);
		while (k < f->n_rewritten && f->rewritten[k] != peer.port)
			k++;
		if (k == f->n_rewritten)
			f->rewritten[f->n_rewritten++] = peer.port;
	}
}

int sandbox_filter_start(struct sandbox *s, const struct listeners *l,
			 char *message)
{
	struct filter_settings settings;
	const char *why = NULL, *missing;
	int err;

	filter_settings_fill(&settings, s, l);
	find_rewritten(s, &settings);
	err = filter_open(&s->filter, &settings, &why);
	if (err)
		return sandbox_fail(message, err, "packet filter: %s: %s",
				    why ? why : "cannot open", strerror(-err));
	for (size_t i = 0; (missing = filter_missing(s->filter, i)); i++)
		log_event(LOG_WARN, NULL, missing, "ssandbox_id", s->place.id,
			  NULL);
	why = filter_unable(s->filter, s->policy);
	if (why)
		return sandbox_fail(message, -EOPNOTSUPP, "packet filter: %s",
				    why);
	err = filter_apply(s->filter, s->policy, s->leases, now_ms());
	if (err)
		return sandbox_fail(message, err,
				    "packet filter: cannot apply: %s",
				    strerror(-err));
	return 0;
}
