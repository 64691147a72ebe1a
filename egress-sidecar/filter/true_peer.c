/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where connect(2) really leads. A program of our control group may give a
 * socket another peer than was asked for (BPF_CGROUP_INET4_CONNECT, and
 * INET6), and another one (INET4_GETPEERNAME) may hide that; sock_diag(7)
 * tells what the packets will say.
 */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wanted {
	uint64_t cookie;
	struct filter_peer *peer;
	bool found;
};

static int see_socket(void *arg, const struct nlmsghdr *nlh)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct wanted *w = arg;
	uint64_t cookie;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return -EBADMSG;
	cookie = m->id.idiag_cookie[0] | (uint64_t)m->id.idiag_cookie[1] << 32;
	if (cookie != w->cookie ||
	    address_from_bytes(&w->peer->a, m->id.idiag_dst,
			       m->idiag_family == AF_INET6 ? 16 : 4) < 0)
		return 0;
	w->peer->port = ntohs(m->id.idiag_dport);
	w->found = true;
	return 0;
}

static int look_up(struct wanted *w, uint8_t family)
{
	struct inet_diag_req_v2 *request;
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct channel c;
	int ret = channel_open(&c, -1, NETLINK_SOCK_DIAG);

	if (ret < 0)
		return ret;
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = IPPROTO_UDP;
	request->idiag_states = 1 << TCP_ESTABLISHED;
	ret = channel_ask(&c, nlh, see_socket, w);
	channel_close(&c);
	return ret < 0 ? ret : w->found ? 0 : -ENOENT;
}

int filter_true_peer(const struct filter_peer *to, struct filter_peer *peer)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} sa = {.any.sa_family = to->a.family};
	bool v6 = to->a.family == AF_INET6;
	struct wanted w = {.peer = peer};
	socklen_t len = sizeof(w.cookie);
	int fd = socket(to->a.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (v6) {
		memcpy(&sa.v6.sin6_addr, to->a.bytes, 16);
		sa.v6.sin6_port = htons(to->port);
	} else {
		memcpy(&sa.v4.sin_addr, to->a.bytes, 4);
		sa.v4.sin_port = htons(to->port);
	}
	if (connect(fd, &sa.any, v6 ? sizeof(sa.v6) : sizeof(sa.v4)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &w.cookie, &len) < 0)
		ret = -errno;
	if (ret == 0)
		ret = look_up(&w, to->a.family);
	close(fd);
	return ret;
}
