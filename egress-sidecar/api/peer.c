/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* An end of a connection as sock_diag names it: IPv4 as such, since the
 * client's socket of a mapped address is one of IPv4. */
static int end_of(const struct sockaddr_storage *ss, __be32 address[4],
		  __be16 *port)
{
	const struct sockaddr_in *sin = (const void *)ss;
	const struct sockaddr_in6 *sin6 = (const void *)ss;

	memset(address, 0, 4 * sizeof(*address));
	if (ss->ss_family == AF_INET) {
		address[0] = sin->sin_addr.s_addr;
		*port = sin->sin_port;
		return AF_INET;
	}
	if (ss->ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	*port = sin6->sin6_port;
	if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
		memcpy(address, &sin6->sin6_addr.s6_addr[12], 4);
		return AF_INET;
	}
	memcpy(address, &sin6->sin6_addr, 16);
	return AF_INET6;
}

/* The client's socket is ours with its ends exchanged. */
static int ask_for_client(int fd, struct inet_diag_req_v2 *ask)
{
	struct sockaddr_storage near = {0}, far = {0};
	socklen_t near_len = sizeof(near), far_len = sizeof(far);
	const struct sockaddr_in6 *far6 = (const void *)&far;
	int family;

	if (getsockname(fd, (struct sockaddr *)&near, &near_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&far, &far_len) < 0)
		return -errno;
	memset(ask, 0, sizeof(*ask));
	family = end_of(&far, ask->id.idiag_src, &ask->id.idiag_sport);
	if (family < 0 ||
	    end_of(&near, ask->id.idiag_dst, &ask->id.idiag_dport) != family)
		return -EAFNOSUPPORT;
	if (family == AF_INET6)
		ask->id.idiag_if = far6->sin6_scope_id;
	ask->sdiag_family = (uint8_t)family;
	ask->sdiag_protocol = IPPROTO_TCP;
	ask->idiag_states = UINT32_MAX;
	ask->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	ask->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return 0;
}

/* A socket that its process has closed has no inode, and the kernel says root
 * owns it. */
static int take_owner(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	bool *ours = arg;

	if (nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
	    mnl_nlmsg_get_payload_len(nlh) >= sizeof(*m))
		*ours = m->idiag_inode != 0 &&
			(m->idiag_uid == 0 || m->idiag_uid == geteuid());
	return MNL_CB_STOP;
}

bool peer_is_ours(int fd)
{
	char buf[sizeof(struct nlmsghdr) + 1024];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *ask =
		mnl_nlmsg_put_extra_header(nlh, sizeof(*ask));
	struct mnl_socket *nl;
	bool ours = false;
	ssize_t n;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	if (ask_for_client(fd, ask) < 0)
		return false;
	nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!nl)
		return false;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0) {
		/* The kernel has answered by the time that it was asked. */
		n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0)
			(void)mnl_cb_run(buf, (size_t)n, 1, 0, take_owner,
					 &ours);
	}
	mnl_socket_close(nl);
	return ours;
}
