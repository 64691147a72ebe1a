/* SPDX-License-Identifier: Apache-2.0 */
#include "leases.h"

#include "lease_shares.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	BUCKETS_MIN = 64,
	/* Names over all addresses; some addresses have many. */
	PAIRS_MAX = 2 * LEASE_MAX,
	MS = 1000
};

#define REMEMBER_MS ((uint64_t)LEASE_REMEMBER_S * MS)

/* One name that led to an address. */
struct pair {
	struct pair *next;            /* older */
	struct admitted_ports *ports; /* owned; NULL: all */
	uint64_t end_ms;              /* of the lease that the kernel took */
	uint64_t announced_ms; /* end of one it was not yet seen to take */
	uint64_t learned_ms;
	uint64_t used_ms; /* an open connection was seen */
	uint8_t len;
	uint8_t wire[];
};

struct entry {
	struct entry *next; /* in its bucket */
	struct address a;
	size_t n;
	struct pair *pairs; /* owned, n of them, the newest first */
	uint8_t share;      /* of its first name */
};

struct lease_table {
	struct entry **bucket;
	size_t n_buckets; /* a power of two */
	size_t n_entries, n_pairs;
	struct lease_shares shares;
	struct entry *evicted; /* owned; no part of the table any more */
	size_t hand;           /* bucket where to look for more */
	uint64_t key[2];
	uint64_t full_until_ms; /* nothing can be evicted before */
	uint64_t soonest_ms;    /* no live lease ends before */
	uint64_t scanned_ms;    /* the same, of the scan under way */
	uint32_t floor_s, cap_s;
	struct domain_name *last_name; /* owned; of lease_last_name() */
};

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
	table->bucket = calloc(table->n_buckets, sizeof(struct entry *));
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

static void pair_free(struct pair *pair)
{
	free(pair->ports);
	free(pair);
}

static void drop_pair(struct entry *e)
{
	struct pair *pair = e->pairs;

	e->pairs = pair->next;
	e->n--;
	pair_free(pair);
}

static void uncount(struct lease_table *table, const struct entry *e)
{
	table->n_entries--;
	table->n_pairs -= e->n;
	table->shares.n[e->share]--;
}

static void entry_free(struct lease_table *table, struct entry *e)
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
	struct entry *e = table->evicted;

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
			struct entry *e = table->bucket[i];

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

static struct entry *find(const struct lease_table *table,
			  const struct address *a)
{
	struct entry *e = table->bucket[bucket_of(table, a)];

	while (e && address_compare(&e->a, a) != 0)
		e = e->next;
	return e;
}

static struct pair *find_pair(const struct entry *e,
			      const struct domain_name *name)
{
	struct pair *pair = e->pairs;

	while (pair && (pair->len != name->len ||
			memcmp(pair->wire, name->wire, name->len) != 0))
		pair = pair->next;
	return pair;
}

