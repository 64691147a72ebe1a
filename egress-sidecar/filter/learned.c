/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdint.h>

static int add(struct elements *list, const struct lease_element *element,
	       uint8_t protocol, uint16_t port, uint8_t bits)
{
	struct set_element *e = elements_add(list);
	char name[DOMAIN_NAME_TEXT_MAX];

	if (!e)
		return -ENOMEM;
	if (element->ports)
		element_address_protocol_ports(e, &element->a, protocol, port,
					       bits);
	else
		element_address(e, &element->a);
	e->timeout_s = element->timeout_s;
	if (!element->name)
		return 0;
	return elements_comment(list, e,
				domain_name_to_text(element->name, name));
}

/* The largest block of ports that starts here and ends in time. */
static uint8_t block_bits(uint32_t first, uint32_t last)
{
	uint8_t bits = 0;

	while (bits < LEARNED_BLOCK_BITS_MAX && !(first & 1u << bits) &&
	       first + (2u << bits) - 1 <= last)
		bits++;
	return bits;
}

static int add_span(struct elements *list, const struct lease_element *element,
		    const struct port_span *span)
{
	bool many = span->last - span->first >= POLICY_NAME_PORTS_MAX;
	uint32_t port = span->first;
	int ret = 0;

	/* Port 0 in the kernel's sets: all of the protocol. */
	if (span->first == 0 && span->last == UINT16_MAX)
		return add(list, element, span->protocol, 0, 0);
	while (port <= span->last && ret == 0) {
		uint8_t bits = many ? block_bits(port, span->last) : 0;

		if (port || bits)
			ret = add(list, element, span->protocol, (uint16_t)port,
				  bits);
		port += 1u << bits;
	}
	return ret;
}

int learned_add(struct elements lists[LEARNED_SETS],
		const struct lease_element *element)
{
	bool v6 = element->a.family == AF_INET6;

	if (!element->ports)
		return add(&lists[v6 ? LEARNED6 : LEARNED4], element, 0, 0, 0);
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
