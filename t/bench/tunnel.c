/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tunnel serve PORT: changes protocols at once, then echoes what comes.
 * tunnel load PORT CONNECTIONS BYTES SECONDS TARGET HOST: opens tunnels, sends
 * a frame on each as soon as the last one is back, prints frames a second.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256

struct tunnel {
	int fd;
	int open;
	size_t head;
	size_t awaited;
};

static char buffer[65536];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void watch(int epoll, struct tunnel *tunnel)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tunnel};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, tunnel->fd, &event) != 0)
		fail("epoll_ctl");
}

static void put(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0)
			fail("write");
		bytes += n;
		size -= (size_t)n;
	}
}

static struct sockaddr_in address(const char *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};

	sin.sin_port = htons((in_port_t)atoi(port));
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

/* Whether the head has ended; what follows it in the buffer moves up. */
static int read_head(struct tunnel *tunnel, size_t *n)
{
	static const char end[] = "\r\n\r\n";
	size_t i;

	for (i = 0; i < *n && !tunnel->open; i++) {
		if (buffer[i] == end[tunnel->head])
			tunnel->head++;
		else
			tunnel->head = buffer[i] == '\r';
		tunnel->open = tunnel->head == 4;
	}
	memmove(buffer, buffer + i, *n - i);
	*n -= i;
	return tunnel->open;
}

static void serve(const char *port)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
				     "Upgrade: websocket\r\n"
				     "Connection: Upgrade\r\n"
				     "Sec-WebSocket-Accept: "
				     "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	struct sockaddr_in sin = address(port);
	struct tunnel listener = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	struct epoll_event events[EVENTS];
	int one = 1, epoll = epoll_create1(0);

	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener.fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    listen(listener.fd, 1024) != 0)
		fail("listen");
	watch(epoll, &listener);
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct tunnel *tunnel = events[i].data.ptr;
			size_t n;

			if (tunnel == &listener) {
				tunnel = calloc(1, sizeof(*tunnel));
				if (!tunnel)
					fail("calloc");
				tunnel->fd = accept(listener.fd, NULL, NULL);
				setsockopt(tunnel->fd, IPPROTO_TCP, TCP_NODELAY,
					   &one, sizeof(one));
				watch(epoll, tunnel);
				continue;
			}
			ssize_t got = read(tunnel->fd, buffer, sizeof(buffer));
			if (got <= 0) {
				close(tunnel->fd);
				free(tunnel);
				continue;
			}
			n = (size_t)got;
			if (!tunnel->open) {
				if (!read_head(tunnel, &n))
					continue;
				put(tunnel->fd, answer, sizeof(answer) - 1);
			}
			if (n && write(tunnel->fd, buffer, n) != (ssize_t)n)
				close(tunnel->fd);
		}
	}
}

static void load(const char *port, int connections, size_t size, double seconds,
		 const char *target, const char *host)
{
	struct sockaddr_in sin = address(port);
	struct epoll_event events[EVENTS];
	struct tunnel *tunnels = calloc((size_t)connections, sizeof(*tunnels));
	char *frame = calloc(1, size);
	int one = 1, epoll = epoll_create1(0);
	double end, start = 0;
	long frames = 0;
	int open = 0;

	if (!tunnels || !frame)
		fail("calloc");
	for (int i = 0; i < connections; i++) {
		struct tunnel *tunnel = &tunnels[i];
		int n = snprintf(buffer, sizeof(buffer),
				 "GET %s HTTP/1.1\r\nHost: %s\r\n"
				 "Connection: Upgrade\r\n"
				 "Upgrade: websocket\r\n"
				 "Sec-WebSocket-Version: 13\r\n"
				 "Sec-WebSocket-Key: "
				 "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
				 target, host);

		tunnel->fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(tunnel->fd, (struct sockaddr *)&sin, sizeof(sin)))
			fail("connect");
		setsockopt(tunnel->fd, IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one));
		put(tunnel->fd, buffer, (size_t)n);
		watch(epoll, tunnel);
	}
	end = now() + 10;
	while (now() < end) {
		int count = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < count; i++) {
			struct tunnel *tunnel = events[i].data.ptr;
			ssize_t got = read(tunnel->fd, buffer, sizeof(buffer));
			size_t n;

			if (got <= 0)
				fail("read");
			n = (size_t)got;
			if (!tunnel->open) {
				if (strncmp(buffer, "HTTP/1.1 101", 12) != 0) {
					fprintf(stderr, "no tunnel: %.40s\n",
						buffer);
					exit(1);
				}
				if (!read_head(tunnel, &n))
					continue;
				if (++open == connections) {
					start = now();
					end = start + seconds;
				}
			} else if (n < tunnel->awaited) {
				tunnel->awaited -= n;
				continue;
			} else {
				frames += start > 0;
			}
			tunnel->awaited = size;
			put(tunnel->fd, frame, size);
		}
	}
	printf("%.0f\n", (double)frames / (now() - start));
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	else if (argc == 8 && strcmp(argv[1], "load") == 0)
		load(argv[2], atoi(argv[3]), (size_t)atoi(argv[4]),
		     atof(argv[5]), argv[6], argv[7]);
	else
		return 2;
	return 0;
}
