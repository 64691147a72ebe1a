/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies over UDP on their way out. Replies of one length that follow each
 * other to the same client, the last of which may be shorter, are handed to
 * the kernel as the segments of one datagram (UDP_SEGMENT, udp(7)): they cross
 * the packet filter once, and reach the client's socket as if they had been
 * sent one by one.
 */
#ifndef EGRESS_DNS_OUTBOX_H
#define EGRESS_DNS_OUTBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	OUTBOX_MAX = 32,               /* replies under way */
	OUTBOX_SEGMENTS_BYTES = 16384, /* of one datagram, at the most */
};

union outbox_control {
	struct cmsghdr head;
	uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct outbox {
	int fd;           /* the socket of what is in it */
	size_t n_replies; /* one iovec each */
	size_t n_messages;
	uint64_t lost; /* replies that the socket did not take, so far */
	struct iovec iov[OUTBOX_MAX];
	struct mmsghdr message[OUTBOX_MAX];
	union outbox_control control[OUTBOX_MAX];
};

void outbox_init(struct outbox *box);

/* Add a reply to peer through the socket fd; sends what is there already where
 * it does not fit. bytes and peer stay the caller's, and what they are, until
 * outbox_send(). */
void outbox_add(struct outbox *box, int fd, const struct sockaddr *peer,
		socklen_t peer_len, const uint8_t *bytes, size_t len);

/* Send them all; what the socket does not take now is lost, as UDP may be. */
void outbox_send(struct outbox *box);

#endif
