/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"
#include "ruleset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	RECEIVE_BUFFER = 1 << 20, /* bytes; a large ruleset of a neighbour's */
	/* In every message of nf_tables the name of its table. */
	ATTR_TABLE = 1,
	RANK_UNKNOWN = 9
};

/* What a message is about. The name is that of the thing, or of what it is
 * in. Of several changes the one with the highest rank is told. */
static const struct kind {
	uint16_t add, delete;
	uint16_t name; /* attribute, 0: the table is all there is to say */
	unsigned rank;
	const char *text;
} kinds[] = {
	{NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, 0, 4, "table"},
	{NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFTA_CHAIN_NAME, 3, "chain"},
	{NFT_MSG_NEWSET, NFT_MSG_DELSET, NFTA_SET_NAME, 3, "set"},
	{NFT_MSG_NEWOBJ, NFT_MSG_DELOBJ, NFTA_OBJ_NAME, 2, "counter"},
	{NFT_MSG_NEWRULE, NFT_MSG_DELRULE, NFTA_RULE_CHAIN, 2,
	 "a rule of chain"},
	{NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, 1,
	 "an element of set"},
};

/* The kernel tells of a transaction in messages that all name who asked for
 * it; ours need not even wake us. */
static int leave_out(int fd, uint32_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]),
					   code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			  sizeof(program)) < 0
		       ? -errno
		       : 0;
}

int monitor_open(struct monitor *m, int netns, uint32_t own_port)
{
	const int group = NFNLGRP_NFTABLES, room = RECEIVE_BUFFER;
	int ret = channel_open(&m->events, netns, NETLINK_NETFILTER);

	if (ret < 0)
		return ret;
	(void)setsockopt(m->events.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
			 sizeof(room));
	ret = leave_out(m->events.fd, own_port);
	if (ret == 0 &&
	    setsockopt(m->events.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
		       &group, sizeof(group)) < 0)
		ret = -errno;
	if (ret < 0)
		monitor_close(m);
	return ret;
}

void monitor_close(struct monitor *m)
{
	channel_close(&m->events);
}

static const char *text_of(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr;

	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		if (mnl_attr_get_type(attr) == type &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			return mnl_attr_get_str(attr);
	}
	return "";
}

static void note(struct monitor *m, const struct kind *kind, bool deleted,
		 uint8_t family, const char *name)
{
	/* What is missing is graver than what was added. */
	unsigned rank = kind->rank + (deleted ? 4 : 0);

	if (rank <= m->next.rank)
		return;
	m->next.rank = rank;
	snprintf(m->next.what, sizeof(m->next.what),
		 "%s %s%s%s " RULESET_TABLE " %s", kind->text, name,
		 kind->name ? " in " : "",
		 family == NFPROTO_INET ? "inet" : "netdev",
		 deleted ? "is missing" : "is not ours");
}

static int read_number(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;
	uint32_t *number = arg;

	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID &&
		    mnl_attr_get_payload_len(attr) == sizeof(*number))
			*number = ntohl(mnl_attr_get_u32(attr));
	}
	return 0;
}

int monitor_now(struct channel *c, uint32_t *transaction)
{
	char buf[64] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh =
		nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETGEN, AF_UNSPEC, 0, 0);

	return channel_ask(c, nlh, read_number, transaction);
}

/* The last message of each transaction. */
static void end_transaction(struct monitor *m, const struct nlmsghdr *nlh)
{
	uint32_t number = m->since + 1;

	(void)read_number(&number, nlh);
	if ((int32_t)(number - m->since) > 0 && m->next.rank > m->found.rank)
		m->found = m->next;
	m->next.rank = 0;
}

static void see(struct monitor *m, const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	unsigned type = NFNL_MSG_TYPE(nlh->nlmsg_type);

	/* No port: the kernel itself, for a device that has gone. */
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg) ||
	    NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    nlh->nlmsg_pid == 0)
		return;
	if (type == NFT_MSG_NEWGEN)
		end_transaction(m, nlh);
	if (nfg->nfgen_family != NFPROTO_INET &&
	    nfg->nfgen_family != NFPROTO_NETDEV)
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *kind = &kinds[i];

		if ((type != kind->add && type != kind->delete) ||
		    strcmp(text_of(nlh, ATTR_TABLE), RULESET_TABLE) != 0)
			continue;
		note(m, kind, type == kind->delete, nfg->nfgen_family,
		     kind->name ? text_of(nlh, kind->name) : "");
	}
}

const char *monitor_read(struct monitor *m)
{
	struct channel_room room;
	ssize_t len;

	while ((len = channel_receive(&m->events, &room)) != 0) {
		const struct nlmsghdr *nlh = (const void *)room.bytes;
		int left = (int)len;

		if (len == -ENOBUFS || len == -EMSGSIZE) {
			m->found.rank = RANK_UNKNOWN;
			snprintf(m->found.what, sizeof(m->found.what),
				 "what table inet " RULESET_TABLE
				 " holds is not known");
			continue;
		}
		if (len < 0)
			break;
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left))
			see(m, nlh);
	}
	return m->found.rank ? m->found.what : NULL;
}

void monitor_clear(struct monitor *m, uint32_t transaction)
{
	m->found.rank = 0;
	m->since = transaction;
}
