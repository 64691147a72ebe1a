/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from one socket to the other: little is copied, much goes by splice(2)
 * through a pipe, which is given back whenever it is empty, so that it is there
 * only while the reader is slower than the writer.
 */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
	PIPE_BYTES = 64 * 1024,
	KEEPALIVE_S = 300,
	TURNS = 4 /* before others have theirs */
};

static bool again(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK;
}

/* What a read said, where it brought nothing. */
static void read_nothing(struct side *side, ssize_t n, int err)
{
	if (n < 0 && again(err)) {
		side->readable = false;
		return;
	}
	side->ended = true;
	if (n < 0)
		side->failed = true;
}

static void write_nothing(struct side *side, int err)
{
	side->writable = false;
	if (!again(err))
		side->failed = true;
}

size_t side_read(struct side *side, uint8_t *bytes, size_t n)
{
	ssize_t got;

	if (!side->readable || side->ended)
		return 0;
	do
		got = recv(side->fd, bytes, n, 0);
	while (got < 0 && errno == EINTR);
	if (got <= 0) {
		read_nothing(side, got, errno);
		return 0;
	}
	/* Less than asked for was all there is, and what comes is an edge; but
	 * that of the end may have been before. */
	if ((size_t)got < n && !side->hung)
		side->readable = false;
	return (size_t)got;
}

size_t side_write(struct side *side, const uint8_t *bytes, size_t n)
{
	ssize_t put;

	if (!side->writable || side->failed)
		return 0;
	do
		put = send(side->fd, bytes, n, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put < 0) {
		write_nothing(side, errno);
		return 0;
	}
	return (size_t)put;
}

int side_keep(int fd)
{
	const int on = 1, idle = KEEPALIVE_S;

	if (setsockopt(fd, SOL_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0)
		return -errno;
	return 0;
}

void side_reset(struct side *side)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (side->fd < 0)
		return;
	(void)setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(side->fd);
	side->fd = -1;
}

static void pull(struct gate_pipe *pipe, struct side *from, uint64_t limit)
{
	size_t n = limit < PIPE_BYTES ? (size_t)limit : PIPE_BYTES;
	ssize_t got;

	do
		got = splice(from->fd, NULL, pipe->in, NULL, n,
			     SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		pipe->held = (size_t)got;
	else
		read_nothing(from, got, errno);
}

static void push(struct gate_pipe *pipe, struct side *to)
{
	while (pipe->held > 0 && to->writable) {
		ssize_t put = splice(pipe->out, NULL, to->fd, NULL, pipe->held,
				     SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (put > 0)
			pipe->held -= (size_t)put;
		else if (put == 0 || errno != EINTR)
			write_nothing(to, put == 0 ? EPIPE : errno);
	}
}

/* Is there reason to read? Not for a writer that is full or gone. */
static bool wants(const struct side *from, const struct side *to)
{
	return from->readable && !from->ended && to->writable && !to->failed;
}

/* What fits into copy. What the writer does not take waits in a pipe: into an
 * empty one so little goes as a whole (pipe(7)). Bytes read, or -errno. */
static ssize_t copy_on(struct pipes *pipes, struct gate_pipe *pipe,
		       struct side *from, struct side *to, uint8_t *copy,
		       size_t size)
{
	size_t n = side_read(from, copy, size);
	size_t put = n > 0 ? side_write(to, copy, n) : 0;
	int err;

	if (put == n)
		return (ssize_t)n;
	err = pipes_take(pipes, pipe);
	if (err)
		return err;
	if (write(pipe->in, copy + put, n - put) < 0)
		return -errno;
	pipe->held = n - put;
	return (ssize_t)n;
}

/* One read, of at most limit bytes: copied where little is said, which needs no
 * pipe and no second call to know that it was all. Bytes, or -errno. */
static ssize_t read_on(struct pipes *pipes, struct gate_pipe *pipe,
		       struct side *from, struct side *to, uint64_t limit)
{
	uint8_t copy[PIPE_BUF];
	size_t size = limit < sizeof(copy) ? (size_t)limit : sizeof(copy);
	ssize_t n;
	int err;

	if (!from->bulk) {
		n = copy_on(pipes, pipe, from, to, copy, size);
		from->bulk = n == (ssize_t)sizeof(copy);
		return n;
	}
	err = pipes_take(pipes, pipe);
	if (err)
		return err;
	pull(pipe, from, limit);
	from->bulk = pipe->held == 0 || pipe->held >= sizeof(copy);
	return (ssize_t)pipe->held;
}

int relay_move(struct pipes *pipes, struct gate_pipe *pipe, struct side *from,
	       struct side *to, uint64_t limit, uint64_t *moved)
{
	ssize_t n;

	*moved = 0;
	for (int turn = 0; turn < TURNS; turn++) {
		if (pipe->held == 0) {
			if (*moved == limit || !wants(from, to))
				break;
			n = read_on(pipes, pipe, from, to, limit - *moved);
			if (n < 0)
				return (int)n;
			*moved += (uint64_t)n;
		}
		push(pipe, to);
		if (pipe->held > 0)
			return 0;
	}
	pipes_give(pipes, pipe);
	return *moved < limit && wants(from, to);
}

int relay_copy(struct pipes *pipes, struct gate_pipe *pipe, struct side *from,
	       struct side *to, uint8_t *copy, size_t *moved)
{
	ssize_t n = 0;

	*moved = 0;
	if (wants(from, to))
		n = copy_on(pipes, pipe, from, to, copy, PIPE_BUF);
	if (n < 0)
		return (int)n;
	*moved = (size_t)n;
	push(pipe, to);
	return pipe->held == 0 && wants(from, to);
}
