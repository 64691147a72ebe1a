/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void translation_free(struct translation *t)
{
	json_decref(t->record);
	json_decref(t->policy);
	*t = (struct translation){.record = NULL};
}

struct feed_sandbox translation_sandbox(const struct translation *t)
{
	struct feed_sandbox sandbox = {
		.record = t->record,
		.policy = t->policy,
		.agent_id = t->agent_id[0] ? t->agent_id : NULL,
		.pid = t->pid,
	};

	for (size_t i = 0; i < FEED_IDS_MAX && t->ids[i][0]; i++)
		sandbox.ids[i] = t->ids[i];
	return sandbox;
}

int translation_refuse(struct translation *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->why, sizeof(t->why), format, args);
	va_end(args);
	return -EINVAL;
}

int translation_set(struct translation *t, const char *key, json_t *value)
{
	if (!t->record)
		t->record = json_object();
	return json_object_set_new(t->record, key, value) ? -ENOMEM : 0;
}
