/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	LISTED_MAX = 100, /* lines of one reason */
	PORT_DNS = 53,
	PORT_DOT = 853,
	PORT_HTTPS = 443,
};

/* What becomes of a contact. */
enum fate {
	LEARNED,
	COVERED, /* the start lets it pass already */
	DENIED,
	RESOLVER,
	QUIC,
	PRIVATE,
	SPECIAL,
	MISSED, /* learned, and yet the policy would refuse it */
	FATES
};

static const char *const reasons[FATES] = {
	[DENIED] = "denied by a rule of the starting policy",
	[RESOLVER] = "other resolvers (DNS, DoT, DoH), which no policy allows",
	[QUIC] = "UDP to the gate's ports (QUIC), which it refuses; clients "
		 "fall back to TCP",
	[PRIVATE] = "private addresses; allow each by an address rule of its "
		    "own, or run with --private-answers allow",
	[SPECIAL] = "loopback, link-local, metadata, multicast and reserved "
		    "addresses; an allowed name never leads there",
	[MISSED] = "more ports than the rules of a name can list",
};

struct suggesting {
	const struct suggest_settings *settings;
	struct policy *start;
	struct contact **contact;
	size_t n;
	enum fate *fate; /* of each */
	struct targets targets;
	json_t *document;
};

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static void match_address(const struct policy *policy, const struct contact *c,
			  struct decision *d)
{
	bool ports = has_ports(c->protocol);

	policy_match_address(policy, &c->a, ports ? c->protocol : 0,
			     ports ? c->port : 0, d);
}

/* Would the sandbox get through: look the name up, and connect? */
static bool lets_pass(const struct policy *policy, const struct contact *c,
		      bool private_ok)
{
	struct decision d;

	if (!c->name) {
		match_address(policy, c, &d);
		return d.action == POLICY_ALLOW;
	}
	return policy_admits_port(policy, &c->name->name, &c->a, private_ok,
				  c->protocol, c->port);
}

static bool is_denied(const struct policy *start, const struct contact *c)
{
	struct decision d;

	if (c->name) {
		policy_match_name(start, &c->name->name, &d);
		if (c->name->denied_by_rule ||
		    (d.rule && d.action == POLICY_DENY))
			return true;
	}
	match_address(start, c, &d);
	return d.rule && d.action == POLICY_DENY;
}

static bool is_resolver(const struct settings *s, const struct contact *c)
{
	if (!has_ports(c->protocol))
		return false;
	if (c->port == PORT_DNS || c->port == PORT_DOT)
		return true;
	for (size_t i = 0; s->block_doh_443 && i < s->n_doh; i++)
		if (c->port == PORT_HTTPS &&
		    address_range_holds(&s->doh[i], &c->a))
			return true;
	return false;
}

/* Addresses that names led to are gated where no rule allows them. */
static bool is_quic(const struct suggesting *g, const struct contact *c)
{
	const struct settings *s = g->settings->settings;
	struct decision d;

	if (!s->gate || !c->name || c->protocol != IPPROTO_UDP)
		return false;
	match_address(g->start, c, &d);
	if (d.rule && d.action == POLICY_ALLOW)
		return false;
	for (size_t i = 0; i < s->n_gate_ports; i++)
		if (s->gate_ports[i] == c->port)
			return true;
	return false;
}

static enum fate fate_of(const struct suggesting *g, const struct contact *c)
{
	const struct settings *s = g->settings->settings;
	enum address_kind kind = address_kind(&c->a);

	if (is_resolver(s, c))
		return RESOLVER;
	if (is_quic(g, c))
		return QUIC;
	if (lets_pass(g->start, c, s->private_ok))
		return COVERED;
	if (is_denied(g->start, c))
		return DENIED;
	if (kind == ADDRESS_PRIVATE && !(c->name && s->private_ok))
		return PRIVATE;
	return kind == ADDRESS_PUBLIC || kind == ADDRESS_PRIVATE ? LEARNED
								 : SPECIAL;
}

/* One target for each name, then for each address, in the contacts' order. */
static int find_targets(struct suggesting *g)
{
	const struct contact *last = NULL;
	int err = 0;

	for (size_t i = 0; i < g->n && !err; i++) {
		const struct contact *c = g->contact[i];
		struct use use = {c->protocol, c->port};

		if (g->fate[i] != LEARNED)
			continue;
		if (!last || last->name != c->name ||
		    (!c->name && address_compare(&last->a, &c->a) != 0))
			err = targets_add(&g->targets,
					  c->name ? &c->name->name : NULL,
					  &c->a);
		if (!err)
			err = targets_use(&g->targets, &use);
		last = c;
	}
	return err;
}

