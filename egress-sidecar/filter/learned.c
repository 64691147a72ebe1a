/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
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
	if (i == PORT_LISTS_MAX)
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

int learned_add(struct elements learned[LEARNED_SETS], struct port_lists *lists,
		const struct lease_element *element)
{
	bool v6 = element->a.family == AF_INET6;
	enum learned_set set = v6 ? LEARNED6 : LEARNED4;
	char name[DOMAIN_NAME_TEXT_MAX];
	struct set_element *e;
	uint32_t number = 0;
	int ret = 0;

	if (element->ports) {
		set = v6 ? LEARNED6_PORTS : LEARNED4_PORTS;
		ret = list_of_ports(lists, element->ports, &number);
	}
	if (ret < 0)
		return ret;
	e = elements_add(&learned[set]);
	if (!e)
		return -ENOMEM;
	if (element->ports)
		element_address_number(e, &element->a, number);
	else
		element_address(e, &element->a);
	e->timeout_s = element->timeout_s;
	if (!element->name)
		return 0;
	return elements_comment(&learned[set], e,
				domain_name_to_text(element->name, name));
}

void port_lists_free(struct port_lists *lists)
{
	free(lists->at);
	memset(lists, 0, sizeof(*lists));
}

void learned_unique(struct elements lists[LEARNED_SETS])
{
	for (size_t i = 0; i < LEARNED_SETS; i++)
		elements_unique(&lists[i]);
}

struct judging {
	struct elements *learned, *grace;
	struct port_lists *lists;
	int err;
};

static void judge_lease(void *arg, const struct lease_element *element,
			bool live)
{
	struct judging *j = arg;
	int ret = learned_add(live ? j->learned : j->grace, j->lists, element);

	j->err = j->err ? j->err : ret;
}

int learned_judge(const struct filter *filter, const struct policy *policy,
		  const struct lease_table *leases, uint64_t now_ms,
		  struct elements learned[LEARNED_SETS],
		  struct elements grace[LEARNED_SETS], struct port_lists *lists)
{
	const struct lease_table *tables[] = {leases, filter->inherited};
	struct judging j = {learned, grace, lists, 0};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (tables[i])
			lease_table_judge(tables[i], policy,
					  filter->settings.private_ok, now_ms,
					  judge_lease, &j);
	}
	learned_unique(learned);
	learned_unique(grace);
	return j.err;
}

void learned_clear(struct elements lists[LEARNED_SETS])
{
	for (size_t i = 0; i < LEARNED_SETS; i++)
		elements_clear(&lists[i]);
}

void learned_free(struct elements lists[LEARNED_SETS])
{
	for (size_t i = 0; i < LEARNED_SETS; i++)
		elements_free(&lists[i]);
}
