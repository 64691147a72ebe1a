/* SPDX-License-Identifier: Apache-2.0 */
/* Leases that open connections use go on. */
#include "leases.h"

bool lease_due(const struct lease_table *table, uint64_t by_ms)
{
	return table->soonest_ms <= by_ms;
}

void lease_use(struct lease_table *table, const struct address *a,
	       uint8_t protocol, uint16_t port, uint64_t now_ms)
{
	const struct port_span span = {protocol, port, port};
	const struct lease_entry *e = lease_find(table, a);

	for (struct lease_pair *pair = e ? e->pairs : NULL; pair;
	     pair = pair->next) {
		if (!pair->ports || lease_span_within(&span, pair->ports))
			pair->used_ms = now_ms;
	}
}

/* Announce the pair's next lease; false where the policy has none for it. */
static bool renew_pair(const struct lease_table *table,
		       const struct lease_entry *e, struct lease_pair *pair,
		       const struct policy *policy, bool private_ok,
		       uint64_t now_ms, struct lease_renewal *out)
{
	enum admission admission;

	lease_pair_name(pair, &out->name);
	admission = policy_admission(policy, &out->name, &e->a, private_ok,
				     &out->ports);
	if (admission != ADMIT && admission != ADMIT_PORTS)
		return false;
	out->element = (struct lease_element){
		.a = e->a,
		.ports = admission == ADMIT ? NULL : &out->ports,
		.timeout_s = table->floor_s,
		.name = &out->name,
	};
	/* The table was swept by this policy: these are the pair's ports. */
	pair->announced_ms = now_ms + (uint64_t)table->floor_s * MS;
	return true;
}

struct renewing {
	const struct policy *policy;
	bool private_ok;
	uint64_t since_ms, by_ms, now_ms;
	struct lease_renewal *out;
	size_t n;
};

static void renew_entry(struct lease_table *table, const struct lease_entry *e,
			struct renewing *r)
{
	struct lease_pair *last = NULL;
	bool live = false;

	for (struct lease_pair *pair = e->pairs; pair; pair = pair->next) {
		bool renewed = false;

		if (pair->used_ms >= r->since_ms && pair->end_ms <= r->by_ms) {
			if (!last || pair->admitted_ms > last->admitted_ms)
				last = pair;
			renewed = pair->end_ms > r->now_ms &&
				  renew_pair(table, e, pair, r->policy,
					     r->private_ok, r->now_ms,
					     &r->out[r->n]);
		}
		r->n += renewed;
		live |= pair->end_ms > r->now_ms;
		if (!renewed && pair->end_ms > r->now_ms &&
		    pair->end_ms < table->scanned_ms)
			table->scanned_ms = pair->end_ms;
	}
	if (!live && last &&
	    renew_pair(table, e, last, r->policy, r->private_ok, r->now_ms,
		       &r->out[r->n]))
		r->n++;
}

size_t lease_renew(struct lease_table *table, const struct policy *policy,
		   bool private_ok, uint64_t since_ms, uint64_t by_ms,
		   uint64_t now_ms, size_t *at, struct lease_renewal *out)
{
	struct renewing r = {policy, private_ok, since_ms, by_ms,
			     now_ms, out,        0};

	if (*at == 0)
		table->scanned_ms = UINT64_MAX;
	for (; *at < table->n_buckets; (*at)++) {
		const struct lease_entry *e;

		for (e = table->bucket[*at]; e; e = e->next) {
			/* A chain that is longer waits for the next scan. */
			if (r.n + LEASE_NAMES_MAX > LEASE_RENEWALS_MAX)
				break;
			renew_entry(table, e, &r);
		}
		if (r.n + 2 * LEASE_NAMES_MAX > LEASE_RENEWALS_MAX) {
			(*at)++;
			return r.n;
		}
	}
	if (r.n == 0)
		table->soonest_ms = table->scanned_ms;
	return r.n;
}