/* Was it asked for by name alone, and is it not allowed or denied already? */
static bool only_asked(const struct suggesting *g, const struct seen_name *name)
{
	struct decision d;

	if (name->contacted || name->denied_by_rule)
		return false;
	policy_match_name(g->start, &name->name, &d);
	return d.action == POLICY_DENY && !d.rule;
}

static int order_targets(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	if (x->name.len && y->name.len)
		return name_order(&x->name, &y->name);
	if (x->name.len || y->name.len)
		return x->name.len ? -1 : 1;
	return address_compare(&x->a, &y->a);
}

static int find_asked(struct suggesting *g, const struct traffic *traffic)
{
	struct seen_name **name = traffic_names(traffic);
	int err = name ? 0 : -ENOMEM;

	for (size_t i = 0; i < traffic->n_names && !err; i++)
		if (only_asked(g, name[i]))
			err = targets_add(&g->targets, &name[i]->name, NULL);
	free(name);
	if (!err && g->targets.n)
		qsort(g->targets.at, g->targets.n, sizeof(*g->targets.at),
		      order_targets);
	return err;
}

/* A priority that decides after every rule of the start, where they have
 * any; without, the place behind them does. */
static const int *priority_behind(const struct rules *start, int *priority)
{
	bool any = false;

	*priority = 0;
	for (size_t i = 0; i < start->n_rules; i++) {
		const struct rule *rule = &start->rule[i];
		int own = rule->has_priority ? rule->priority : (int)i;

		any |= rule->has_priority;
		if (own >= *priority)
			*priority = own < INT_MAX ? own + 1 : own;
	}
	return any ? priority : NULL;
}

static int write_document(struct suggesting *g, size_t *dropped_ports)
{
	const struct rules *start = g->settings->start;
	json_t *list;
	int err = 0, number;
	const int *priority = priority_behind(start, &number);

	g->document = rules_to_json(start);
	list = json_object_get(g->document, "egress");
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < g->targets.n && !err; i++)
		err = target_rules(list, &g->targets.at[i], g->settings->ports,
				   priority, dropped_ports);
	return err;
}

/* The proof: does what was learned get through, judged as it will be? */
static int prove(struct suggesting *g)
{
	struct policy_error fault = {.index = -1};
	struct rules *rules = NULL;
	struct policy *policy = NULL;
	int err = rules_from_json(&rules, g->document, 0, &fault);

	if (!err)
		err = policy_compile(&policy, rules, g->settings->always);
	for (size_t i = 0; i < g->n && !err; i++)
		if (g->fate[i] == LEARNED &&
		    !lets_pass(policy, g->contact[i],
			       g->settings->settings->private_ok))
			g->fate[i] = MISSED;
	policy_unref(policy);
	rules_free(rules);
	return err;
}

static void report_contact(FILE *report, const struct contact *c)
{
	char address[ADDRESS_TEXT_MAX], name[DOMAIN_NAME_TEXT_MAX],
		protocol[PROTOCOL_TEXT_MAX];

	fprintf(report, "#   %s %s", address_to_text(&c->a, address),
		protocol_to_text(c->protocol, protocol));
	if (c->port)
		fprintf(report, "/%u", c->port);
	if (c->name)
		fprintf(report, " (%s)",
			domain_name_to_text(&c->name->name, name));
	fputc('\n', report);
}

static void report_fate(const struct suggesting *g, enum fate fate,
			FILE *report)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (g->fate[i] != fate)
			continue;
		if (n == 0)
			fprintf(report, "# not learned: %s:\n", reasons[fate]);
		if (n++ < LISTED_MAX)
			report_contact(report, g->contact[i]);
	}
	if (n > LISTED_MAX)
		fprintf(report, "#   and %zu more\n", n - LISTED_MAX);
}

/* Learned, and yet not quite what was seen. */
static void report_gated(const struct suggesting *g, const struct traffic *t,
			 bool named, const char *what, FILE *report)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct contact *c = g->contact[i];

		if (g->fate[i] != LEARNED || !c->gated ||
		    named != (c->name != NULL) || (named && traffic_led(t, c)))
			continue;
		if (n == 0)
			fprintf(report, "# learned: %s:\n", what);
		if (n++ < LISTED_MAX)
			report_contact(report, c);
	}
	if (n > LISTED_MAX)
		fprintf(report, "#   and %zu more\n", n - LISTED_MAX);
}

