/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdlib.h>
#include <unistd.h>

void front_handle_closed(struct front *front)
{
	struct front_settings *s = &front->settings;

	if (--front->handles > 0)
		return;
	if (!s->keep_sockets) {
		if (s->udp4 >= 0)
			close(s->udp4);
		if (s->udp6 >= 0)
			close(s->udp6);
		if (s->tcp4 >= 0)
			close(s->tcp4);
		if (s->tcp6 >= 0)
			close(s->tcp6);
	}
	cache_free(front->cache);
	follow_free(front->follow);
	free(front);
}
