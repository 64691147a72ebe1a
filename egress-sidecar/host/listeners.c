/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	/* Where OpenSandbox's own sidecar listens; below what the kernel gives
	 * to sockets that ask for any port. */
	PORT_USUAL = 15353,
	PORT_GATE = 15380, /* the gate's; as little in the way */
	PORT_TRIES = 64,
	STEP_MS = 10, /* between two looks at a port that is taken */
	TCP_BACKLOG = 256,
	GATE_BACKLOG = 4096,
	UDP_BUFFER =
		1 << 20, /* bytes; rides out bursts between two iterations */
};

static socklen_t loopback(struct sockaddr_storage *ss, int family,
			  uint16_t port)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		sin->sin_port = htons(port);
		return sizeof(*sin);
	}
	sin6->sin6_addr = in6addr_loopback;
	sin6->sin6_port = htons(port);
	return sizeof(*sin6);
}

static int listener(int netns, int family, int type, uint16_t port, int backlog)
{
	struct sockaddr_storage ss;
	socklen_t len = loopback(&ss, family, port);
	int one = 1, size = UDP_BUFFER, err;
	int fd = netns_socket(netns, family, type, 0);

	if (fd < 0)
		return fd;
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
				 sizeof(one));
	if (type == SOCK_DGRAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size));
	else
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
				 sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 ||
	    (type == SOCK_STREAM && listen(fd, backlog) < 0)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int bound_port(int fd, uint16_t *port)
{
	struct sockaddr_in sin = {.sin_port = 0};
	socklen_t len = sizeof(sin);

	if (getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
		return -errno;
	*port = ntohs(sin.sin_port);
	return 0;
}

/* No IPv6, or none on loopback (disable_ipv6): nothing to listen for. */
static bool without_ipv6(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

/* One port for all four; -EADDRINUSE where another socket has it. */
static int listeners_try(struct listeners *l, int netns, uint16_t port)
{
	int err;

	*l = (struct listeners)LISTENERS_NONE;
	l->udp4 = listener(netns, AF_INET, SOCK_DGRAM, port, 0);
	if (l->udp4 < 0)
		return l->udp4;
	err = bound_port(l->udp4, &l->port);
	if (err)
		return err;
	l->tcp4 = listener(netns, AF_INET, SOCK_STREAM, l->port, TCP_BACKLOG);
	if (l->tcp4 < 0)
		return l->tcp4;
	l->udp6 = listener(netns, AF_INET6, SOCK_DGRAM, l->port, 0);
	if (without_ipv6(l->udp6))
		return 0;
	if (l->udp6 < 0)
		return l->udp6;
	l->tcp6 = listener(netns, AF_INET6, SOCK_STREAM, l->port, TCP_BACKLOG);
	return l->tcp6 < 0 ? l->tcp6 : 0;
}

/* Nothing stays open on error. */
static int listeners_at(struct listeners *l, int netns, uint16_t port)
{
	int err = listeners_try(l, netns, port);

	if (err)
		listeners_close(l);
	return err;
}

/* netdevice(7); needs CAP_NET_ADMIN where it is down. */
static int loopback_up(int ns)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = netns_socket(ns, AF_INET, SOCK_DGRAM, 0);
	int err = fd < 0 ? fd : 0;

	if (!err && ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		err = -errno;
	if (!err && !(request.ifr_flags & IFF_UP)) {
		request.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
			err = -errno;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

int listeners_open(struct listeners *l, int netns, uint16_t port,
		   unsigned wait_ms)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
	int err;

	/* One that we cannot bring up may be up when it is needed. */
	(void)loopback_up(netns);
	err = port ? listeners_at(l, netns, port) : -EADDRINUSE;
	for (unsigned ms = 0; port && ms < wait_ms && err == -EADDRINUSE;
	     ms += STEP_MS) {
		nanosleep(&step, NULL);
		err = listeners_at(l, netns, port);
	}
	if (err == -EADDRINUSE)
		err = listeners_at(l, netns, PORT_USUAL);
	for (int i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++)
		err = listeners_at(l, netns, 0);
	return err;
}

static void close_each(int *const *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int gate_try(struct listeners *l, int netns, uint16_t port)
{
	int err;

	l->gate4 = listener(netns, AF_INET, SOCK_STREAM, port, GATE_BACKLOG);
	if (l->gate4 < 0)
		return l->gate4;
	err = bound_port(l->gate4, &l->gate_port);
	if (err)
		return err;
	l->gate6 = listener(netns, AF_INET6, SOCK_STREAM, l->gate_port,
			    GATE_BACKLOG);
	return l->gate6 < 0 && !without_ipv6(l->gate6) ? l->gate6 : 0;
}

int listeners_open_gate(struct listeners *l, int netns)
{
	int *const fds[] = {&l->gate4, &l->gate6};
	int err = -EADDRINUSE;

	for (int i = 0; i <= PORT_TRIES && err == -EADDRINUSE; i++) {
		err = gate_try(l, netns, i ? 0 : PORT_GATE);
		if (err)
			close_each(fds, 2);
	}
	return err;
}

/* Somebody may have ended it: sock_diag(7), SOCK_DESTROY. */
static bool listens(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return fd < 0 ||
	       (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 &&
		on);
}

bool listeners_have_gate(const struct listeners *l)
{
	return l->gate4 >= 0 && listens(l->gate4) && listens(l->gate6);
}

void listeners_close(struct listeners *l)
{
	int *const fds[] = {&l->udp4, &l->tcp4,  &l->udp6,
			    &l->tcp6, &l->gate4, &l->gate6};

	close_each(fds, sizeof(fds) / sizeof(*fds));
}
