/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include <errno.h>

int feed_open(struct feed **out, const struct feed_settings *settings)
{
	(void)out;
	(void)settings;
	return -ENOSYS;
}

void feed_close(struct feed *feed)
{
	(void)feed;
}
