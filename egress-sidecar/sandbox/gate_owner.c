/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox's gate, and what it asks of its owner. */
#include "inner.h"

#include "life/life.h"
#include "outlets/outlets.h"

#include <netinet/in.h>

/* Does a rule for the address itself, or the policy's hosts, allow it? Such
 * connections come here while the policy changes, and to be learned from. */
static bool address_allows(const struct sandbox *s, const struct address *a,
			   uint16_t port)
{
	struct decision d;

	policy_match_address(s->policy, a, IPPROTO_TCP, port, &d);
	return d.rule && d.action == POLICY_ALLOW;
}

static bool on_allows(void *arg, const struct domain_name *name,
		      const struct address *a, uint16_t port)
{
	const struct sandbox *s = arg;

	return address_allows(s, a, port) ||
	       policy_admits_port(s->policy, name, a,
				  s->shared->settings->private_ok, IPPROTO_TCP,
				  port);
}

static bool on_leads(void *arg, const struct domain_name *name,
		     const struct address *a, uint16_t port)
{
	const struct sandbox *s = arg;

	return address_allows(s, a, port) ||
	       (on_allows(arg, name, a, port) &&
		filter_leads(s->filter, s->leases, name, a, now_ms()));
}

/* The webhook's words for it: the name that was given, or is known for where it
 * was going. */
static const char *wanted(const struct gate_refusal *r,
			  const struct domain_name *known, char *text)
{
	const struct domain_name *name = r->name ? r->name : known;

	return name ? domain_name_to_text(name, text)
		    : address_to_text(&r->destination, text);
}

static void on_refused(void *arg, const struct gate_refusal *r)
{
	struct sandbox *s = arg;
	const struct domain_name *known =
		lease_last_name(s->leases, &r->destination);
	const struct domain_name *name = r->name ? r->name : known;
	char text[DOMAIN_NAME_TEXT_MAX];

	if (r->audit && address_allows(s, &r->destination, r->port))
		return;
	flows_gate_refused(s, r);
	denials_add(&s->denials, DENIED_CONNECTION, r->name, now_ms() / 1000,
		    time(NULL));
	if (s->shared->webhook)
		webhook_send(s->shared->webhook, wanted(r, known, text),
			     s->place.id, false);
	if ((name && owner_log_skips(s, name)) ||
	    (!s->journal.whole &&
	     policy_log_skips_address(s->policy, &r->destination)))
		return;
	journal_denied_connection(&s->journal, r);
}

static void on_goes(void *arg, const struct gate_way *way)
{
	flows_gate_goes(arg, way);
}

int sandbox_gate_start(struct sandbox *s, const struct listeners *l)
{
	const struct settings *from = s->shared->settings;
	const struct gate_settings settings = {
		.netns = s->place.netns,
		.tcp4 = l->gate4,
		.tcp6 = l->gate6,
		.port = l->gate_port,
		.mark = from->gate_mark,
		.audit = from->audit,
		.pools = s->shared->gates,
	};
	const struct gate_owner owner = {
		.arg = s,
		.leads = on_leads,
		.allows = on_allows,
		.refused = on_refused,
		.goes = on_goes,
	};

	return from->gate
		       ? gate_open(&s->gate, s->shared->loop, &settings, &owner)
		       : 0;
}
