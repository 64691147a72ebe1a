/* SPDX-License-Identifier: Apache-2.0 */
/* Names lead to addresses: what becomes a lease, until when, and what the
 * kernel has to be told. */
#include "leases.h"

#include <errno.h>
#include <stdlib.h>

/* Does having wide let in all of ports? NULL is everything. */
static bool ports_cover(const struct admitted_ports *wide,
			const struct admitted_ports *ports)
{
	if (!wide)
		return true;
	if (!ports)
		return false;
	for (size_t i = 0; i < ports->n; i++) {
		if (!lease_span_within(&ports->span[i], wide))
			return false;
	}
	return true;
}

/* Until when does the kernel hold the address on these ports? */
static uint64_t held_until(const struct lease_entry *e,
			   const struct admitted_ports *ports)
{
	uint64_t end = 0;

	for (const struct lease_pair *pair = e->pairs; pair;
	     pair = pair->next) {
		if (pair->end_ms > end && ports_cover(pair->ports, ports))
			end = pair->end_ms;
	}
	return end;
}

/* The pair is to stand for these ports. */
static int pair_set_ports(struct lease_pair *pair,
			  const struct admitted_ports *ports)
{
	struct admitted_ports *copy = NULL;

	if (ports_cover(pair->ports, ports) && ports_cover(ports, pair->ports))
		return 0;
	if (ports) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		*copy = *ports;
	}
	free(pair->ports);
	pair->ports = copy;
	/* What the kernel took was for other ports. */
	pair->end_ms = 0;
	pair->announced_ms = 0;
	return 0;
}

/* The time to live of an answer that outlives every lease: what is left of the
 * lease that is held, so that each such answer does not renew it, until half
 * is gone. */
static uint32_t capped_ttl(const struct lease_table *table, uint64_t held_ms,
			   uint64_t now_ms)
{
	if (held_ms < now_ms + table->cap_s / 2 * (uint64_t)MS)
		return table->cap_s - LEASE_SLACK_S;
	return (uint32_t)((held_ms - now_ms) / MS) - LEASE_SLACK_S;
}

int lease_admit(struct lease_table *table, const struct domain_name *name,
		const struct address *a, const struct admitted_ports *ports,
		uint32_t *ttl_s, uint64_t now_ms, struct lease_element *element)
{
	struct lease_entry *e = lease_find(table, a);
	uint64_t held, wanted_ms;
	bool fresh = !e;
	struct lease_pair *pair;
	uint32_t lease_s;
	int ret;

	if (!e) {
		ret = lease_entry_add(table, a, name, now_ms, &e);
		if (ret < 0)
			return ret;
	}
	held = held_until(e, ports);
	if (*ttl_s > table->cap_s - LEASE_SLACK_S)
		*ttl_s = capped_ttl(table, held, now_ms);
	lease_s = *ttl_s + LEASE_SLACK_S;
	wanted_ms = now_ms + (uint64_t)lease_s * MS;
	if (lease_s < table->floor_s)
		lease_s = table->floor_s;
	pair = lease_find_pair(e, name);
	if (!pair) {
		ret = lease_pair_add(table, e, name, &pair);
		if (ret < 0)
			goto cleanup;
	}
	ret = pair_set_ports(pair, ports);
	if (ret < 0)
		goto cleanup;
	pair->admitted_ms = now_ms;
	if (held >= wanted_ms) {
		uint64_t end = now_ms + (uint64_t)lease_s * MS;

		if (end > held)
			end = held;
		if (pair->end_ms < end)
			pair->end_ms = end;
		lease_note_end(table, pair->end_ms);
		return 0;
	}
	pair->announced_ms = now_ms + (uint64_t)lease_s * MS;
	element->a = *a;
	element->ports = ports;
	element->timeout_s = lease_s;
	element->name = name;
	return 1;

cleanup:
	if (fresh)
		lease_entry_remove(table, e);
	return ret;
}

void lease_confirm(struct lease_table *table,
		   const struct lease_element *element, uint64_t now_ms)
{
	struct lease_entry *e = lease_find(table, &element->a);
	uint64_t end = now_ms + (uint64_t)element->timeout_s * MS;

	if (!e)
		return;
	for (struct lease_pair *pair = e->pairs; pair; pair = pair->next) {
		uint64_t announced = pair->announced_ms;

		if (!announced || !ports_cover(element->ports, pair->ports))
			continue;
		if (announced > end)
			announced = end;
		if (announced > pair->end_ms)
			pair->end_ms = announced;
		pair->announced_ms = 0;
		lease_note_end(table, pair->end_ms);
	}
}

int lease_restore(struct lease_table *table, const struct domain_name *name,
		  const struct address *a, uint64_t end_ms, uint64_t now_ms)
{
	struct lease_entry *e = lease_find(table, a);
	bool fresh = !e;
	struct lease_pair *pair;
	int ret;

	if (!e) {
		ret = lease_entry_add(table, a, name, now_ms, &e);
		if (ret < 0)
			return ret;
	}
	pair = lease_find_pair(e, name);
	if (!pair) {
		ret = lease_pair_add(table, e, name, &pair);
		if (ret < 0) {
			if (fresh)
				lease_entry_remove(table, e);
			return ret;
		}
		pair->admitted_ms = now_ms;
	}
	if (pair->end_ms < end_ms)
		pair->end_ms = end_ms;
	if (end_ms > now_ms)
		lease_note_end(table, end_ms);
	return 0;
}
