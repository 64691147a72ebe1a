/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"
#include "leases.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	PORT_LISTS_FIRST = 8
};

static bool same_ports(const struct admitted_ports *a,
		       const struct admitted_ports *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->span[i].protocol != b->span[i].protocol ||
		    a->span[i].first != b->span[i].first ||
		    a->span[i].last != b->span[i].last)
			return false;
	return true;
}

/* Which of the lists it is, a new one at the end. 0 or -errno. */
static int list_of_ports(struct port_lists *lists,
			 const struct admitted_ports *ports, uint32_t *number)
{
	struct admitted_ports *wider;
	size_t i;

	for (i = 0; i < lists->n && !same_ports(&lists->at[i], ports); i++)
		;
	*number = (uint32_t)i;
	if (i < lists->n)
		return 0;
	if (i - lists->unused == PORT_LISTS_MAX)
		return -ENOSPC;
	if (i == lists->size) {
		size_t size = i ? i * 2 : PORT_LISTS_FIRST;

		wider = reallocarray(lists->at, size, sizeof(*wider));
		if (!wider)
			return -ENOMEM;
		lists->at = wider;
		lists->size = size;
	}
	lists->at[lists->n++] = *ports;
	return 0;
}

int lease_sets_add(struct elements leased[LEASE_SETS], struct port_lists *lists,
		   const struct lease_element *element)
{
	bool v6 = element->a.family == AF_INET6;
	enum lease_set set = v6 ? LEASES6 : LEASES4;
	char name[DOMAIN_NAME_TEXT_MAX];
	struct set_element *e;
	uint32_t number = 0;
	int ret = 0;

	if (element->ports) {
		set = v6 ? LEASES6_PORTS : LEASES4_PORTS;
		ret = list_of_ports(lists, element->ports, &number);
	}
	if (ret < 0)
		return ret;
	e = elements_add(&leased[set]);
	if (!e)
		return -ENOMEM;
	if (element->ports)
		element_address_number(e, &element->a, number);
	else
		element_address(e, &element->a);
	e->timeout_s = element->timeout_s;
	if (!element->name)
		return 0;
	return elements_comment(&leased[set], e,
				domain_name_to_text(element->name, name));
}

/* To what is asked for names without being the network's (DoH) nobody goes. */
static bool is_refused_doh(const struct filter_settings *s,
			   const struct address *a, uint16_t port)
{
	for (size_t i = 0; port == PORT_HTTPS && i < s->n_doh; i++) {
		if (address_range_holds(&s->doh[i], a))
			return true;
	}
	return false;
}

static bool is_gated(const struct filter_settings *s,
		     const struct policy *policy,
		     const struct lease_element *element, uint16_t port)
{
	const struct port_span span = {IPPROTO_TCP, port, port};
	struct decision decision;

	if (element->timeout_s == 0)
		return true;
	if (element->ports && !lease_span_within(&span, element->ports))
		return false;
	policy_match_address(policy, &element->a, IPPROTO_TCP, port, &decision);
	return !(decision.rule && decision.action == POLICY_ALLOW) &&
	       !is_refused_doh(s, &element->a, port);
}

int lease_sets_add_gated(struct elements leased[LEASE_SETS],
			 const struct filter_settings *settings,
			 const struct policy *policy,
			 const struct lease_element *element)
{
	bool v6 = element->a.family == AF_INET6;
	struct set_element *e;

	for (size_t i = 0; i < settings->n_gated; i++) {
		uint16_t port = settings->gated[i];

		if (!is_gated(settings, policy, element, port))
			continue;
		e = elements_add(&leased[v6 ? GATED6 : GATED4]);
		if (!e)
			return -ENOMEM;
		element_address_port(e, &element->a, port);
		e->timeout_s = element->timeout_s;
	}
	return 0;
}

void port_lists_free(struct port_lists *lists)
{
	free(lists->at);
	memset(lists, 0, sizeof(*lists));
}

int port_lists_copy(struct port_lists *to, const struct port_lists *lists)
{
	if (lists->n == 0)
		return 0;
	to->at = calloc(lists->n, sizeof(*to->at));
	if (!to->at)
		return -ENOMEM;
	memcpy(to->at, lists->at, lists->n * sizeof(*to->at));
	to->n = to->size = lists->n;
	to->unused = lists->unused;
	return 0;
}

static void mark_used(bool *used, const struct elements *list, bool v6)
{
	uint32_t number;

	for (size_t i = 0; i < list->n; i++) {
		memcpy(&number, list->e[i].key + (v6 ? 16 : 4), sizeof(number));
		used[number] = true;
	}
}

void port_lists_prune(struct port_lists *lists,
		      const struct elements leased[LEASE_SETS],
		      const struct elements grace[LEASE_SETS])
{
	bool used[2 * PORT_LISTS_MAX] = {false};

	for (int v6 = 0; v6 < 2; v6++) {
		enum lease_set set = v6 ? LEASES6_PORTS : LEASES4_PORTS;

		mark_used(used, &leased[set], v6);
		mark_used(used, &grace[set], v6);
	}
	lists->unused = 0;
	for (size_t i = 0; i < lists->n; i++) {
		if (!used[i])
			lists->at[i].n = 0;
		lists->unused += !used[i];
	}
	for (; lists->n && lists->at[lists->n - 1].n == 0; lists->n--)
		lists->unused--;
}

