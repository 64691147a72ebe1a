/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>

int agent_open(struct agent **out, const struct feed_settings *settings)
{
	(void)out;
	(void)settings;
	return -ENOSYS;
}

void agent_close(struct agent *agent)
{
	(void)agent;
}

void agent_put(struct agent *agent, const struct feed_list *list,
	       const char *key, const struct feed_sandbox *sandbox)
{
	(void)agent;
	(void)list;
	(void)key;
	(void)sandbox;
}

void agent_delete(struct agent *agent, const struct feed_list *list,
		  const char *key)
{
	(void)agent;
	(void)list;
	(void)key;
}
