/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>

/* Where ranges lead. */
struct verdicts {
	struct verdict *ports; /* owned, and the names */
	char (*name)[PORTS_CHAIN_NAME];
};

/* Both families' elements: what goes, and what comes. */
struct changes {
	struct elements gone[2], come[2];
};

const char *ports_chain(char *out, size_t table)
{
	snprintf(out, PORTS_CHAIN_NAME, "ports_%zu", table);
	return out;
}

static int verdicts_new(struct verdicts *v, size_t n_tables)
{
	if (!n_tables)
		return 0;
	v->ports = calloc(n_tables, sizeof(*v->ports));
	v->name = calloc(n_tables, sizeof(*v->name));
	if (!v->ports || !v->name)
		return -ENOMEM;
	for (size_t i = 0; i < n_tables; i++) {
		v->ports[i].code = NFT_GOTO;
		v->ports[i].chain = ports_chain(v->name[i], i);
	}
	return 0;
}

static void verdicts_free(struct verdicts *v)
{
	free(v->ports);
	free(v->name);
}

static const struct verdict *verdict_of(const struct verdicts *v,
					const struct policy_range *r)
{
	static const struct verdict allow = {NFT_GOTO, "admit"};
	static const struct verdict deny = {NFT_GOTO, "refuse"};

	if (r->verdict == RANGE_ALLOW)
		return &allow;
	return r->verdict == RANGE_DENY ? &deny : &v->ports[r->table];
}

static bool same_range(const struct policy_range *a,
		       const struct policy_range *b)
{
	return address_compare(&a->range.first, &b->range.first) == 0 &&
	       address_compare(&a->range.last, &b->range.last) == 0 &&
	       a->verdict == b->verdict &&
	       (a->verdict != RANGE_PORTS || a->table == b->table);
}

/*
 * Walk through both policies' ranges, which ascend: gone() is called for those
 * of from alone, come() for those of to alone. Returns how many that were, or
 * -errno of a call.
 */
static ssize_t compare(const struct policy *from, const struct policy *to,
		       int (*gone)(void *arg, const struct policy_range *r),
		       int (*come)(void *arg, const struct policy_range *r),
		       void *arg)
{
	size_t n_from = 0, n_to, i = 0, k = 0;
	const struct policy_range *a =
		from ? policy_ranges(from, &n_from) : NULL;
	const struct policy_range *b = policy_ranges(to, &n_to);
	ssize_t differ = 0;
	int err = 0;

	while ((i < n_from || k < n_to) && err == 0) {
		int order = i == n_from ? 1
			    : k == n_to ? -1
					: address_compare(&a[i].range.first,
							  &b[k].range.first);

		if (order == 0 && same_range(&a[i], &b[k])) {
			i++;
			k++;
			continue;
		}
		if (order <= 0)
			err = gone(arg, &a[i++]);
		if (order >= 0 && err == 0)
			err = come(arg, &b[k++]);
		differ += order == 0 ? 2 : 1;
	}
	return err < 0 ? err : differ;
}

static int pass_over(void *arg, const struct policy_range *r)
{
	(void)arg;
	(void)r;
	return 0;
}

bool ranges_near(const struct policy *from, const struct policy *to)
{
	size_t n, n_tables, n_other_tables;

	policy_port_tables(from, &n_tables);
	policy_port_tables(to, &n_other_tables);
	policy_ranges(to, &n);
	return n_tables == n_other_tables &&
	       (size_t)compare(from, to, pass_over, pass_over, NULL) <= n / 2;
}

struct writer {
	const struct verdicts *verdicts;
	struct changes changes;
};

static int add_gone(void *arg, const struct policy_range *r)
{
	struct writer *w = arg;
	bool v6 = r->range.first.family == AF_INET6;

	return elements_add_range(&w->changes.gone[v6], &r->range, NULL);
}

static int add_come(void *arg, const struct policy_range *r)
{
	struct writer *w = arg;
	bool v6 = r->range.first.family == AF_INET6;

	/* What ranges_write() frees is taken for lost here, behind a callback.
	 * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	return elements_add_range(&w->changes.come[v6], &r->range,
				  verdict_of(w->verdicts, r));
}

void ranges_write(struct batch *b, const struct policy *from,
		  const struct policy *to)
{
	static const char *const map[] = {"ranges4", "ranges6"};
	static const enum set_key key[] = {KEY_IPV4, KEY_IPV6};
	struct verdicts verdicts = {NULL};
	struct writer w = {.verdicts = &verdicts};
	struct changes *c = &w.changes;
	size_t n_tables;
	ssize_t ret;

	policy_port_tables(to, &n_tables);
	ret = verdicts_new(&verdicts, n_tables);
	if (ret == 0)
		ret = compare(from, to, add_gone, add_come, &w);
	if (ret < 0 && !b->err)
		b->err = (int)ret;
	for (int i = 0; i < 2; i++) {
		batch_delete_elements(b, map[i], key[i], c->gone[i].e,
				      c->gone[i].n);
		batch_add_elements(b, map[i], key[i], c->come[i].e,
				   c->come[i].n, NULL);
		elements_free(&c->gone[i]);
		elements_free(&c->come[i]);
	}
	verdicts_free(&verdicts);
}
