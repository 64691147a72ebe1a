/* SPDX-License-Identifier: Apache-2.0 */
#include "leases.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	BUCKETS_MIN = 64,
	/* Names over all addresses; some addresses have many. */
	PAIRS_MAX = 2 * LEASE_MAX,
};

#define REMEMBER_MS ((uint64_t)LEASE_REMEMBER_S * MS)

/* Addresses come from outside: the key keeps their buckets unpredictable. */
static size_t bucket_of(const struct lease_table *table,
			const struct address *a)
{
	uint64_t half[2], h;

	memcpy(half, a->bytes, sizeof(half));
	h = (half[0] ^ table->key[0]) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ h >> 32 ^ half[1] ^ a->family) * (table->key[1] | 1);
	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ULL;
	return (size_t)(h ^ h >> 32) & (table->n_buckets - 1);
}

int lease_table_new(struct lease_table **out)
{
	struct lease_table *table = calloc(1, sizeof(*table));
	int ret = -ENOMEM;

	if (!table)
		return -ENOMEM;
	table->n_buckets = BUCKETS_MIN;
	table->soonest_ms = UINT64_MAX;
	lease_table_bounds(table, LEASE_FLOOR_S, LEASE_CAP_S);
	table->bucket = calloc(table->n_buckets, sizeof(struct lease_entry *));
	table->last_name = calloc(1, sizeof(*table->last_name));
	if (!table->bucket || !table->last_name)
		goto cleanup;
	/* getrandom(2) of so few bytes is never cut short. */
	if (getrandom(table->key, sizeof(table->key), 0) < 0) {
		ret = -errno;
		goto cleanup;
	}
	*out = table;
	return 0;

cleanup:
	free(table->bucket);
	free(table->last_name);
	free(table);
	return ret;
}

void lease_table_bounds(struct lease_table *table, uint32_t floor_s,
			uint32_t cap_s)
{
	assert(floor_s <= cap_s && cap_s >= 2 * LEASE_SLACK_S);
	table->floor_s = floor_s;
	table->cap_s = cap_s;
}

static void pair_free(struct lease_pair *pair)
{
	free(pair->ports);
	free(pair);
}

static void drop_pair(struct lease_entry *e)
{
	struct lease_pair *pair = e->pairs;

	e->pairs = pair->next;
	e->n--;
	pair_free(pair);
}

static void uncount(struct lease_table *table, const struct lease_entry *e)
{
	table->n_entries--;
	table->n_pairs -= e->n;
	table->shares.n[e->share]--;
}

static void entry_free(struct lease_table *table, struct lease_entry *e)
{
	uncount(table, e);
	while (e->pairs)
		drop_pair(e);
	free(e);
}

bool lease_next_evicted(struct lease_table *table,
			struct lease_element *element,
			struct admitted_ports *ports)
{
	struct lease_entry *e = table->evicted;

	if (!e)
		return false;
	*element = (struct lease_element){.a = e->a};
	if (e->pairs && e->pairs->ports) {
		*ports = *e->pairs->ports;
		element->ports = ports;
	}
	if (e->pairs)
		drop_pair(e);
	if (!e->pairs) {
		table->evicted = e->next;
		free(e);
	}
	return true;
}

void lease_table_free(struct lease_table *table)
{
	struct lease_element element;
	struct admitted_ports ports;

	if (!table)
		return;
	while (lease_next_evicted(table, &element, &ports))
		;
	for (size_t i = 0; i < table->n_buckets; i++) {
		while (table->bucket[i]) {
			struct lease_entry *e = table->bucket[i];

			table->bucket[i] = e->next;
			entry_free(table, e);
		}
	}
	free(table->bucket);
	free(table->last_name);
	free(table);
}

size_t lease_table_count(const struct lease_table *table)
{
	return table->n_entries;
}

struct lease_entry *lease_find(const struct lease_table *table,
			       const struct address *a)
{
	struct lease_entry *e = table->bucket[bucket_of(table, a)];

	while (e && address_compare(&e->a, a) != 0)
		e = e->next;
	return e;
}

struct lease_pair *lease_find_pair(const struct lease_entry *e,
				   const struct domain_name *name)
{
	struct lease_pair *pair = e->pairs;

	while (pair && (pair->len != name->len ||
			memcmp(pair->wire, name->wire, name->len) != 0))
		pair = pair->next;
	return pair;
}

