/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS = 1024, /* the kernel's ids are spread already */
	KEPT_MS = 3600 * 1000,
	/* Refused packets of one kind are told as one flow while no more
	 * others have ended since. */
	REFUSED_NEAR = 32
};

void flow_table_init(struct flow_table *t, uint64_t first_id)
{
	TAILQ_INIT(&t->by_id);
	TAILQ_INIT(&t->by_end);
	t->next_id = first_id;
	t->check_ms = UINT64_MAX;
}

static struct flow **bucket_of(const struct flow_table *t, uint32_t id)
{
	return &t->bucket[id % BUCKETS];
}

struct flow *flow_table_find(const struct flow_table *t,
			     const struct filter_flow *of)
{
	struct flow *flow = t->bucket ? *bucket_of(t, of->id) : NULL;

	while (flow &&
	       (flow->of.id != of->id || flow->of.tuple_len != of->tuple_len ||
		memcmp(flow->of.tuple, of->tuple, of->tuple_len) != 0))
		flow = flow->next;
	return flow;
}

void flow_table_forget(struct flow_table *t, struct flow *flow)
{
	struct flow **at;

	if (!flow->known)
		return;
	for (at = bucket_of(t, flow->of.id); *at != flow;)
		at = &(*at)->next;
	*at = flow->next;
	flow->known = false;
}

static void take_out(struct flow_table *t, struct flow *flow)
{
	flow_table_forget(t, flow);
	TAILQ_REMOVE(&t->by_id, flow, by_id);
	if (flow->end_ms)
		TAILQ_REMOVE(&t->by_end, flow, by_end);
	else
		t->n_open--;
	t->n--;
	free(flow);
}

void flow_table_free(struct flow_table *t)
{
	while (!TAILQ_EMPTY(&t->by_id))
		take_out(t, TAILQ_FIRST(&t->by_id));
	free(t->bucket);
	t->bucket = NULL;
}

uint64_t flow_table_expire(struct flow_table *t, uint64_t now_ms)
{
	struct flow *flow;

	while ((flow = TAILQ_FIRST(&t->by_end))) {
		if (flow->end_ms + KEPT_MS > now_ms)
			return flow->end_ms + KEPT_MS;
		take_out(t, flow);
	}
	return UINT64_MAX;
}

/* The oldest that has ended makes room, else the oldest. */
static void make_room(struct flow_table *t)
{
	struct flow *flow = TAILQ_FIRST(&t->by_end);

	if (t->n < FLOWS_MAX)
		return;
	t->dropped++;
	take_out(t, flow ? flow : TAILQ_FIRST(&t->by_id));
}

struct flow *flow_table_add(struct flow_table *t, const struct filter_flow *of,
			    const char *name, const char *rule, bool known)
{
	size_t name_size = name ? strlen(name) + 1 : 0;
	size_t rule_size = rule ? strlen(rule) + 1 : 0;
	struct flow *flow;

	if (known && !t->bucket)
		t->bucket = calloc(BUCKETS, sizeof(struct flow *));
	if (known && !t->bucket)
		return NULL;
	flow = calloc(1, sizeof(*flow) + name_size + rule_size);
	if (!flow)
		return NULL;
	make_room(t);
	flow->id = t->next_id++;
	flow->of = *of;
	if (name)
		flow->name = memcpy(flow->text, name, name_size);
	if (rule)
		flow->rule = memcpy(flow->text + name_size, rule, rule_size);
	TAILQ_INSERT_TAIL(&t->by_id, flow, by_id);
	t->n++;
	t->n_open++;
	if (!known)
		return flow;
	flow->known = true;
	flow->next = *bucket_of(t, of->id);
	*bucket_of(t, of->id) = flow;
	return flow;
}

void flow_table_end(struct flow_table *t, struct flow *flow, uint64_t end_ms)
{
	if (flow->end_ms)
		TAILQ_REMOVE(&t->by_end, flow, by_end);
	else
		t->n_open--;
	flow->end_ms = end_ms;
	TAILQ_INSERT_TAIL(&t->by_end, flow, by_end);
}

static int order(const void *a, const void *b)
{
	const struct flow *const *x = a, *const *y = b;

	if ((*x)->start_ms != (*y)->start_ms)
		return (*x)->start_ms < (*y)->start_ms ? -1 : 1;
	return (*x)->id < (*y)->id ? -1 : 1;
}

void flow_table_sort(struct flow_table *t)
{
	struct flow **at = calloc(t->n + 1, sizeof(*at)), *flow;
	size_t n = 0;

	if (!at)
		return;
	while ((flow = TAILQ_FIRST(&t->by_id))) {
		TAILQ_REMOVE(&t->by_id, flow, by_id);
		at[n++] = flow;
	}
	qsort(at, n, sizeof(struct flow *), order);
	for (size_t i = 0; i < n; i++) {
		at[i]->id = t->next_id++;
		TAILQ_INSERT_TAIL(&t->by_id, at[i], by_id);
	}
	free(at);
}

struct flow *flow_table_refused(const struct flow_table *t,
				const struct filter_flow *of,
				const char *reason, const char *name)
{
	struct flow *flow = TAILQ_LAST(&t->by_end, flow_list);

	for (int i = 0; flow && i < REFUSED_NEAR; i++) {
		if (flow->verdict == FLOW_DENY && flow->reason == reason &&
		    (!name || (flow->name && strcmp(flow->name, name) == 0)) &&
		    flow->of.inbound == of->inbound &&
		    flow->of.protocol == of->protocol &&
		    flow->of.destination_port == of->destination_port &&
		    address_compare(&flow->of.source, &of->source) == 0 &&
		    address_compare(&flow->of.destination, &of->destination) ==
			    0)
			return flow;
		flow = TAILQ_PREV(flow, flow_list, by_end);
	}
	return NULL;
}
