/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules for names that the policy's hosts give addresses, made rules for
 * these addresses.
 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>

/* Pins of one policy. A rule is pinned to every address of every host that it
 * allows, so that few words can ask for many. */
enum {
	PINS_MAX = 1 << 16
};

static int add_pin(struct policy *policy, uint32_t rank,
		   const struct address *a)
{
	enum address_kind kind = address_kind(a);
	size_t n = policy->n_pins;
	struct pin *grown;

	/* the operator's NAT64 prefixes may not have been known to the reader
	 */
	if (kind != ADDRESS_PUBLIC && kind != ADDRESS_PRIVATE)
		return 0;
	if (n == PINS_MAX)
		return -E2BIG;
	if ((n & (n - 1)) == 0) {
		grown = reallocarray(policy->pin, n ? n * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		policy->pin = grown;
	}
	policy->pin[policy->n_pins++] =
		(struct pin){.rank = rank, .range = {*a, *a}};
	return 0;
}

/* The next of the name's rules by rank, or RANK_NONE. */
static uint32_t next_rank(const struct policy *policy, struct name_match *match)
{
	uint32_t first = RANK_NONE;

	for (size_t i = 0; i < match->n; i++)
		if (match->rank[i] < first)
			first = match->rank[i];
	for (size_t i = 0; i < match->n; i++)
		if (match->rank[i] == first && first != RANK_NONE)
			match->rank[i] = policy->ranked[first].next;
	return first;
}

/* Behind the first rule that holds for every port none is heard. What denies
 * the name is no rule for the address: another name may lead there. */
static int pin_host(struct policy *policy, const struct host *host)
{
	struct name_match match;
	const struct rule *rule;
	uint32_t rank;
	int ret;

	policy_look_up(policy, host->name, &match);
	if (match.decision.action == POLICY_DENY)
		return 0;
	while ((rank = next_rank(policy, &match)) != RANK_NONE) {
		rule = policy->ranked[rank].rule;
		if (rule->action == POLICY_DENY)
			break;
		for (size_t i = 0; i < host->n; i++) {
			ret = add_pin(policy, rank, &host->a[i]);
			if (ret < 0)
				return ret;
		}
		if (rule->n_ports == 0)
			break;
	}
	return 0;
}

int pins_make(struct policy *policy)
{
	const struct hosts *hosts = policy_rules(policy)->hosts;
	int ret = 0;

	for (size_t i = 0; hosts && i < hosts->n && ret == 0; i++)
		ret = pin_host(policy, &hosts->host[i]);
	return ret;
}
