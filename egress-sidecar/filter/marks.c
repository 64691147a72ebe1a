/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"

#define INBOUND_FIRST (RULESET_MARK_AUDITED + 1)
#define GENERATIONS   (RULESET_MARK_INBOUND - 1) /* from 1 on */

uint32_t mark_inbound(uint32_t hash)
{
	return INBOUND_FIRST + hash % (UINT32_MAX - INBOUND_FIRST + 1);
}

uint32_t mark_generation(uint32_t number)
{
	return 1 + number % GENERATIONS;
}

uint32_t mark_next(uint32_t generation, bool *again)
{
	*again = generation >= GENERATIONS;
	return *again ? 1 : generation + 1;
}