static int report_asked(const struct suggesting *g,
			const struct traffic *traffic, FILE *report)
{
	struct seen_name **name = traffic_names(traffic);
	char text[DOMAIN_NAME_TEXT_MAX];
	size_t n = 0;

	if (!name)
		return -ENOMEM;
	for (size_t i = 0; i < traffic->n_names; i++) {
		if (!only_asked(g, name[i]))
			continue;
		if (n == 0)
			fputs("# not learned: names that were asked for and "
			      "not connected to (--asked learns them):\n",
			      report);
		if (n++ < LISTED_MAX)
			fprintf(report, "#   %s\n",
				domain_name_to_text(&name[i]->name, text));
	}
	if (n > LISTED_MAX)
		fprintf(report, "#   and %zu more\n", n - LISTED_MAX);
	free(name);
	return 0;
}

static void report_count(FILE *report, uint64_t n, const char *what)
{
	if (n)
		fprintf(report, "# %llu %s\n", (unsigned long long)n, what);
}

static int report_all(const struct suggesting *g, const struct traffic *t,
		      size_t dropped_ports, FILE *report)
{
	size_t names = 0, rules;

	while (names < g->targets.n && g->targets.at[names].name.len)
		names++;
	fprintf(report,
		"# learned: names %zu, addresses %zu; seen: lookups %llu, "
		"packets %llu\n",
		names, g->targets.n - names, (unsigned long long)t->lookups,
		(unsigned long long)t->packets);
	for (enum fate fate = 0; fate < FATES; fate++)
		if (reasons[fate])
			report_fate(g, fate, report);
	report_gated(g, t, true,
		     "names that connections gave and that no look-up led "
		     "there by; the gate lets them on once they are looked up",
		     report);
	report_gated(g, t, false,
		     "addresses, which the gate does not judge then, for "
		     "connections gave no name",
		     report);
	report_count(report, dropped_ports,
		     "targets without ports: not only TCP and UDP, too many, "
		     "or none seen");
	report_count(report, t->no_host_names,
		     "lookups of names that no policy can hold");
	report_count(report, t->suppressed,
		     "log lines were held back: the policy may lack rules");
	report_count(report, t->forgotten,
		     "observations were too many: the policy may lack rules");
	rules = json_array_size(json_object_get(g->document, "egress"));
	if (g->settings->settings->max_rules &&
	    rules > g->settings->settings->max_rules)
		fprintf(report,
			"# %zu rules are more than --max-rules %zu; "
			"--wildcards makes fewer\n",
			rules, g->settings->settings->max_rules);
	return g->settings->asked ? 0 : report_asked(g, t, report);
}

static int judge_contacts(struct suggesting *g, const struct traffic *traffic)
{
	int err = policy_compile(&g->start, g->settings->start,
				 g->settings->always);

	if (err)
		return err;
	g->n = traffic->n_contacts;
	g->contact = traffic_contacts(traffic);
	g->fate = calloc(g->n + 1, sizeof(*g->fate));
	if (!g->contact || !g->fate)
		return -ENOMEM;
	for (size_t i = 0; i < g->n; i++)
		g->fate[i] = fate_of(g, g->contact[i]);
	return 0;
}

int suggest(json_t **document, const struct traffic *traffic,
	    const struct suggest_settings *settings, FILE *report)
{
	struct suggesting g = {.settings = settings};
	size_t dropped_ports = 0;
	int err = judge_contacts(&g, traffic);

	if (!err)
		err = find_targets(&g);
	if (!err && settings->asked)
		err = find_asked(&g, traffic);
	if (!err && settings->wildcards)
		err = targets_fold(&g.targets, settings->wildcards);
	if (err == -ENOENT) {
		fputs("# no Public Suffix List here: no wildcards\n", report);
		err = 0;
	}
	if (!err)
		err = write_document(&g, &dropped_ports);
	if (!err)
		err = prove(&g);
	if (!err)
		err = report_all(&g, traffic, dropped_ports, report);
	policy_unref(g.start);
	targets_free(&g.targets);
	free(g.contact);
	free(g.fate);
	if (err)
		json_decref(g.document);
	else
		*document = g.document;
	return err;
}
