/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy makes of the leases, and of those that have ended. */
#include "leases.h"

static uint32_t seconds_left(uint64_t end_ms, uint64_t now_ms)
{
	return end_ms > now_ms ? (uint32_t)((end_ms - now_ms + MS - 1) / MS)
			       : 0;
}

static void judge_entry(
	const struct lease_entry *e, const struct policy *policy,
	bool private_ok, uint64_t now_ms,
	void (*each)(void *arg, const struct lease_element *element, bool live),
	void *arg)
{
	/* The longest lease of all ports. */
	const struct lease_pair *whole = NULL;
	struct admitted_ports ports;
	struct domain_name name;
	struct lease_element out = {.a = e->a, .name = &name};

	for (const struct lease_pair *pair = e->pairs; pair;
	     pair = pair->next) {
		enum admission admission;

		lease_pair_name(pair, &name);
		admission = policy_admission(policy, &name, &e->a, private_ok,
					     &ports);
		if (admission == ADMIT) {
			if (!whole || pair->end_ms >= whole->end_ms)
				whole = pair;
		} else if (admission == ADMIT_PORTS) {
			out.ports = &ports;
			out.timeout_s = seconds_left(pair->end_ms, now_ms);
			each(arg, &out, out.timeout_s > 0);
		}
	}
	if (!whole)
		return;
	lease_pair_name(whole, &name);
	out.ports = NULL;
	out.timeout_s = seconds_left(whole->end_ms, now_ms);
	each(arg, &out, out.timeout_s > 0);
}

void lease_table_judge(
	const struct lease_table *table, const struct policy *policy,
	bool private_ok, uint64_t now_ms,
	void (*each)(void *arg, const struct lease_element *element, bool live),
	void *arg)
{
	for (size_t i = 0; i < table->n_buckets; i++) {
		const struct lease_entry *e;

		for (e = table->bucket[i]; e; e = e->next)
			judge_entry(e, policy, private_ok, now_ms, each, arg);
	}
}
