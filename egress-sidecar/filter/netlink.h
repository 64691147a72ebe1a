/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets in the sandbox's namespace: send, and read what the kernel
 * answers. The kernel handles a request within sendmsg(2), so that its answer
 * is there when that returns, and nothing here ever waits.
 */
#ifndef EGRESS_FILTER_NETLINK_H
#define EGRESS_FILTER_NETLINK_H

#include "batch.h"

#include <stdint.h>
#include <sys/types.h>

struct nlmsghdr;

struct channel {
	int fd;
	uint32_t port, seq;
	bool heard;  /* something that nobody asked for */
	bool unsure; /* whether the last batch was taken */
};

enum {
	CHANNEL_BUFFER = 32768
};

/* Room for a datagram, on the reader's stack: a channel of which there are
 * thousands holds none. */
struct channel_room {
	char bytes[CHANNEL_BUFFER]
		__attribute__((aligned(__alignof__(uint64_t))));
};

/* protocol: NETLINK_NETFILTER, ... 0 or -errno. */
int channel_open(struct channel *c, int netns, int protocol);
void channel_close(struct channel *c);

/* Begin a batch with sequence numbers that no answer under way has. */
void channel_begin(struct channel *c, struct batch *b);

/*
 * Send the batch and read its acknowledgement. 0: the kernel has taken all of
 * it (or, where the batch was not to be committed, would). -errno: none of it;
 * the first error that it gave.
 */
int channel_commit(struct channel *c, struct batch *b, bool commit);

/* Send one message, whose sequence number is set here, and call each() for
 * each message of the answer until its end. each() returns 0 or -errno, which
 * ends it. 0 or -errno. */
int channel_ask(struct channel *c, struct nlmsghdr *nlh,
		int (*each)(void *arg, const struct nlmsghdr *nlh), void *arg);

/*
 * The same in parts: channel_list() asks for a list, and channel_list_more()
 * reads at most so many datagrams of it, which the kernel makes as they are
 * read; the descriptor is readable while there is more. Nothing else may be
 * asked on the channel meanwhile. 1: that was all; 0: there is more; -errno,
 * which ends it.
 */
int channel_list(struct channel *c, struct nlmsghdr *nlh);
int channel_list_more(struct channel *c, unsigned datagrams,
		      int (*each)(void *arg, const struct nlmsghdr *nlh),
		      void *arg);

/* The attributes of an nfnetlink message, or inside another attribute, one
 * after the other: at is the one before, NULL at first. NULL at the end. */
struct nlattr;
const struct nlattr *attr_of_message(const struct nlmsghdr *nlh,
				     const struct nlattr *at);
const struct nlattr *attr_within(const struct nlattr *nest,
				 const struct nlattr *at);

/* One datagram: its length, 0 where there is none, -errno. */
ssize_t channel_receive(struct channel *c, struct channel_room *room);

#endif
