/* SPDX-License-Identifier: Apache-2.0 */
#include "ranges.h"

#include <assert.h>

static bool table_allows(const struct port_table *table, int protocol,
			 unsigned int port)
{
	for (size_t i = 0; i < table->n_spans; i++) {
		const struct port_verdict *v = &table->spans[i];

		if (v->span.protocol == protocol && v->span.first <= port &&
		    port <= v->span.last)
			return v->action == POLICY_ALLOW;
	}
	return table->otherwise == POLICY_ALLOW;
}

bool ranges_allow(const struct policy *policy, const struct address *a,
		  int protocol, unsigned int port)
{
	size_t n, n_tables;
	const struct policy_range *range = policy_ranges(policy, &n);
	const struct port_table *table = policy_port_tables(policy, &n_tables);

	for (size_t i = 0; i < n; i++) {
		if (!address_range_holds(&range[i].range, a))
			continue;
		if (range[i].verdict != RANGE_PORTS)
			return range[i].verdict == RANGE_ALLOW;
		assert(range[i].table < n_tables);
		return table_allows(&table[range[i].table], protocol, port);
	}
	return policy_default(policy) == POLICY_ALLOW;
}
