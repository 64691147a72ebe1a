/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path_load ROUNDS PEER_NETNS PORT NAME=NETNS=PEER_ADDRESS...
 *
 * What a packet costs on its way out of each network namespace, and in: one
 * thread has the sockets of both ends, so that its CPU time is that of the
 * stacks. In every round each namespace has a short burst of each kind of
 * traffic. Says a line for each burst: NAME KIND VALUE, where VALUE is the
 * nanoseconds of a datagram (udp_out, udp_in), of a connection made and closed
 * (connect), of a kilobyte (tcp_out, tcp_in), or of a round trip (trip).
 *
 * What only the other end does is not counted where it can be told apart.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	DATAGRAMS = 256,
	DATAGRAM = 36, /* bytes; an IPv4 packet of 64 */
	CONNECTIONS = 24,
	TRIPS = 64,
	BULK = 2 * 1024 * 1024,
	CHUNK = 65536,
	BUFFER = 4 * 1024 * 1024,
	PLACES_MAX = 16
};

struct place {
	const char *name;
	int netns;
	struct addrinfo *peer;
	int udp, udp_peer, listener;
	int bulk, bulk_peer, trip, trip_peer; /* TCP */
};

static int home, beyond;
static char chunk[CHUNK];

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "path_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(int result, const char *what)
{
	if (result < 0)
		die(what);
}

static int netns_open(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd, path);
	return fd;
}

static int socket_in(int netns, const struct addrinfo *a, int type)
{
	const struct timeval patience = {.tv_sec = 10};
	int size = BUFFER, one = 1, fd;

	check(setns(netns, CLONE_NEWNET), "setns");
	fd = socket(a->ai_family, type | SOCK_CLOEXEC, 0);
	check(fd, "socket");
	check(setns(home, CLONE_NEWNET), "setns");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	/* BBR would wait between its segments. */
	if (type == SOCK_STREAM)
		check(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4),
		      "TCP_CONGESTION");
	return fd;
}

static void send_one(int fd, size_t len)
{
	if (send(fd, chunk, len, 0) != (ssize_t)len)
		die("send");
}

