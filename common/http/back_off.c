/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <sys/random.h>

uint32_t fetch_back_off(uint32_t *next_ms, uint32_t max_ms)
{
	uint32_t random = 0, ms = *next_ms;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	*next_ms = ms < max_ms / 2 ? ms * 2 : max_ms;
	return ms - random % (ms / 2);
}
