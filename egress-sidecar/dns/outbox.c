/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <errno.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

void outbox_init(struct outbox *box)
{
	box->fd = -1;
	box->n_replies = box->n_messages = 0;
	box->lost = 0;
}

/* Bytes of the segments of the last message; 0: it takes no more. */
static size_t room_in_last(const struct outbox *box)
{
	const struct msghdr *h = &box->message[box->n_messages - 1].msg_hdr;
	size_t size = h->msg_iov[0].iov_len;

	if (h->msg_iov[h->msg_iovlen - 1].iov_len < size ||
	    (h->msg_iovlen + 1) * size > OUTBOX_SEGMENTS_BYTES)
		return 0;
	return size;
}

static bool joins_last(const struct outbox *box, const struct sockaddr *peer,
		       socklen_t peer_len, size_t len)
{
	const struct msghdr *h;

	/* Sockets of other families know of no segments. */
	if (!box->n_messages || peer_len < sizeof(struct sockaddr_in))
		return false;
	h = &box->message[box->n_messages - 1].msg_hdr;
	return len <= room_in_last(box) && h->msg_namelen == peer_len &&
	       memcmp(h->msg_name, peer, peer_len) == 0;
}

static void join_last(struct outbox *box)
{
	size_t last = box->n_messages - 1;
	struct msghdr *h = &box->message[last].msg_hdr;
	uint16_t size = (uint16_t)h->msg_iov[0].iov_len;
	struct cmsghdr *c = &box->control[last].head;

	if (++h->msg_iovlen > 2)
		return;
	h->msg_control = &box->control[last];
	h->msg_controllen = sizeof(box->control[last]);
	memset(&box->control[last], 0, sizeof(box->control[last]));
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

void outbox_add(struct outbox *box, int fd, const struct sockaddr *peer,
		socklen_t peer_len, const uint8_t *bytes, size_t len)
{
	if (box->n_replies == OUTBOX_MAX || box->fd != fd)
		outbox_send(box);
	box->fd = fd;
	box->iov[box->n_replies] = (struct iovec){(void *)bytes, len};
	if (joins_last(box, peer, peer_len, len)) {
		join_last(box);
	} else {
		box->message[box->n_messages++].msg_hdr = (struct msghdr){
			.msg_name = (void *)peer,
			.msg_namelen = peer_len,
			.msg_iov = &box->iov[box->n_replies],
			.msg_iovlen = 1,
		};
	}
	box->n_replies++;
}

/* Where segments are not taken (a small path MTU, IPsec on loopback). */
static void send_apart(struct outbox *box, const struct msghdr *h)
{
	for (size_t i = 0; i < h->msg_iovlen; i++) {
		ssize_t sent;

		do {
			sent = sendto(box->fd, h->msg_iov[i].iov_base,
				      h->msg_iov[i].iov_len, 0, h->msg_name,
				      h->msg_namelen);
		} while (sent < 0 && errno == EINTR);
		box->lost += sent < 0;
	}
}

void outbox_send(struct outbox *box)
{
	size_t sent = 0;

	while (sent < box->n_messages) {
		const struct msghdr *h = &box->message[sent].msg_hdr;
		int done = sendmmsg(box->fd, box->message + sent,
				    (unsigned)(box->n_messages - sent), 0);

		if (done > 0) {
			sent += (size_t)done;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (h->msg_iovlen > 1)
			send_apart(box, h);
		else
			box->lost++;
		sent++;
	}
	box->n_replies = box->n_messages = 0;
}
