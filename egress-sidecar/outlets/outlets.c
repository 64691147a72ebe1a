/* SPDX-License-Identifier: Apache-2.0 */
#include "outlets.h"

#include <time.h>

void outlets_init(struct outlets *outlets, uv_loop_t *loop)
{
	*outlets = (struct outlets){.loop = loop};
	TAILQ_INIT(&outlets->list);
}

void outlet_add(struct outlets *outlets, struct outlet *outlet,
		const char *kind, const char *sandbox_id)
{
	*outlet = (struct outlet){.kind = kind, .sandbox_id = sandbox_id};
	TAILQ_INSERT_TAIL(&outlets->list, outlet, in_list);
}

void outlet_remove(struct outlets *outlets, struct outlet *outlet)
{
	TAILQ_REMOVE(&outlets->list, outlet, in_list);
}

void outlet_sent(struct outlet *outlet)
{
	outlet->counts.sent++;
	outlet->counts.success_s = (uint64_t)time(NULL);
}
