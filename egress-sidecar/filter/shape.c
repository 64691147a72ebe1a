/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts a ruleset has. */
#include "ruleset.h"

struct ruleset_shape ruleset_shape(const struct ruleset *r)
{
	struct ruleset_shape shape = {0};

	if (r->settings->dns_only)
		return shape;
	shape.name_ports = policy_has_name_ports(r->policy);
	shape.gate = r->settings->n_gated > 0;
	policy_port_tables(r->policy, &shape.n_port_tables);
	return shape;
}

bool ruleset_has_set(const struct ruleset_shape *shape, enum lease_set set)
{
	if (set < LEASES4_PORTS)
		return true;
	return set < GATED4 ? shape->name_ports : shape->gate;
}
