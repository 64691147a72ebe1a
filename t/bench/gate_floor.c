/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a gate in user space can be: goes on to where a connection was
 * redirected from as soon as something is said, whatever that is, and moves
 * bytes both ways until either side ends. What it takes is what this machine
 * takes for a second connection.
 *
 *   gate_floor PORT UID
 *
 * UID: what its own sockets are told apart by.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	COPIED = 4096,
	SPLICED = 64 * 1024,
	EVENTS = 64,
	BACKLOG = 4096
};

struct side {
	int fd;
	struct side *other; /* NULL: nothing was said yet */
	int pipe[2];        /* [0] < 0: none yet */
	size_t held;
	bool bulk, over;
	struct side *next; /* of those that are over */
};

static int poller;
static struct side *over;

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "gate_floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct side *side_open(int fd)
{
	struct side *s = calloc(1, sizeof(*s));

	if (!s)
		die("calloc");
	s->fd = fd;
	s->pipe[0] = -1;
	return s;
}

static void watch(struct side *s)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
				    .data.ptr = s};

	if (epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &event) < 0)
		die("epoll_ctl");
}

/* Freed when none of its events can be at hand. */
static void side_end(struct side *s)
{
	if (!s || s->over)
		return;
	close(s->fd);
	if (s->pipe[0] >= 0) {
		close(s->pipe[0]);
		close(s->pipe[1]);
	}
	s->over = true;
	s->next = over;
	over = s;
	side_end(s->other);
}

static void begin(struct side *s)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);
	const int on = 1, off = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	if (getsockopt(s->fd, SOL_IP, SO_ORIGINAL_DST, &to, &len) < 0 ||
	    (connect(fd, (struct sockaddr *)&to, len) < 0 &&
	     errno != EINPROGRESS))
		die("the way on");
	s->other = side_open(fd);
	s->other->other = s;
	watch(s->other);
}

/* From one to the other what there is. false: there is no more. */
static bool move(struct side *from)
{
	struct side *to = from->other;
	char bytes[COPIED];
	ssize_t n;

	while (!from->bulk) {
		n = recv(from->fd, bytes, sizeof(bytes), 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		/* So little always fits. */
		if (send(to->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			return false;
		from->bulk = n == sizeof(bytes);
	}
	if (from->pipe[0] < 0 && pipe2(from->pipe, O_NONBLOCK) < 0)
		die("pipe2");
	for (;;) {
		if (from->held == 0) {
			n = splice(from->fd, NULL, from->pipe[1], NULL, SPLICED,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (n <= 0)
				return n < 0 && errno == EAGAIN;
			from->held = (size_t)n;
		}
		n = splice(from->pipe[0], NULL, to->fd, NULL, from->held,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		from->held -= (size_t)n;
	}
}

static void ready(struct side *s, uint32_t events)
{
	char byte;

	if (s->over)
		return;
	if (!s->other) {
		ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK);

		if (n > 0)
			begin(s);
		else if (n == 0 || errno != EAGAIN)
			side_end(s);
		return; /* go on where that can be written to */
	}
	if ((events & EPOLLIN && !move(s)) ||
	    (events & EPOLLOUT && !move(s->other)))
		side_end(s);
}

static void serve(const struct side *listener)
{
	struct epoll_event event[EVENTS];
	struct side *s;

	for (;;) {
		int n = epoll_wait(poller, event, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd;

			s = event[i].data.ptr;
			if (s != listener) {
				ready(s, event[i].events);
				continue;
			}
			while ((fd = accept4(s->fd, NULL, NULL,
					     SOCK_NONBLOCK)) >= 0)
				watch(side_open(fd));
		}
		while ((s = over)) {
			over = s->next;
			free(s);
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in self = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct side listener = {.pipe = {-1, -1}};
	struct rlimit files;
	const int on = 1;

	if (argc != 3) {
		fprintf(stderr, "usage: gate_floor PORT UID\n");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	self.sin_port = htons((uint16_t)atoi(argv[1]));
	poller = epoll_create1(0);
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(listener.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (poller < 0 || listener.fd < 0 ||
	    bind(listener.fd, (struct sockaddr *)&self, sizeof(self)) < 0 ||
	    listen(listener.fd, BACKLOG) < 0)
		die("listen");
	if (setuid((uid_t)atoi(argv[2])) < 0)
		die("setuid");
	watch(&listener);
	serve(&listener);
}
