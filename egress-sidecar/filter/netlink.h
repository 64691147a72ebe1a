/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets in the sandbox's namespace: send, and read what the kernel
 * answers. The kernel handles a request within sendmsg(2), so that its answer
 * is there when that returns, and nothing here ever waits.
 */
#ifndef EGRESS_FILTER_NETLINK_H
#define EGRESS_FILTER_NETLINK_H

#include "batch.h"
#include "filter.h"

#include <stdint.h>
#include <sys/types.h>

/* netlink.c */

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

/*
 * monitor.c: what other processes do to our tables: told by the kernel
 * (nfnetlink(7), group NFNLGRP_NFTABLES), which knows who asked for each
 * change.
 */

enum {
	MONITOR_WHAT_MAX = 128
};

struct monitor_change {
	unsigned rank; /* 0: none */
	char what[MONITOR_WHAT_MAX];
};

struct monitor {
	struct channel events;       /* fd -1: closed */
	struct monitor_change next;  /* of a transaction not heard of whole */
	struct monitor_change found; /* the gravest */
	uint32_t since; /* transactions up to this one do not count */
};

/* Hear of changes in the namespace (-1: ours) from now on, but for those that
 * the socket with the netlink port own_port asks for. Needs CAP_NET_ADMIN.
 * 0 or -errno. */
int monitor_open(struct monitor *m, int netns, uint32_t own_port);
void monitor_close(struct monitor *m);

/* Read what is there, and say what became of our tables since the last
 * monitor_clear(): "table inet opensandbox is missing", the gravest change
 * alone; NULL: nothing. Where the kernel had more to tell than the socket
 * holds (ENOBUFS) any of it may have been about them. */
const char *monitor_read(struct monitor *m);

/* The number of the last transaction in the namespace, asked for over c;
 * it wraps. 0 or -errno. */
int monitor_now(struct channel *c, uint32_t *transaction);

/* The tables were written anew after this transaction: what changed them up to
 * it, heard of by now or not, does not count. */
void monitor_clear(struct monitor *m, uint32_t transaction);

/*
 * conntrack.c: a message of conntrack's, from a list, an answer or an event.
 */

/* Room for a request, a tuple and a few numbers. */
struct connection_room {
	char bytes[FILTER_TUPLE_MAX + 128]
		__attribute__((aligned(__alignof__(uint64_t))));
};

/* A request's beginning, in room. type: IPCTNL_MSG_CT_GET, ... */
struct nlmsghdr *connection_message(struct connection_room *room, uint16_t type,
				    uint16_t flags, uint8_t family);

/* What a message leaves out is zero. */
struct connection {
	const struct nlattr *tuple; /* as the kernel names it, in the message */
	uint32_t id;
	uint16_t zone; /* network order, where zoned */
	bool zoned;
	struct address source;      /* who began it */
	struct address far;         /* who answers: behind any translation */
	uint16_t source_port, port; /* theirs, host order */
	uint8_t protocol, tcp_state;
	uint32_t status, mark;
	bool counted;                  /* these are known */
	uint64_t packets[2], bytes[2]; /* of who began it, of answers */
	uint64_t start_ns, stop_ns;    /* CLOCK_REALTIME */
};
void connection_read(struct connection *c, const struct nlmsghdr *nlh);

/*
 * nflog.c: refused packets, as the kernel's nfnetlink_log reports them.
 */

/* Open a socket in the namespace that gets the group's packets. 0 or -errno;
 * -EPERM where another process has the group. */
int nflog_open(struct channel *c, int netns, uint16_t group);
int nflog_read(struct channel *c,
	       void (*each)(void *arg, const struct refused_packet *p),
	       void *arg);

/* What an IPv4 or IPv6 packet (len bytes of its beginning) says of itself.
 * Pure. 0, or -EINVAL where it is too short to tell its addresses. */
int nflog_parse_packet(struct refused_packet *p, const uint8_t *packet,
		       size_t len);

#endif
