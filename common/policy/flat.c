/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address rules, flattened: a sweep over the addresses at which a rule starts
 * or ends, with the ranks that hold there kept in a bitmap, so that the first
 * of them is found in a few words.
 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where ranges of many ports lie over many others, every overlap is a table of
 * its own; this many entries in all are more than any policy needs and bound
 * both memory and time. */
#define PORT_ENTRIES_MAX (4u << 20)

#define WORD_BITS 64

/* A rule's start, or its end: the first address behind it. */
struct edge {
	address_number at;
	uint32_t rank;
	bool ends;
};

struct sweep {
	struct policy *policy;
	struct flat *flat;
	int family; /* 0: IPv4, 1: IPv6 */
	struct edge *edge;
	size_t n_edges;
	uint64_t *active;
	size_t n_words;
	size_t entries;    /* counts up to PORT_ENTRIES_MAX */
	uint32_t *rank;    /* the limited rules of the segment in work */
	struct list *memo; /* lists of limited rules met so far, by hash */
	size_t memo_mask;
};

/* A list of limited ranks, and the table made from it. */
struct list {
	uint64_t hash;
	uint32_t ports, n_ports; /* n_ports 0: empty slot */
	enum policy_action otherwise;
	uint32_t table;
};

address_number address_to_number(const struct address *a)
{
	address_number number = 0;

	for (size_t i = 0; i < address_size(a); i++)
		number = number << 8 | a->bytes[i];
	return number;
}

void address_from_number(struct address *a, uint8_t family,
			 address_number number)
{
	memset(a, 0, sizeof(*a));
	a->family = family;
	for (size_t i = address_size(a); i-- > 0; number >>= 8)
		a->bytes[i] = (uint8_t)number;
}

static address_number family_last(int family)
{
	return family ? ~(address_number)0 : UINT32_MAX;
}

static int compare_edges(const void *left, const void *right)
{
	const struct edge *a = left, *b = right;

	if (a->at != b->at)
		return a->at > b->at ? 1 : -1;
	/* one range of a rule may begin where another ends */
	return (int)b->ends - (int)a->ends;
}

static void add_range(struct sweep *s, uint32_t rank, address_number first,
		      address_number last)
{
	s->edge[s->n_edges++] = (struct edge){first, rank, false};
	if (last != family_last(s->family))
		s->edge[s->n_edges++] = (struct edge){last + 1, rank, true};
}

static void add_addresses(struct sweep *s, uint32_t rank,
			  const struct address_range *of)
{
	uint8_t family = s->family ? AF_INET6 : AF_INET;
	struct address_range range;

	if (of->first.family == family)
		add_range(s, rank, address_to_number(&of->first),
			  address_to_number(&of->last));
	else if (family == AF_INET6)
		for (size_t i = 0; i < nat64_count(); i++) {
			nat64_range(i, of, &range);
			add_range(s, rank, address_to_number(&range.first),
				  address_to_number(&range.last));
		}
}

static void add_edges(struct sweep *s, uint32_t rank)
{
	const struct rule *rule = s->policy->ranked[rank].rule;
	struct address_range range;

	/* IPv4 addresses have a place below NAT64 prefixes */
	if (rule_range(rule, s->family ? AF_INET6 : AF_INET, &range) ||
	    rule_range(rule, AF_INET, &range))
		add_addresses(s, rank, &range);
}

/* The first rank at or behind from that holds here, or RANK_NONE. */
static uint32_t next_active(const struct sweep *s, uint32_t from)
{
	size_t word = from / WORD_BITS;
	uint64_t bits;

	if (word >= s->n_words)
		return RANK_NONE;
	bits = s->active[word] & (UINT64_MAX << from % WORD_BITS);
	while (bits == 0) {
		if (++word == s->n_words)
			return RANK_NONE;
		bits = s->active[word];
	}
	return (uint32_t)(word * WORD_BITS) + (uint32_t)__builtin_ctzll(bits);
}

static uint64_t list_hash(const uint32_t *rank, uint32_t n,
			  enum policy_action otherwise)
{
	uint64_t hash = (uint64_t)otherwise + 1;

	for (uint32_t i = 0; i < n; i++)
		hash = (hash ^ rank[i]) * UINT64_C(0x9e3779b97f4a7c15) ^
		       hash >> 29;
	return hash;
}