static void receive_one(int fd)
{
	if (recv(fd, chunk, sizeof(chunk), 0) <= 0)
		die("recv");
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void connection_open(struct place *p, int *fd, int *peer)
{
	*fd = socket_in(p->netns, p->peer, SOCK_STREAM);
	check(connect(*fd, p->peer->ai_addr, p->peer->ai_addrlen), p->name);
	*peer = accept(p->listener, NULL, NULL);
	check(*peer, "accept");
}

/* Both ends of conversations that the sandbox began. */
static void place_open(struct place *p)
{
	struct addrinfo *a = p->peer;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	p->udp_peer = socket_in(beyond, a, SOCK_DGRAM);
	check(bind(p->udp_peer, a->ai_addr, a->ai_addrlen), "bind");
	p->udp = socket_in(p->netns, a, SOCK_DGRAM);
	check(connect(p->udp, a->ai_addr, a->ai_addrlen), "connect");
	send_one(p->udp, DATAGRAM);
	if (recvfrom(p->udp_peer, chunk, sizeof(chunk), 0,
		     (struct sockaddr *)&from, &len) < 0)
		die("recvfrom");
	check(connect(p->udp_peer, (struct sockaddr *)&from, len), "connect");
	send_one(p->udp_peer, DATAGRAM);
	receive_one(p->udp);

	p->listener = socket_in(beyond, a, SOCK_STREAM);
	check(bind(p->listener, a->ai_addr, a->ai_addrlen), "bind");
	check(listen(p->listener, 2 * CONNECTIONS), "listen");
	connection_open(p, &p->bulk, &p->bulk_peer);
	connection_open(p, &p->trip, &p->trip_peer);
}

/* One after the other: the receiver's part comes later, and is its own. */
static uint64_t datagrams(int from, int to)
{
	uint64_t start = cpu_ns();

	for (int i = 0; i < DATAGRAMS; i++)
		send_one(from, DATAGRAM);
	start = cpu_ns() - start;
	for (int i = 0; i < DATAGRAMS; i++)
		receive_one(to);
	return start / DATAGRAMS;
}

/* No more under way than a cache holds. */
static uint64_t bulk(int from, int to)
{
	uint64_t start = cpu_ns();

	for (size_t sent = 0; sent < BULK; sent += CHUNK) {
		size_t heard = 0;

		send_one(from, CHUNK);
		while (heard < CHUNK) {
			ssize_t n = recv(to, chunk, sizeof(chunk), 0);

			if (n <= 0)
				die("recv");
			heard += (size_t)n;
		}
	}
	return (cpu_ns() - start) / (BULK / 1024);
}

static uint64_t trips(int a, int b)
{
	uint64_t start = cpu_ns();

	for (int i = 0; i < TRIPS; i++) {
		send_one(a, 1);
		receive_one(b);
		send_one(b, 1);
		receive_one(a);
	}
	return (cpu_ns() - start) / TRIPS;
}

/* The client's part: socket to close, and what the kernel does meanwhile. */
static uint64_t connections(struct place *p)
{
	int fd[CONNECTIONS], peer[CONNECTIONS];
	struct addrinfo *a = p->peer;
	uint64_t took, start;

	check(setns(p->netns, CLONE_NEWNET), "setns");
	start = cpu_ns();
	for (int i = 0; i < CONNECTIONS; i++) {
		fd[i] = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		check(fd[i], "socket");
		check(connect(fd[i], a->ai_addr, a->ai_addrlen), p->name);
	}
	took = cpu_ns() - start;
	for (int i = 0; i < CONNECTIONS; i++) {
		peer[i] = accept(p->listener, NULL, NULL);
		check(peer[i], "accept");
	}
	start = cpu_ns();
	for (int i = 0; i < CONNECTIONS; i++)
		close(fd[i]);
	took += cpu_ns() - start;
	for (int i = 0; i < CONNECTIONS; i++)
		close(peer[i]);
	check(setns(home, CLONE_NEWNET), "setns");
	return took / CONNECTIONS;
}

static void say(const struct place *p, const char *kind, uint64_t ns)
{
	printf("%s %s %llu\n", p->name, kind, (unsigned long long)ns);
}

static void place_measure(struct place *p)
{
	say(p, "udp_out", datagrams(p->udp, p->udp_peer));
	say(p, "udp_in", datagrams(p->udp_peer, p->udp));
	say(p, "connect", connections(p));
	say(p, "tcp_out", bulk(p->bulk, p->bulk_peer));
	say(p, "tcp_in", bulk(p->bulk_peer, p->bulk));
	say(p, "trip", trips(p->trip, p->trip_peer));
}

static void place_parse(struct place *p, char *text, const char *port)
{
	struct addrinfo hint = {.ai_flags = AI_NUMERICHOST,
				.ai_socktype = SOCK_STREAM};
	char *rest = text, *address;

	p->name = strsep(&rest, "=");
	address = strchr(rest ? rest : "", '=');
	if (!address) {
		fprintf(stderr, "path_load: not NAME=NETNS=ADDRESS: %s\n",
			text);
		exit(1);
	}
	*address++ = '\0';
	p->netns = netns_open(rest);
	if (getaddrinfo(address, port, &hint, &p->peer) != 0) {
		fprintf(stderr, "path_load: no address: %s\n", address);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct place place[PLACES_MAX] = {0};
	int n = argc - 4, rounds = argc > 1 ? atoi(argv[1]) : 0;

	if (n < 1 || n > PLACES_MAX || rounds < 1) {
		fprintf(stderr, "usage: path_load ROUNDS PEER_NETNS PORT"
				" NAME=NETNS=PEER_ADDRESS...\n");
		return 1;
	}
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	check(home, "/proc/self/ns/net");
	beyond = netns_open(argv[2]);
	for (int i = 0; i < n; i++) {
		place_parse(&place[i], argv[i + 4], argv[3]);
		place_open(&place[i]);
	}
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < n; i++)
			place_measure(&place[(round + i) % n]);
	return 0;
}