static bool entry_is_dead(const struct lease_entry *e, uint64_t now_ms,
			  uint64_t *end_ms)
{
	uint64_t end = 0;

	for (const struct lease_pair *pair = e->pairs; pair;
	     pair = pair->next) {
		if (pair->end_ms > end)
			end = pair->end_ms;
		if (pair->announced_ms > end)
			end = pair->announced_ms;
	}
	if (end > now_ms && end < *end_ms)
		*end_ms = end;
	return end <= now_ms;
}

/* Forget what has ended, to make room. Where nothing has, do not look again
 * before something may have: a client that fills the table must not make every
 * further answer walk through it. */
static bool make_room(struct lease_table *table, uint64_t now_ms)
{
	uint64_t soonest = UINT64_MAX;
	size_t before = table->n_entries;

	if (now_ms < table->full_until_ms)
		return false;
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct lease_entry **at = &table->bucket[i];

		while (*at) {
			struct lease_entry *e = *at;

			if (entry_is_dead(e, now_ms, &soonest)) {
				*at = e->next;
				entry_free(table, e);
			} else {
				at = &e->next;
			}
		}
	}
	if (table->n_entries < before)
		return true;
	table->full_until_ms = soonest;
	return false;
}

/* End leases of whoever holds most, if that is another. */
static bool evict(struct lease_table *table, uint8_t share)
{
	uint8_t largest;
	size_t wanted = lease_shares_excess(&table->shares, share, &largest);
	size_t n = 0;

	for (size_t i = 0; i < table->n_buckets && n < wanted; i++) {
		struct lease_entry **at = &table->bucket[table->hand];

		while (*at && n < wanted) {
			struct lease_entry *e = *at;

			if (e->share != largest) {
				at = &e->next;
				continue;
			}
			*at = e->next;
			uncount(table, e);
			e->next = table->evicted;
			table->evicted = e;
			n++;
		}
		table->hand = (table->hand + 1) & (table->n_buckets - 1);
	}
	return n > 0;
}

static void grow(struct lease_table *table)
{
	size_t old_n = table->n_buckets;
	struct lease_entry **old = table->bucket;
	struct lease_entry **wider =
		calloc(old_n * 2, sizeof(struct lease_entry *));

	if (!wider)
		return; /* longer chains serve as well */
	table->bucket = wider;
	table->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		while (old[i]) {
			struct lease_entry *e = old[i];
			size_t to = bucket_of(table, &e->a);

			old[i] = e->next;
			e->next = wider[to];
			wider[to] = e;
		}
	}
	free(old);
}

int lease_entry_add(struct lease_table *table, const struct address *a,
		    const struct domain_name *name, uint64_t now_ms,
		    struct lease_entry **out)
{
	uint8_t share = lease_share_of(name, table->key[0]);
	struct lease_entry *e;
	size_t to;

	if (table->n_entries >= LEASE_MAX || table->n_pairs >= PAIRS_MAX) {
		if (!make_room(table, now_ms) && !evict(table, share))
			return -ENOSPC;
	}
	if (table->n_entries >= table->n_buckets)
		grow(table);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->a = *a;
	to = bucket_of(table, a);
	e->next = table->bucket[to];
	table->bucket[to] = e;
	table->n_entries++;
	e->share = share;
	table->shares.n[share]++;
	*out = e;
	return 0;
}

/* Take away the pair whose lease ended first, or ends first. */
static void drop_least(struct lease_table *table, struct lease_entry *e)
{
	struct lease_pair **least = &e->pairs, *pair;

	for (struct lease_pair **at = &e->pairs; *at; at = &(*at)->next) {
		if ((*at)->end_ms <= (*least)->end_ms)
			least = at;
	}
	pair = *least;
	assert(pair);
	*least = pair->next;
	pair_free(pair);
	e->n--;
	table->n_pairs--;
}

int lease_pair_add(struct lease_table *table, struct lease_entry *e,
		   const struct domain_name *name, struct lease_pair **out)
{
	struct lease_pair *pair = calloc(1, sizeof(*pair) + name->len);

	if (!pair)
		return -ENOMEM;
	if (e->n == LEASE_NAMES_MAX ||
	    (e->n > 0 && table->n_pairs >= PAIRS_MAX))
		drop_least(table, e);
	pair->len = name->len;
	memcpy(pair->wire, name->wire, name->len);
	pair->next = e->pairs;
	e->pairs = pair;
	e->n++;
	table->n_pairs++;
	*out = pair;
	return 0;
}