/* Where the list of limited ranks is in the memo, or belongs. */
static struct list *find_list(const struct sweep *s, uint64_t hash, uint32_t n,
			      enum policy_action otherwise)
{
	for (size_t i = hash & s->memo_mask;; i = (i + 1) & s->memo_mask) {
		struct list *list = &s->memo[i];

		if (list->n_ports == 0)
			return list;
		if (list->hash == hash && list->n_ports == n &&
		    list->otherwise == otherwise &&
		    !memcmp(s->flat->rank + list->ports, s->rank,
			    n * sizeof(*s->rank)))
			return list;
	}
}

static int charge(struct sweep *s, size_t entries)
{
	s->entries += entries;
	return s->entries > PORT_ENTRIES_MAX ? -E2BIG : 0;
}

static int new_list(struct sweep *s, struct list *list, uint32_t n)
{
	struct flat *flat = s->flat;
	size_t spans = n;
	uint32_t *grown;

	for (uint32_t i = 0; i < n; i++)
		spans += s->policy->ranked[s->rank[i]].rule->n_ports;
	if (charge(s, spans) < 0)
		return -E2BIG;
	grown = reallocarray(flat->rank, flat->n_ranks + n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	flat->rank = grown;
	memcpy(flat->rank + flat->n_ranks, s->rank, n * sizeof(*grown));
	list->ports = (uint32_t)flat->n_ranks;
	list->n_ports = n;
	flat->n_ranks += n;
	return port_table_intern(flat, s->policy->ranked, s->rank, n,
				 list->otherwise, &list->table);
}

/* Which rules hold for the segment in work? */
static int judge_segment(struct sweep *s, struct segment *segment)
{
	const struct ranked *ranked = s->policy->ranked;
	uint32_t n = 0, rank = next_active(s, 0);
	enum policy_action otherwise = s->policy->default_action;
	struct list *list;
	uint64_t hash;

	while (rank != RANK_NONE && ranked[rank].rule->n_ports) {
		s->rank[n++] = rank;
		rank = next_active(s, rank + 1);
	}
	segment->plain = rank;
	segment->ports = segment->n_ports = 0;
	if (n == 0)
		return 0;
	if (charge(s, n) < 0)
		return -E2BIG;
	if (rank != RANK_NONE)
		otherwise = ranked[rank].rule->action;
	hash = list_hash(s->rank, n, otherwise);
	list = find_list(s, hash, n, otherwise);
	if (list->n_ports == 0) {
		int ret;

		list->hash = hash;
		list->otherwise = otherwise;
		ret = new_list(s, list, n);
		if (ret < 0)
			return ret;
	}
	segment->ports = list->ports;
	segment->n_ports = n;
	segment->table = list->table;
	return 0;
}

/* Segments that no rule holds for are left out; a segment that goes on where
 * the one before ended, under the same rules, lengthens it. */
static void push_segment(struct sweep *s, const struct segment *segment)
{
	size_t *n = &s->flat->n_segments[s->family];
	struct segment *end = s->flat->segment[s->family] + *n;

	if (segment->plain == RANK_NONE && segment->n_ports == 0)
		return;
	if (*n > 0 && end[-1].last + 1 == segment->first &&
	    end[-1].plain == segment->plain &&
	    end[-1].ports == segment->ports &&
	    end[-1].n_ports == segment->n_ports) {
		end[-1].last = segment->last;
		return;
	}
	*end = *segment;
	(*n)++;
}

static int sweep_edges(struct sweep *s)
{
	struct segment segment = {0};
	int ret;

	for (size_t i = 0; i < s->n_edges;) {
		segment.first = s->edge[i].at;
		for (; i < s->n_edges && s->edge[i].at == segment.first; i++) {
			const struct edge *edge = &s->edge[i];
			uint64_t bit = UINT64_C(1) << edge->rank % WORD_BITS;

			if (edge->ends)
				s->active[edge->rank / WORD_BITS] &= ~bit;
			else
				s->active[edge->rank / WORD_BITS] |= bit;
		}
		segment.last = i < s->n_edges ? s->edge[i].at - 1
					      : family_last(s->family);
		ret = judge_segment(s, &segment);
		if (ret < 0)
			return ret;
		push_segment(s, &segment);
	}
	return 0;
}

static int sweep_family(struct sweep *s)
{
	uint32_t n = s->policy->n_ranked;

	s->n_edges = 0;
	for (uint32_t rank = 0; rank < n; rank++)
		add_edges(s, rank);
	for (size_t i = 0; i < s->policy->n_pins; i++)
		add_addresses(s, s->policy->pin[i].rank,
			      &s->policy->pin[i].range);
	memset(s->active, 0, s->n_words * sizeof(*s->active));
	s->flat->segment[s->family] =
		calloc(s->n_edges + 1, sizeof(struct segment));
	if (!s->flat->segment[s->family])
		return -ENOMEM;
	qsort(s->edge, s->n_edges, sizeof(*s->edge), compare_edges);
	return sweep_edges(s);
}

/* What the kernel must know of a segment: false where it is the default. */
static bool segment_verdict(const struct policy *policy,
			    const struct segment *segment,
			    struct policy_range *range)
{
	enum policy_action action = policy->default_action;

	range->table = 0;
	if (segment->plain != RANK_NONE)
		action = policy->ranked[segment->plain].rule->action;
	range->verdict = action == POLICY_ALLOW ? RANGE_ALLOW : RANGE_DENY;
	/* limited rules may all say what would hold without them */
	if (segment->n_ports &&
	    policy->flat.table[segment->table].n_spans > 0) {
		range->verdict = RANGE_PORTS;
		range->table = segment->table;
		return true;
	}
	return segment->plain != RANK_NONE;
}

static void push_range(struct flat *flat, const struct policy_range *range)
{
	struct policy_range *end = flat->range + flat->n_ranges;
	const struct address *first = &range->range.first;

	if (flat->n_ranges > 0 && end[-1].verdict == range->verdict &&
	    end[-1].table == range->table &&
	    end[-1].range.last.family == first->family &&
	    address_to_number(&end[-1].range.last) + 1 ==
		    address_to_number(first)) {
		end[-1].range.last = range->range.last;
		return;
	}
	*end = *range;
	flat->n_ranges++;
}

static int make_ranges(struct policy *policy)
{
	struct flat *flat = &policy->flat;
	struct policy_range range;

	flat->range = calloc(flat->n_segments[0] + flat->n_segments[1] + 1,
			     sizeof(*flat->range));
	if (!flat->range)
		return -ENOMEM;
	for (int family = 0; family < 2; family++) {
		uint8_t af = family ? AF_INET6 : AF_INET;

		for (size_t i = 0; i < flat->n_segments[family]; i++) {
			const struct segment *segment =
				&flat->segment[family][i];

			if (!segment_verdict(policy, segment, &range))
				continue;
			address_from_number(&range.range.first, af,
					    segment->first);
			address_from_number(&range.range.last, af,
					    segment->last);
			push_range(flat, &range);
		}
	}
	return 0;
}

int flat_make(struct policy *policy)
{
	struct sweep s = {.policy = policy, .flat = &policy->flat};
	size_t n = policy->n_ranked, memo = 8, ranges = n + policy->n_pins;
	int ret = -ENOMEM;

	if (nat64_count() > 1)
		ranges *= nat64_count();
	/* each family has at most two edges a range, and so many lists */
	while (policy->has_ports && memo < 8 * ranges)
		memo *= 2;
	s.memo_mask = memo - 1;
	s.n_words = n / WORD_BITS + 1;
	s.edge = calloc(2 * ranges + 1, sizeof(*s.edge));
	s.active = calloc(s.n_words, sizeof(*s.active));
	s.rank = calloc(n + 1, sizeof(*s.rank));
	s.memo = calloc(memo, sizeof(*s.memo));
	if (!s.edge || !s.active || !s.rank || !s.memo)
		goto cleanup;
	for (s.family = 0; s.family < 2; s.family++) {
		ret = sweep_family(&s);
		if (ret < 0)
			goto cleanup;
	}
	ret = make_ranges(policy);
cleanup:
	free(s.memo);
	free(s.rank);
	free(s.active);
	free(s.edge);
	return ret;
}

void flat_free(struct flat *flat)
{
	for (size_t i = 0; i < flat->n_tables; i++)
		free(flat->table[i].spans);
	free(flat->table);
	free(flat->range);
	free(flat->rank);
	free(flat->segment[0]);
	free(flat->segment[1]);
}

const struct segment *flat_find(const struct flat *flat,
				const struct address *a)
{
	int family = a->family == AF_INET6;
	const struct segment *segment = flat->segment[family];
	address_number number = address_to_number(a);
	size_t low = 0, high = flat->n_segments[family];

	/* the first segment that does not end before the address */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (segment[middle].last < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == flat->n_segments[family] || segment[low].first > number)
		return NULL;
	return &segment[low];
}
