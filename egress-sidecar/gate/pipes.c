/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	PIPES_KEPT = 8 /* one thread moves bytes for one connection at a time */
};

struct pipes {
	size_t n;
	int kept[PIPES_KEPT][2];
};

int pipes_open(struct pipes **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void pipes_close(struct pipes *pipes)
{
	for (size_t i = 0; pipes && i < pipes->n; i++) {
		close(pipes->kept[i][0]);
		close(pipes->kept[i][1]);
	}
	free(pipes);
}

int pipes_take(struct pipes *pipes, struct gate_pipe *pipe)
{
	int fds[2];

	if (pipe->in >= 0)
		return 0;
	if (pipes->n > 0) {
		pipes->n--;
		fds[0] = pipes->kept[pipes->n][0];
		fds[1] = pipes->kept[pipes->n][1];
	} else if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
		return -errno;
	}
	pipe->out = fds[0];
	pipe->in = fds[1];
	pipe->held = 0;
	return 0;
}

void pipes_give(struct pipes *pipes, struct gate_pipe *pipe)
{
	if (pipe->in < 0)
		return;
	if (pipe->held == 0 && pipes->n < PIPES_KEPT) {
		pipes->kept[pipes->n][0] = pipe->out;
		pipes->kept[pipes->n][1] = pipe->in;
		pipes->n++;
	} else {
		close(pipe->out);
		close(pipe->in);
	}
	pipe->in = pipe->out = -1;
	pipe->held = 0;
}
