/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>

static int add(struct elements *list, const struct lease_element *element,
	       uint8_t protocol, uint16_t port)
{
	struct set_element *e = elements_add(list);
	char name[DOMAIN_NAME_TEXT_MAX];

	if (!e)
		return -ENOMEM;
	if (element->ports)
		element_address_protocol_port(e, &element->a, protocol, port);
	else
		element_address(e, &element->a);
	e->timeout_s = element->timeout_s;
	if (!element->name)
		return 0;
	return elements_comment(list, e,
				domain_name_to_text(element->name, name));
}

static int add_span(struct elements *list, const struct lease_element *element,
		    const struct port_span *span)
{
	/* Port 0 in the kernel's sets: all of the protocol. */
	if (span->first == 0 && span->last == UINT16_MAX)
		return add(list, element, span->protocol, 0);
	if (span->last - span->first >= POLICY_NAME_PORTS_MAX)
		return -E2BIG;
	for (uint32_t port = span->first; port <= span->last; port++) {
		int ret = port ? add(list, element, span->protocol,
				     (uint16_t)port)
			       : 0;

		if (ret < 0)
			return ret;
	}
	return 0;
}

int learned_add(struct elements lists[LEARNED_SETS],
		const struct lease_element *element)
{
	bool v6 = element->a.family == AF_INET6;

	if (!element->ports)
		return add(&lists[v6 ? LEARNED6 : LEARNED4], element, 0, 0);
	for (size_t i = 0; i < element->ports->n; i++) {
		int ret = add_span(&lists[v6 ? LEARNED6_PORTS : LEARNED4_PORTS],
				   element, &element->ports->span[i]);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void learned_unique(struct elements lists[LEARNED_SETS])
{
	for (size_t i = 0; i < LEARNED_SETS; i++)
		elements_unique(&lists[i]);
}

struct judging {
	struct elements *learned, *grace;
	int err;
};

static void judge_lease(void *arg, const struct lease_element *element,
			bool live)
{
	struct judging *j = arg;
	int ret = learned_add(live ? j->learned : j->grace, element);

	j->err = j->err ? j->err : ret;
}

int learned_judge(const struct filter *filter, const struct policy *policy,
		  const struct lease_table *leases, uint64_t now_ms,
		  struct elements learned[LEARNED_SETS],
		  struct elements grace[LEARNED_SETS])
{
	const struct lease_table *tables[] = {leases, filter->inherited};
	struct judging j = {learned, grace, 0};

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
