/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum {
	LOOPBACK_INDEX = 1 /* of "lo", in every namespace */
};

static bool same_address(const struct sockaddr_storage *a,
			 const struct sockaddr *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->sa_family)
		return false;
	if (b->sa_family == AF_INET6)
		return memcmp(&a6->sin6_addr, &b6->sin6_addr,
			      sizeof(a6->sin6_addr)) == 0;
	return memcmp(&a4->sin_addr, &b4->sin_addr, sizeof(a4->sin_addr)) == 0;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *a4 = (const void *)a;

	return a->ss_family == AF_INET &&
	       ntohl(a4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* The kernel would speak to one of its own addresses from the very same, and
 * to the rest of 127/8 from 127.0.0.1. Nothing is sent to find out. */
static bool is_own(const struct sockaddr *peer)
{
	socklen_t peer_len = peer->sa_family == AF_INET6
				     ? sizeof(struct sockaddr_in6)
				     : sizeof(struct sockaddr_in);
	struct sockaddr_storage self = {0};
	socklen_t len = sizeof(self);
	int fd = socket(peer->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool own;

	own = fd >= 0 && connect(fd, peer, peer_len) == 0 &&
	      getsockname(fd, (struct sockaddr *)&self, &len) == 0 &&
	      (is_loopback(&self) || same_address(&self, peer));
	if (fd >= 0)
		close(fd);
	return own;
}

static int prepare(int fd, uint32_t mark, const struct sockaddr *peer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LOOPBACK_INDEX, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {
		sizeof(code) / sizeof(code[0]),
		code,
	};

	if (!mark)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	if (!is_own(peer) && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER,
					&program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

int outward_socket(uint32_t mark, const struct sockaddr *peer, int type,
		   int protocol)
{
	int fd = socket(peer->sa_family, type | SOCK_CLOEXEC, protocol);
	int err;

	if (fd < 0)
		return -errno;
	err = prepare(fd, mark, peer);
	if (err)
		close(fd);
	return err ? err : fd;
}