void lease_sets_unique(struct elements lists[LEASE_SETS])
{
	for (size_t i = 0; i < LEASE_SETS; i++)
		elements_unique(&lists[i]);
}

struct judging {
	const struct filter_settings *settings;
	const struct policy *policy;
	struct elements *leased, *grace;
	struct port_lists *lists;
	int err;
};

static void judge_lease(void *arg, const struct lease_element *element,
			bool live)
{
	struct judging *j = arg;
	int ret =
		lease_sets_add(live ? j->leased : j->grace, j->lists, element);

	if (ret == 0 && live)
		ret = lease_sets_add_gated(j->leased, j->settings, j->policy,
					   element);
	j->err = j->err ? j->err : ret;
}

int lease_sets_judge(const struct filter *filter, const struct policy *policy,
		     const struct lease_table *leases, uint64_t now_ms,
		     struct elements leased[LEASE_SETS],
		     struct elements grace[LEASE_SETS],
		     struct port_lists *lists)
{
	const struct lease_table *tables[] = {leases, filter->inherited};
	struct judging j = {&filter->settings, policy, leased, grace, lists, 0};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (tables[i])
			lease_table_judge(tables[i], policy,
					  filter->settings.private_ok, now_ms,
					  judge_lease, &j);
	}
	lease_sets_unique(leased);
	lease_sets_unique(grace);
	return j.err;
}

void lease_sets_clear(struct elements lists[LEASE_SETS])
{
	for (size_t i = 0; i < LEASE_SETS; i++)
		elements_clear(&lists[i]);
}

void lease_sets_free(struct elements lists[LEASE_SETS])
{
	for (size_t i = 0; i < LEASE_SETS; i++)
		elements_free(&lists[i]);
}

/* Those that are to go come last; returns how many are before them. */
static size_t put_gone_last(struct elements *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct set_element e = list->e[i];

		if (e.timeout_s == 0)
			continue;
		list->e[i] = list->e[n];
		list->e[n++] = e;
	}
	return n;
}

/* The kernel has taken them. */
static void hold_leased(struct held *h, const struct elements *list,
			uint64_t now_ms)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->e[i].timeout_s)
			held_put(h, &list->e[i], list->text, now_ms);
		else
			held_drop(h, &list->e[i]);
	}
}

/* An address is gated for as long as the longest of its leases, which may be
 * of another set than the one that is admitted now. */
static void leave_gated(struct elements *list, const struct held *h,
			uint64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (list->e[i].timeout_s == 0 ||
		    !held_outlasts(h, &list->e[i], now_ms))
			list->e[n++] = list->e[i];
	}
	list->n = n;
}

/* The elements, as they are for the sets, into filter->pending. */
static int prepare(struct filter *filter, const struct lease_element *elements,
		   size_t n, uint64_t now_ms)
{
	int ret = 0;

	lease_sets_clear(filter->pending);
	for (size_t i = 0; i < n && ret == 0; i++) {
		if (elements[i].ports && !filter->shape.name_ports)
			return -EINVAL;
		ret = lease_sets_add(filter->pending, &filter->lists,
				     &elements[i]);
		if (ret == 0)
			ret = lease_sets_add_gated(
				filter->pending, &filter->settings,
				filter->policy, &elements[i]);
	}
	if (ret < 0)
		return ret;
	lease_sets_unique(filter->pending);
	for (size_t i = GATED4; i < LEASE_SETS; i++)
		leave_gated(&filter->pending[i], &filter->held[i], now_ms);
	for (size_t i = 0; i < LEASE_SETS && ret == 0; i++)
		ret = held_reserve(&filter->held[i], filter->pending[i].n,
				   now_ms);
	return ret;
}

int filter_admit(struct filter *filter, const struct lease_element *elements,
		 size_t n)
{
	struct batch *b = &filter->batch;
	size_t leased = 0, known = filter->lists.n;
	uint64_t now_ms = held_now_ms();
	int ret;

	if (filter->settings.dns_only || n == 0)
		return 0;
	if (!filter->applied)
		return -ENOENT;
	ret = prepare(filter, elements, n, now_ms);
	if (ret < 0)
		goto cleanup;
	channel_begin(&filter->channel, b);
	batch_table(b, NFPROTO_INET, RULESET_TABLE);
	for (size_t i = 0; i < LEASE_SETS; i++) {
		const struct lease_set_form *form = &lease_set_forms[i];
		struct elements *list = &filter->pending[i];

		leased += i < GATED4 ? list->n : 0;
		elements_replace(b, form->name, form->key, list,
				 put_gone_last(list), list->text);
	}
	ruleset_write_lists(b, &filter->lists, known);
	ret = channel_commit(&filter->channel, b, true);
	/* A list that the kernel may have a rule of keeps its number. */
	if (ret == -ENOENT || filter->channel.unsure)
		filter->applied = false;
	if (ret < 0)
		goto cleanup;
	for (size_t i = 0; i < LEASE_SETS; i++)
		hold_leased(&filter->held[i], &filter->pending[i], now_ms);
	filter->leased += leased;
	filter->commits++;
	return 0;

cleanup:
	filter->lists.n = known;
	return ret;
}

bool filter_leads(const struct filter *filter, const struct lease_table *leases,
		  const struct domain_name *name, const struct address *a,
		  uint64_t now_ms)
{
	return lease_is_live(leases, name, a, now_ms) ||
	       (filter->inherited &&
		lease_is_live(filter->inherited, name, a, now_ms));
}