void lease_entry_remove(struct lease_table *table, struct lease_entry *e)
{
	struct lease_entry **at = &table->bucket[bucket_of(table, &e->a)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	entry_free(table, e);
}

bool lease_span_within(const struct port_span *span,
		       const struct admitted_ports *ports)
{
	for (size_t i = 0; i < ports->n; i++) {
		const struct port_span *wide = &ports->span[i];

		if (wide->protocol == span->protocol &&
		    wide->first <= span->first && span->last <= wide->last)
			return true;
	}
	return false;
}

void lease_note_end(struct lease_table *table, uint64_t end_ms)
{
	if (end_ms < table->soonest_ms)
		table->soonest_ms = end_ms;
	if (end_ms < table->scanned_ms)
		table->scanned_ms = end_ms;
}

void lease_pair_name(const struct lease_pair *pair, struct domain_name *name)
{
	memset(name, 0, sizeof(*name));
	name->len = pair->len;
	memcpy(name->wire, pair->wire, pair->len);
}

const struct domain_name *lease_last_name(const struct lease_table *table,
					  const struct address *a)
{
	/* The names are kept at their own length; the caller's is whole. */
	struct domain_name *out = table->last_name;
	const struct lease_entry *e = lease_find(table, a);
	const struct lease_pair *last;

	if (!e || !e->pairs)
		return NULL;
	last = e->pairs;
	for (const struct lease_pair *pair = last->next; pair;
	     pair = pair->next) {
		if (pair->admitted_ms > last->admitted_ms)
			last = pair;
	}
	lease_pair_name(last, out);
	return out;
}

bool lease_is_live(const struct lease_table *table,
		   const struct domain_name *name, const struct address *a,
		   uint64_t now_ms)
{
	const struct lease_entry *e = lease_find(table, a);
	const struct lease_pair *pair = e ? lease_find_pair(e, name) : NULL;

	return pair && pair->end_ms > now_ms;
}

/* Is the pair still of use? Its ports become what the policy gives it now,
 * which is what the kernel has for it. */
static bool keep_pair(const struct lease_entry *e, struct lease_pair *pair,
		      const struct policy *policy, bool private_ok,
		      uint64_t now_ms)
{
	struct admitted_ports ports, *copy = NULL;
	struct domain_name name;

	if (pair->end_ms + REMEMBER_MS < now_ms &&
	    pair->admitted_ms + REMEMBER_MS < now_ms)
		return false;
	lease_pair_name(pair, &name);
	switch (policy_admission(policy, &name, &e->a, private_ok, &ports)) {
	case ADMIT:
		break;
	case ADMIT_PORTS:
		copy = malloc(sizeof(*copy));
		if (!copy)
			return false;
		*copy = ports;
		break;
	default:
		return false;
	}
	free(pair->ports);
	pair->ports = copy;
	return true;
}

static void sweep_entry(struct lease_table *table, struct lease_entry *e,
			const struct policy *policy, bool private_ok,
			uint64_t now_ms)
{
	struct lease_pair **at = &e->pairs;

	while (*at) {
		struct lease_pair *pair = *at;

		if (keep_pair(e, pair, policy, private_ok, now_ms)) {
			at = &pair->next;
			continue;
		}
		*at = pair->next;
		pair_free(pair);
		e->n--;
		table->n_pairs--;
	}
}

void lease_table_sweep(struct lease_table *table, const struct policy *policy,
		       bool private_ok, uint64_t now_ms)
{
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct lease_entry **at = &table->bucket[i];

		while (*at) {
			struct lease_entry *e = *at;

			sweep_entry(table, e, policy, private_ok, now_ms);
			if (e->n == 0) {
				*at = e->next;
				entry_free(table, e);
			} else {
				at = &e->next;
			}
		}
	}
	table->full_until_ms = 0;
}

void lease_table_end(struct lease_table *table)
{
	for (size_t i = 0; i < table->n_buckets; i++)
		for (struct lease_entry *e = table->bucket[i]; e; e = e->next)
			for (struct lease_pair *pair = e->pairs; pair;
			     pair = pair->next)
				pair->end_ms = pair->announced_ms = 0;
}
