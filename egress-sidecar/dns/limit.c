/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

void bucket_start(struct bucket *bucket, uint32_t rate, uint32_t seconds,
		  uint64_t now_ms)
{
	bucket->rate = rate;
	bucket->seconds = seconds;
	bucket->milli = (uint64_t)rate * 1000 * seconds;
	bucket->last_ms = now_ms;
}

bool bucket_take(struct bucket *bucket, uint64_t n, uint64_t now_ms)
{
	uint64_t longest = bucket->seconds * UINT64_C(1000);
	uint64_t most = bucket->rate * longest;
	uint64_t passed = now_ms - bucket->last_ms;

	if (passed > longest)
		passed = longest;
	bucket->milli += passed * bucket->rate;
	if (bucket->milli > most)
		bucket->milli = most;
	bucket->last_ms = now_ms;
	if (bucket->milli < n * 1000)
		return false;
	bucket->milli -= n * 1000;
	return true;
}

void limit_start(struct limit *limit, uint32_t rate, uint64_t now_ms)
{
	bucket_start(&limit->names, rate ? rate : LIMIT_RATE_DEFAULT,
		     LIMIT_BURST_SECONDS, now_ms);
	limit->said_ms = now_ms;
	limit->refused = 0;
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
	if (bucket_take(&limit->names, cost, now_ms))
		return true;
	limit->refused++;
	return false;
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
