/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gate said of connections that it let on, until conntrack tells of
 * them: the names that they gave.
 */
#include "inner.h"

#include <stdlib.h>

enum {
	WAYS_MAX = 512 /* between two looks at conntrack's events */
};

struct way {
	struct gate_way is;
	struct domain_name *name; /* owned */
};

void ways_add(struct gate_ways *ways, const struct gate_way *is)
{
	struct way *way;

	if (!ways->at)
		ways->at = calloc(WAYS_MAX, sizeof(*ways->at));
	if (!ways->at)
		return;
	way = &ways->at[ways->n++ % WAYS_MAX];
	free(way->name);
	way->is = *is;
	way->name = is->name ? domain_name_copy(is->name) : NULL;
	way->is.name = way->name;
}

const struct gate_way *ways_find(const struct gate_ways *ways,
				 const struct filter_flow *of)
{
	for (size_t i = 1; ways->at && i <= WAYS_MAX && i <= ways->n; i++) {
		const struct gate_way *is =
			&ways->at[(ways->n - i) % WAYS_MAX].is;

		if (is->source_port == of->source_port &&
		    is->port == of->destination_port &&
		    address_compare(&is->destination, &of->destination) == 0)
			return is;
	}
	return NULL;
}

void ways_free(struct gate_ways *ways)
{
	for (size_t i = 0; ways->at && i < WAYS_MAX; i++)
		free(ways->at[i].name);
	free(ways->at);
	ways->at = NULL;
}
