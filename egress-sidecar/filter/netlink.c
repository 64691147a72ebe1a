/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"
#include "host/host.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int channel_open(struct channel *c, int netns, int protocol)
{
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(self);
	int one = 1;
	int ret;

	c->fd = netns_socket(netns, AF_NETLINK, SOCK_RAW, protocol);
	if (c->fd < 0)
		return c->fd;
	/* Errors come without a copy of the request (netlink(7)); kernels that
	 * cannot leave it away send it, and it is skipped. */
	setsockopt(c->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&self, sizeof(self)) < 0 ||
	    getsockname(c->fd, (struct sockaddr *)&self, &len) < 0) {
		ret = -errno;
		goto cleanup;
	}
	c->port = self.nl_pid;
	c->seq = 1;
	return 0;

cleanup:
	channel_close(c);
	return ret;
}

void channel_close(struct channel *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void channel_begin(struct channel *c, struct batch *b)
{
	batch_begin(b, c->seq);
}

/* A message is limited by the socket's send buffer; make that as wide as the
 * batch, over the system's limit where we may (socket(7)). */
static int send_all(struct channel *c, const void *data, size_t len)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t sent;

	do {
		sent = sendto(c->fd, data, len, 0,
			      (const struct sockaddr *)&kernel, sizeof(kernel));
		if (sent < 0 && errno == EMSGSIZE && len < INT32_MAX / 2) {
			int wide = (int)len + 4096;

			if (setsockopt(c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &wide,
				       sizeof(wide)) < 0 &&
			    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &wide,
				       sizeof(wide)) < 0)
				return -errno;
			sent = sendto(c->fd, data, len, 0,
				      (const struct sockaddr *)&kernel,
				      sizeof(kernel));
		}
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == len ? 0 : -EIO;
}

ssize_t channel_receive(struct channel *c, struct channel_room *room)
{
	struct sockaddr_nl from;
	ssize_t len;

	/* Other processes may write to our port; only the kernel counts. */
	do {
		socklen_t from_len = sizeof(from);

		memset(&from, 0, sizeof(from));
		len = recvfrom(c->fd, room->bytes, CHANNEL_BUFFER,
			       MSG_DONTWAIT | MSG_TRUNC,
			       (struct sockaddr *)&from, &from_len);
	} while (len < 0 ? errno == EINTR : from.nl_pid != 0);
	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	return len > CHANNEL_BUFFER ? -EMSGSIZE : len;
}

static int error_of(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
		return -EBADMSG;
	return e->error;
}

int channel_commit(struct channel *c, struct batch *b, bool commit)
{
	struct channel_room room;
	uint32_t last;
	ssize_t len = 0;
	int ret, err = 0;

	c->unsure = false;
	batch_end(b, commit);
	if (b->err)
		return b->err;
	c->seq = b->seq;
	last = ((struct nlmsghdr *)(void *)(b->data + b->last))->nlmsg_seq;
	ret = send_all(c, b->data, b->len);
	if (ret < 0)
		return ret;

	c->unsure = true;
	while ((len = channel_receive(c, &room)) > 0) {
		const struct nlmsghdr *nlh = (const void *)room.bytes;
		int left = (int)len;

		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			if (nlh->nlmsg_type != NLMSG_ERROR ||
			    nlh->nlmsg_seq - b->first > last - b->first)
				continue;
			err = err ? err : error_of(nlh);
			/* Errors come in the order of the messages, that of
			 * the begin alone; the rest is left for later. */
			c->unsure = nlh->nlmsg_seq != last &&
				    nlh->nlmsg_seq != b->first;
			if (nlh->nlmsg_seq == last)
				return err;
			if (nlh->nlmsg_seq == b->first)
				return err ? err : -EBADMSG;
		}
	}
	if (err)
		return err;
	return len < 0 ? (int)len : -EIO; /* no acknowledgement */
}

int channel_ask(struct channel *c, struct nlmsghdr *nlh,
		int (*each)(void *arg, const struct nlmsghdr *nlh), void *arg)
{
	struct channel_room room;
	ssize_t len;
	int ret;

	nlh->nlmsg_seq = c->seq++;
	ret = send_all(c, nlh, nlh->nlmsg_len);
	if (ret < 0)
		return ret;
	while ((len = channel_receive(c, &room)) > 0) {
		const struct nlmsghdr *answer = (const void *)room.bytes;
		int left = (int)len;

		for (; mnl_nlmsg_ok(answer, left);
		     answer = mnl_nlmsg_next(answer, &left)) {
			if (answer->nlmsg_seq != nlh->nlmsg_seq) {
				c->heard = true;
				continue;
			}
			if (answer->nlmsg_type == NLMSG_ERROR)
				return error_of(answer);
			if (answer->nlmsg_type == NLMSG_DONE)
				return 0;
			ret = each ? each(arg, answer) : 0;
			if (ret < 0)
				return ret;
			if (!(answer->nlmsg_flags & NLM_F_MULTI))
				return 0;
		}
	}
	return len < 0 ? (int)len : -EIO;
}

int channel_list(struct channel *c, struct nlmsghdr *nlh)
{
	nlh->nlmsg_seq = ++c->seq;
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	return send_all(c, nlh, nlh->nlmsg_len);
}

int channel_list_more(struct channel *c, unsigned datagrams,
		      int (*each)(void *arg, const struct nlmsghdr *nlh),
		      void *arg)
{
	struct channel_room room;
	ssize_t len = 0;
	int ret;

	while (datagrams-- > 0 && (len = channel_receive(c, &room)) > 0) {
		const struct nlmsghdr *answer = (const void *)room.bytes;
		int left = (int)len;

		for (; mnl_nlmsg_ok(answer, left);
		     answer = mnl_nlmsg_next(answer, &left)) {
			if (answer->nlmsg_seq != c->seq)
				continue;
			if (answer->nlmsg_type == NLMSG_DONE)
				return 1;
			ret = answer->nlmsg_type == NLMSG_ERROR
				      ? error_of(answer)
				      : each(arg, answer);
			if (ret < 0)
				return ret;
		}
	}
	return len < 0 ? (int)len : 0;
}

static const struct nlattr *walk(const char *data, size_t len,
				 const struct nlattr *at)
{
	const char *next = at ? (const char *)mnl_attr_next(at) : data;

	if (next > data + len ||
	    !mnl_attr_ok((const void *)next, (int)(data + len - next)))
		return NULL;
	return (const void *)next;
}

const struct nlattr *attr_of_message(const struct nlmsghdr *nlh,
				     const struct nlattr *at)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh);

	if (len < sizeof(struct nfgenmsg))
		return NULL;
	return walk((const char *)mnl_nlmsg_get_payload(nlh) +
			    sizeof(struct nfgenmsg),
		    len - sizeof(struct nfgenmsg), at);
}

const struct nlattr *attr_within(const struct nlattr *nest,
				 const struct nlattr *at)
{
	return walk(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest),
		    at);
}
