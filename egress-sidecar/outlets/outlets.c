/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "http/http.h"

#include <time.h>

void outlets_init(struct outlets *outlets, uv_loop_t *loop)
{
	*outlets = (struct outlets){.loop = loop};
	TAILQ_INIT(&outlets->list);
}

int outlet_bearer(char **line, const char *token)
{
	*line = NULL;
	if (!token || asprintf(line, "Authorization: Bearer %s", token) >= 0)
		return 0;
	*line = NULL;
	return -ENOMEM;
}

int outlets_fetcher_open(struct outlets *outlets)
{
	return outlets->fetcher ? 0
				: fetcher_open(&outlets->fetcher, outlets->loop,
					       outlets->path);
}

void outlets_close(struct outlets *outlets)
{
	fetcher_close(outlets->fetcher);
	outlets->fetcher = NULL;
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
