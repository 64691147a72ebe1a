/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of limited ports that hold for the same addresses, as disjoint spans.
 * The kernel's chain would find the first match among the rules as they are
 * written, too, but one after the other for every connection: 1,000 rules for
 * overlapping ranges of ports are one rule of the chain after the sweep.
 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool rule_holds_port(const struct rule *rule, uint8_t protocol, uint16_t port)
{
	size_t low = 0, high = rule->n_ports;

	/* the first span that does not end before the port */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct port_span *span = &rule->ports[middle];

		if (span->protocol < protocol ||
		    (span->protocol == protocol && span->last < port))
			low = middle + 1;
		else
			high = middle;
	}
	return low < rule->n_ports && rule->ports[low].protocol == protocol &&
	       rule->ports[low].first <= port;
}

/* Where spans start: one a span of each rule, by protocol, port and rank. */
struct start {
	struct port_span span;
	uint32_t rank;
	enum policy_action action;
};

static int compare_starts(const void *left, const void *right)
{
	const struct start *a = left, *b = right;

	if (a->span.protocol != b->span.protocol)
		return a->span.protocol < b->span.protocol ? -1 : 1;
	if (a->span.first != b->span.first)
		return a->span.first < b->span.first ? -1 : 1;
	return (a->rank > b->rank) - (a->rank < b->rank);
}

/* A binary heap of places in starts, the earliest rank on top: the spans that
 * hold at the port where the sweep stands. Ended ones leave when they come to
 * the top. */
struct heap {
	const struct start *starts;
	uint32_t *at;
	size_t n;
};

static bool heap_less(const struct heap *heap, size_t a, size_t b)
{
	return heap->starts[heap->at[a]].rank < heap->starts[heap->at[b]].rank;
}

static void heap_swap(struct heap *heap, size_t a, size_t b)
{
	uint32_t at = heap->at[a];

	heap->at[a] = heap->at[b];
	heap->at[b] = at;
}

static void heap_push(struct heap *heap, uint32_t start)
{
	size_t i = heap->n++;

	heap->at[i] = start;
	for (; i > 0 && heap_less(heap, i, (i - 1) / 2); i = (i - 1) / 2)
		heap_swap(heap, i, (i - 1) / 2);
}

static void heap_pop(struct heap *heap)
{
	size_t i = 0;

	heap->at[0] = heap->at[--heap->n];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < heap->n && heap_less(heap, child + 1, child))
			child++;
		if (child >= heap->n || !heap_less(heap, child, i))
			return;
		heap_swap(heap, i, child);
		i = child;
	}
}

/* Join to the span before where nothing lies between and the action is the
 * same. */
static void emit(struct port_table *table, uint8_t protocol, uint32_t first,
		 uint32_t last, enum policy_action action)
{
	struct port_verdict *end = table->spans + table->n_spans;

	if (action == table->otherwise)
		return;
	if (table->n_spans > 0 && end[-1].span.protocol == protocol &&
	    end[-1].span.last + 1u == first) {
		end[-1].span.last = (uint16_t)last;
		return;
	}
	end->span.protocol = protocol;
	end->span.first = (uint16_t)first;
	end->span.last = (uint16_t)last;
	end->action = action;
	table->n_spans++;
}

/* Between the port and the next start of the same protocol, the earliest rank
 * on the heap decides as far as it reaches. */
static void sweep(struct port_table *table, const struct start *starts,
		  size_t n, struct heap *heap)
{
	for (size_t i = 0; i < n;) {
		uint8_t protocol = starts[i].span.protocol;
		uint32_t port = starts[i].span.first, until = UINT16_MAX + 1u;

		for (; i < n && starts[i].span.protocol == protocol &&
		       starts[i].span.first == port;
		     i++)
			heap_push(heap, (uint32_t)i);
		if (i < n && starts[i].span.protocol == protocol)
			until = starts[i].span.first;
		while (heap->n > 0 && port < until) {
			const struct start *top = &starts[heap->at[0]];
			uint32_t end = top->span.last + 1u;

			if (end <= port) {
				heap_pop(heap);
				continue;
			}
			if (end > until)
				end = until;
			emit(table, protocol, port, end - 1, top->action);
			port = end;
		}
		if (i == n || starts[i].span.protocol != protocol)
			heap->n = 0;
	}
}

static struct start *collect(const struct ranked *ranked, const uint32_t *ranks,
			     size_t n_ranks, size_t *n)
{
	struct start *starts;
	size_t total = 0;

	for (size_t i = 0; i < n_ranks; i++)
		total += ranked[ranks[i]].rule->n_ports;
	starts = calloc(total + 1, sizeof(*starts));
	*n = 0;
	for (size_t i = 0; starts && i < n_ranks; i++) {
		const struct rule *rule = ranked[ranks[i]].rule;

		for (size_t j = 0; j < rule->n_ports; j++) {
			starts[*n].span = rule->ports[j];
			starts[*n].rank = ranks[i];
			starts[(*n)++].action = rule->action;
		}
	}
	if (starts)
		qsort(starts, *n, sizeof(*starts), compare_starts);
	return starts;
}

static bool tables_equal(const struct port_table *a, const struct port_table *b)
{
	if (a->n_spans != b->n_spans || a->otherwise != b->otherwise)
		return false;
	for (size_t i = 0; i < a->n_spans; i++) {
		const struct port_verdict *x = &a->spans[i], *y = &b->spans[i];

		if (x->span.protocol != y->span.protocol ||
		    x->span.first != y->span.first ||
		    x->span.last != y->span.last || x->action != y->action)
			return false;
	}
	return true;
}

/* Take over made, or free it for an equal one. */
static int keep_table(struct flat *flat, struct port_table *made,
		      uint32_t *table)
{
	struct port_table *grown;
	struct port_verdict *spans;

	for (size_t i = 0; i < flat->n_tables; i++) {
		if (tables_equal(&flat->table[i], made)) {
			free(made->spans);
			*table = (uint32_t)i;
			return 0;
		}
	}
	grown = reallocarray(flat->table, flat->n_tables + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	flat->table = grown;
	spans = reallocarray(made->spans, made->n_spans + 1,
			     sizeof(*made->spans));
	if (spans)
		made->spans = spans;
	*table = (uint32_t)flat->n_tables;
	flat->table[flat->n_tables++] = *made;
	return 0;
}

int port_table_intern(struct flat *flat, const struct ranked *ranked,
		      const uint32_t *ranks, size_t n,
		      enum policy_action otherwise, uint32_t *table)
{
	struct port_table made = {.otherwise = otherwise};
	struct heap heap = {0};
	int ret = -ENOMEM;
	size_t n_starts;

	heap.starts = collect(ranked, ranks, n, &n_starts);
	heap.at = calloc(n_starts + 1, sizeof(*heap.at));
	/* each start and each end begins at most one span */
	made.spans = calloc(2 * n_starts + 1, sizeof(*made.spans));
	if (heap.starts && heap.at && made.spans) {
		sweep(&made, heap.starts, n_starts, &heap);
		ret = keep_table(flat, &made, table);
	}
	if (ret < 0)
		free(made.spans);
	free(heap.at);
	free((void *)heap.starts);
	return ret;
}
