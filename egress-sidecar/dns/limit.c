/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

void limit_start(struct limit *limit, uint32_t rate, uint64_t now_ms)
{
	limit->rate = rate ? rate : LIMIT_RATE_DEFAULT;
	limit->milli = (uint64_t)limit->rate * 1000 * LIMIT_BURST_SECONDS;
	limit->last_ms = limit->said_ms = now_ms;
	limit->refused = 0;
}

static void fill(struct limit *limit, uint64_t now_ms)
{
	uint64_t most = (uint64_t)limit->rate * 1000 * LIMIT_BURST_SECONDS;
	uint64_t passed = now_ms - limit->last_ms;

	if (passed > LIMIT_BURST_SECONDS * UINT64_C(1000))
		passed = LIMIT_BURST_SECONDS * UINT64_C(1000);
	limit->milli += passed * limit->rate;
	if (limit->milli > most)
		limit->milli = most;
	limit->last_ms = now_ms;
}

bool limit_take(struct limit *limit, const struct rule *rule,
		const struct domain_name *name, uint16_t type, uint64_t now_ms)
{
	uint64_t cost, longer = 0;

	if (!rule || (rule->kind != TARGET_BELOW && rule->kind != TARGET_NAME))
		return true;
	/* a name that the rule's leads to, or one of its services, is as good
	 * as one below it */
	if (rule->kind == TARGET_NAME && domain_name_equal(name, rule->name))
		return true;
	if (name->len > rule->name->len)
		longer = (uint64_t)(name->len - rule->name->len);
	cost = 1 + longer / LIMIT_FREE_OCTETS;
	if (type != TYPE_A && type != TYPE_AAAA && type != TYPE_HTTPS)
		cost *= 4;
	fill(limit, now_ms);
	if (limit->milli < cost * 1000) {
		limit->refused++;
		return false;
	}
	limit->milli -= cost * 1000;
	return true;
}

uint64_t limit_report(struct limit *limit, uint64_t now_ms)
{
	uint64_t n = limit->refused;

	if (!n || now_ms - limit->said_ms < 1000)
		return 0;
	limit->said_ms = now_ms;
	limit->refused = 0;
	return n;
}
