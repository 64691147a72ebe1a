/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way on: sockets of the sandbox's namespace. To go there and back costs
 * more than the socket, so that several are made at a time, when nobody waits.
 */
#include "connection.h"

#include "host/host.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static socklen_t socket_address(struct sockaddr_storage *out,
				const struct address *a, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};

	memset(out, 0, sizeof(*out));
	if (a->family == AF_INET6) {
		memcpy(&v6.sin6_addr, a->bytes, sizeof(v6.sin6_addr));
		v6.sin6_port = htons(port);
		memcpy(out, &v6, sizeof(v6));
		return sizeof(v6);
	}
	memcpy(&v4.sin_addr, a->bytes, sizeof(v4.sin_addr));
	v4.sin_port = htons(port);
	memcpy(out, &v4, sizeof(v4));
	return sizeof(v4);
}

/* From the client's own address, where it is one of the namespace: that of a
 * machine behind it is not. */
static void bind_source(int fd, const struct address *source)
{
	struct sockaddr_storage self;
	socklen_t len = socket_address(&self, source, 0);
	enum address_kind kind = address_kind(source);
	const int on = 1;

	if (kind == ADDRESS_LOOPBACK || kind == ADDRESS_LINK_LOCAL)
		return;
	(void)setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	(void)bind(fd, (struct sockaddr *)&self, len);
}

/* What does not depend on where it leads. 0 or -errno. */
static int way_prepare(int fd)
{
	const int off = 0;
	int err = side_keep(fd);

	/* What was judged follows at once, and acknowledges for itself. */
	if (!err)
		(void)setsockopt(fd, SOL_TCP, TCP_QUICKACK, &off, sizeof(off));
	return err;
}

struct ways_wish {
	struct ways *ways;
	int family;
	uint32_t mark;
};

static int way_make(const struct ways_wish *wish)
{
	int fd = socket(wish->family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = setsockopt(fd, SOL_SOCKET, SO_MARK, &wish->mark,
			 sizeof(wish->mark)) < 0
		      ? -errno
		      : way_prepare(fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

/* As many as there is room for; one will do. */
static int ways_make(void *arg)
{
	const struct ways_wish *wish = arg;
	struct ways *w = wish->ways;

	while (w->n < WAYS_KEPT) {
		int fd = way_make(wish);

		if (fd < 0)
			return w->n > 0 ? 0 : fd;
		w->fd[w->n++] = fd;
	}
	return 0;
}

static int ways_fill(struct gate *gate, struct ways *w, int family)
{
	struct ways_wish wish = {w, family, gate->settings.mark};

	return netns_run(gate->settings.netns, ways_make, &wish);
}

static int way_take(struct gate *gate, int family)
{
	struct ways *w = family == AF_INET6 ? &gate->ways6 : &gate->ways4;
	int err = w->n > 0 ? 0 : ways_fill(gate, w, family);

	if (err)
		return err;
	w->taken = true;
	return w->fd[--w->n];
}

static void keep_some(struct gate *gate, struct ways *w, int family)
{
	if (w->taken && w->n == 0)
		(void)ways_fill(gate, w, family);
	w->taken = false;
}

void ways_keep(struct gate *gate)
{
	keep_some(gate, &gate->ways4, AF_INET);
	keep_some(gate, &gate->ways6, AF_INET6);
}

int way_open(struct gate *gate, const struct address *source,
	     const struct address *to, uint16_t port)
{
	struct sockaddr_storage peer;
	socklen_t len = socket_address(&peer, to, port);
	bool ours = gate->settings.netns < 0;
	int fd, err;

	if (ours)
		fd = outward_socket(gate->settings.mark,
				    (struct sockaddr *)&peer,
				    SOCK_STREAM | SOCK_NONBLOCK, 0);
	else
		fd = way_take(gate, to->family);
	if (fd < 0)
		return fd;
	err = fd < gate->settings.pools->fd_max ? 0 : -EMFILE;
	if (!err && ours)
		err = way_prepare(fd);
	if (err)
		goto failed;
	bind_source(fd, source);
	if (connect(fd, (struct sockaddr *)&peer, len) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	err = -errno;
failed:
	close(fd);
	return err;
}

static void ways_end(struct ways *w)
{
	while (w->n > 0)
		close(w->fd[--w->n]);
}

void ways_close(struct gate *gate)
{
	ways_end(&gate->ways4);
	ways_end(&gate->ways6);
}