static bool entry_is_dead(const struct entry *e, uint64_t now_ms,
			  uint64_t *end_ms)
{
	uint64_t end = 0;

	for (const struct pair *pair = e->pairs; pair; pair = pair->next) {
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
		struct entry **at = &table->bucket[i];

		while (*at) {
			struct entry *e = *at;

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
		struct entry **at = &table->bucket[table->hand];

		while (*at && n < wanted) {
			struct entry *e = *at;

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
	struct entry **old = table->bucket;
	struct entry **wider = calloc(old_n * 2, sizeof(struct entry *));

	if (!wider)
		return; /* longer chains serve as well */
	table->bucket = wider;
	table->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		while (old[i]) {
			struct entry *e = old[i];
			size_t to = bucket_of(table, &e->a);

			old[i] = e->next;
			e->next = wider[to];
			wider[to] = e;
		}
	}
	free(old);
}

static int add_entry(struct lease_table *table, const struct address *a,
		     const struct domain_name *name, uint64_t now_ms,
		     struct entry **out)
{
	uint8_t share = lease_share_of(name, table->key[0]);
	struct entry *e;
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
static void drop_least(struct lease_table *table, struct entry *e)
{
	struct pair **least = &e->pairs, *pair;

	for (struct pair **at = &e->pairs; *at; at = &(*at)->next) {
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

static int add_pair(struct lease_table *table, struct entry *e,
		    const struct domain_name *name, struct pair **out)
{
	struct pair *pair = calloc(1, sizeof(*pair) + name->len);

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

static void remove_entry(struct lease_table *table, struct entry *e)
{
	struct entry **at = &table->bucket[bucket_of(table, &e->a)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	entry_free(table, e);
}

static bool span_within(const struct port_span *span,
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

/* Does having wide let in all of ports? NULL is everything. */
static bool ports_cover(const struct admitted_ports *wide,
			const struct admitted_ports *ports)
{
	if (!wide)
		return true;
	if (!ports)
		return false;
	for (size_t i = 0; i < ports->n; i++) {
		if (!span_within(&ports->span[i], wide))
			return false;
	}
	return true;
}

/* Until when does the kernel hold the address on these ports? */
static uint64_t held_until(const struct entry *e,
			   const struct admitted_ports *ports)
{
	uint64_t end = 0;

	for (const struct pair *pair = e->pairs; pair; pair = pair->next) {
		if (pair->end_ms > end && ports_cover(pair->ports, ports))
			end = pair->end_ms;
	}
	return end;
}

/* The pair is to stand for these ports. */
static int pair_set_ports(struct pair *pair, const struct admitted_ports *ports)
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

static void note_end(struct lease_table *table, uint64_t end_ms)
{
	if (end_ms < table->soonest_ms)
		table->soonest_ms = end_ms;
	if (end_ms < table->scanned_ms)
		table->scanned_ms = end_ms;
}

int lease_learn(struct lease_table *table, const struct domain_name *name,
		const struct address *a, const struct admitted_ports *ports,
		uint32_t *ttl_s, uint64_t now_ms, struct lease_element *element)
{
	struct entry *e = find(table, a);
	uint64_t held, wanted_ms;
	bool fresh = !e;
	struct pair *pair;
	uint32_t lease_s;
	int ret;

	if (!e) {
		ret = add_entry(table, a, name, now_ms, &e);
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
	pair = find_pair(e, name);
	if (!pair) {
		ret = add_pair(table, e, name, &pair);
		if (ret < 0)
			goto cleanup;
	}
	ret = pair_set_ports(pair, ports);
	if (ret < 0)
		goto cleanup;
	pair->learned_ms = now_ms;
	if (held >= wanted_ms) {
		uint64_t end = now_ms + (uint64_t)lease_s * MS;

		if (end > held)
			end = held;
		if (pair->end_ms < end)
			pair->end_ms = end;
		note_end(table, pair->end_ms);
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
		remove_entry(table, e);
	return ret;
}

void lease_confirm(struct lease_table *table,
		   const struct lease_element *element, uint64_t now_ms)
{
	struct entry *e = find(table, &element->a);
	uint64_t end = now_ms + (uint64_t)element->timeout_s * MS;

	if (!e)
		return;
	for (struct pair *pair = e->pairs; pair; pair = pair->next) {
		uint64_t announced = pair->announced_ms;

		if (!announced || !ports_cover(element->ports, pair->ports))
			continue;
		if (announced > end)
			announced = end;
		if (announced > pair->end_ms)
			pair->end_ms = announced;
		pair->announced_ms = 0;
		note_end(table, pair->end_ms);
	}
}

int lease_restore(struct lease_table *table, const struct domain_name *name,
		  const struct address *a, uint64_t end_ms, uint64_t now_ms)
{
	struct entry *e = find(table, a);
	bool fresh = !e;
	struct pair *pair;
	int ret;

	if (!e) {
		ret = add_entry(table, a, name, now_ms, &e);
		if (ret < 0)
			return ret;
	}
	pair = find_pair(e, name);
	if (!pair) {
		ret = add_pair(table, e, name, &pair);
		if (ret < 0) {
			if (fresh)
				remove_entry(table, e);
			return ret;
		}
		pair->learned_ms = now_ms;
	}
	if (pair->end_ms < end_ms)
		pair->end_ms = end_ms;
	if (end_ms > now_ms)
		note_end(table, end_ms);
	return 0;
}

static void pair_name(const struct pair *pair, struct domain_name *name)
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
	const struct entry *e = find(table, a);
	const struct pair *last;

	if (!e || !e->pairs)
		return NULL;
	last = e->pairs;
	for (const struct pair *pair = last->next; pair; pair = pair->next) {
		if (pair->learned_ms > last->learned_ms)
			last = pair;
	}
	pair_name(last, out);
	return out;
}

bool lease_is_live(const struct lease_table *table,
		   const struct domain_name *name, const struct address *a,
		   uint64_t now_ms)
{
	const struct entry *e = find(table, a);
	const struct pair *pair = e ? find_pair(e, name) : NULL;

	return pair && pair->end_ms > now_ms;
}

static uint32_t seconds_left(uint64_t end_ms, uint64_t now_ms)
{
	return end_ms > now_ms ? (uint32_t)((end_ms - now_ms + MS - 1) / MS)
			       : 0;
}

static void judge_entry(const struct entry *e, const struct policy *policy,
			bool private_ok, uint64_t now_ms,
			void (*each)(void *arg,
				     const struct lease_element *element,
				     bool live),
			void *arg)
{
	const struct pair *whole = NULL; /* the longest lease of all ports */
	struct admitted_ports ports;
	struct domain_name name;
	struct lease_element out = {.a = e->a, .name = &name};

	for (const struct pair *pair = e->pairs; pair; pair = pair->next) {
		enum admission admission;

		pair_name(pair, &name);
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
	pair_name(whole, &name);
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
		const struct entry *e;

		for (e = table->bucket[i]; e; e = e->next)
			judge_entry(e, policy, private_ok, now_ms, each, arg);
	}
}

/* Is the pair still of use? Its ports become what the policy gives it now,
 * which is what the kernel has for it. */
static bool keep_pair(const struct entry *e, struct pair *pair,
		      const struct policy *policy, bool private_ok,
		      uint64_t now_ms)
{
	struct admitted_ports ports, *copy = NULL;
	struct domain_name name;

	if (pair->end_ms + REMEMBER_MS < now_ms &&
	    pair->learned_ms + REMEMBER_MS < now_ms)
		return false;
	pair_name(pair, &name);
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

static void sweep_entry(struct lease_table *table, struct entry *e,
			const struct policy *policy, bool private_ok,
			uint64_t now_ms)
{
	struct pair **at = &e->pairs;

	while (*at) {
		struct pair *pair = *at;

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
		struct entry **at = &table->bucket[i];

		while (*at) {
			struct entry *e = *at;

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
		for (struct entry *e = table->bucket[i]; e; e = e->next)
			for (struct pair *pair = e->pairs; pair;
			     pair = pair->next)
				pair->end_ms = pair->announced_ms = 0;
}

bool lease_due(const struct lease_table *table, uint64_t by_ms)
{
	return table->soonest_ms <= by_ms;
}

void lease_use(struct lease_table *table, const struct address *a,
	       uint8_t protocol, uint16_t port, uint64_t now_ms)
{
	const struct port_span span = {protocol, port, port};
	const struct entry *e = find(table, a);

	for (struct pair *pair = e ? e->pairs : NULL; pair; pair = pair->next) {
		if (!pair->ports || span_within(&span, pair->ports))
			pair->used_ms = now_ms;
	}
}

/* Announce the pair's next lease; false where the policy has none for it. */
static bool renew_pair(const struct lease_table *table, const struct entry *e,
		       struct pair *pair, const struct policy *policy,
		       bool private_ok, uint64_t now_ms,
		       struct lease_renewal *out)
{
	enum admission admission;

	pair_name(pair, &out->name);
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

static void renew_entry(struct lease_table *table, const struct entry *e,
			struct renewing *r)
{
	struct pair *last = NULL;
	bool live = false;

	for (struct pair *pair = e->pairs; pair; pair = pair->next) {
		bool renewed = false;

		if (pair->used_ms >= r->since_ms && pair->end_ms <= r->by_ms) {
			if (!last || pair->learned_ms > last->learned_ms)
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
		const struct entry *e;

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
