/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int name_index_make(struct name_index *index, size_t n_rules)
{
	size_t room = 8;

	while (room < n_rules * 2)
		room *= 2;
	index->slot = calloc(room, sizeof(*index->slot));
	if (!index->slot)
		return -ENOMEM;
	index->mask = room - 1;
	for (size_t i = 0; i < room; i++)
		index->slot[i].exact = index->slot[i].below = RANK_NONE;
	return 0;
}

static bool slot_is_empty(const struct name_slot *slot)
{
	return slot->exact == RANK_NONE && slot->below == RANK_NONE;
}

/* The slot's name stands in its rules alone. */
static const struct domain_name *slot_name(const struct name_slot *slot,
					   const struct ranked *ranked)
{
	uint32_t rank = slot->exact != RANK_NONE ? slot->exact : slot->below;

	return ranked[rank].rule->name;
}

/* The slot of the name with this hash and wire form, or the empty one where it
 * belongs. */
static struct name_slot *find_slot(const struct name_index *index,
				   const struct ranked *ranked, uint64_t hash,
				   const uint8_t *wire, size_t len)
{
	for (size_t i = hash & index->mask;; i = (i + 1) & index->mask) {
		struct name_slot *slot = &index->slot[i];
		const struct domain_name *name;

		if (slot_is_empty(slot))
			return slot;
		if (slot->hash != hash)
			continue;
		name = slot_name(slot, ranked);
		if (name->len == len && !memcmp(name->wire, wire, len))
			return slot;
	}
}

void name_index_add(struct name_index *index, struct ranked *ranked,
		    uint32_t rank)
{
	const struct rule *rule = ranked[rank].rule;
	uint64_t hash = domain_name_hash(rule->name);
	struct name_slot *slot = find_slot(index, ranked, hash,
					   rule->name->wire, rule->name->len);
	uint32_t *first;

	first = rule_names(rule) == NAMES_ONE ? &slot->exact : &slot->below;
	/* nothing comes after a rule that decides every port */
	ranked[rank].next = rule->n_ports ? *first : RANK_NONE;
	slot->hash = hash;
	*first = rank;
}

size_t name_index_find(const struct name_index *index,
		       const struct ranked *ranked,
		       const struct domain_name *name,
		       uint32_t rank[NAME_RANKS_MAX], uint64_t *hash)
{
	uint8_t offset[DOMAIN_LABELS_MAX];
	size_t labels = domain_name_labels(name, offset), n = 0;

	*hash = 0;
	while (labels-- > 0) {
		size_t at = offset[labels];
		const struct name_slot *slot;
		uint32_t found;

		*hash = domain_name_hash_label(*hash, name->wire + at);
		slot = find_slot(index, ranked, *hash, name->wire + at,
				 name->len - at);
		found = at == 0 ? slot->exact : slot->below;
		if (found != RANK_NONE)
			rank[n++] = found;
	}
	return n;
}
