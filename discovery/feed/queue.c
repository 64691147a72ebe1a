/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdlib.h>

void queue_wake(struct source *source)
{
	uint64_t now = uv_now(source->feed->settings.loop);
	uint64_t delay =
		source->not_before_ms > now ? source->not_before_ms - now : 0;

	if (source->run && !uv_is_active((uv_handle_t *)&source->wake))
		uv_timer_start(&source->wake, source->run, delay, 0);
}

void queue_add(struct source *source, struct claim *claim)
{
	uint32_t now = (uint32_t)uv_now(source->feed->settings.loop);

	if (source->whole_due || claim->queued || claim->again)
		return;
	claim->since_ms = now;
	if (claim->sending) {
		claim->again = true;
		return;
	}
	claim->queued = true;
	claim->next = NULL;
	*source->last = claim;
	source->last = &claim->next;
	source->n_waiting++;
	queue_wake(source);
}

struct claim *queue_take(struct source *source)
{
	struct claim *claim = source->first;

	if (!claim)
		return NULL;
	source->first = claim->next;
	if (!source->first)
		source->last = &source->first;
	claim->queued = false;
	source->n_waiting--;
	return claim;
}

void queue_whole(struct source *source, uint64_t delay_ms)
{
	uv_loop_t *loop = source->feed->settings.loop;

	if (!source->whole_due)
		source->whole_since_ms = source->first ? source->first->since_ms
						       : (uint32_t)uv_now(loop);
	source->whole_due = true;
	source->not_before_ms = uv_now(loop) + delay_ms;
	uv_timer_stop(&source->wake);
	queue_wake(source);
}
