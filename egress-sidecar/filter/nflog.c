/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"
#include "ruleset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
	COPY_BYTES = 128,
	GATHER_CS = 10,   /* centiseconds that the kernel gathers packets */
	HEADERS6_MAX = 8, /* extension headers that are stepped over */
	READ_MAX = 256    /* packets in one call */
};

static struct nlmsghdr *config(char *buf, uint16_t group)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(group);
	return nlh;
}

int nflog_open(struct channel *c, int netns, uint16_t group)
{
	struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
	struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(COPY_BYTES),
		.copy_mode = NFULNL_COPY_PACKET,
	};
	int ret, one = 1;
	char buf[256] = {0};
	struct nlmsghdr *nlh;

	ret = channel_open(c, netns, NETLINK_NETFILTER);
	if (ret < 0)
		return ret;
	nlh = config(buf, group);
	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind), &bind);
	ret = channel_ask(c, nlh, NULL, NULL);
	if (ret < 0)
		goto cleanup;
	nlh = config(buf, group);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_TIMEOUT, htonl(GATHER_CS));
	ret = channel_ask(c, nlh, NULL, NULL);
	if (ret < 0)
		goto cleanup;
	/* Lost reports are no error: there are more than anybody reads. */
	setsockopt(c->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	return 0;

cleanup:
	channel_close(c);
	return ret;
}

static void take_port(struct refused_packet *p, const uint8_t *transport,
		      size_t len)
{
	switch (p->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		if (len >= 4)
			p->destination_port =
				(uint16_t)(transport[2] << 8 | transport[3]);
	}
}

static int parse4(struct refused_packet *p, const uint8_t *packet, size_t len)
{
	size_t header;

	if (len < 20)
		return -EINVAL;
	header = (size_t)(packet[0] & 0x0f) * 4;
	address_from_bytes(&p->source, packet + 12, 4);
	address_from_bytes(&p->destination, packet + 16, 4);
	p->protocol = packet[9];
	if (header >= 20 && header < len)
		take_port(p, packet + header, len - header);
	return 0;
}

/* RFC 8200, 4: hop-by-hop, routing and destination options say their length
 * in 8 octets beyond the first; a fragment header has 8. */
static int parse6(struct refused_packet *p, const uint8_t *packet, size_t len)
{
	size_t at = 40;

	if (len < at)
		return -EINVAL;
	address_from_bytes(&p->source, packet + 8, 16);
	address_from_bytes(&p->destination, packet + 24, 16);
	p->protocol = packet[6];
	for (int i = 0; i < HEADERS6_MAX; i++) {
		if (p->protocol != IPPROTO_HOPOPTS &&
		    p->protocol != IPPROTO_ROUTING &&
		    p->protocol != IPPROTO_DSTOPTS &&
		    p->protocol != IPPROTO_FRAGMENT) {
			if (at < len)
				take_port(p, packet + at, len - at);
			break;
		}
		if (len - at < 8)
			break;
		p->protocol = packet[at];
		at += ((size_t)packet[at + 1] + 1) * 8;
		if (at > len)
			break;
	}
	return 0;
}

int nflog_parse_packet(struct refused_packet *p, const uint8_t *packet,
		       size_t len)
{
	memset(p, 0, sizeof(*p));
	p->limit = POLICY_LIMITS;
	if (len == 0)
		return -EINVAL;
	switch (packet[0] >> 4) {
	case 4:
		return parse4(p, packet, len);
	case 6:
		return parse6(p, packet, len);
	default:
		return -EINVAL;
	}
}

/* "refused", "audit", RULESET_GUESSED, or a limit's name, in an audit behind
 * "audit ". */
static void take_prefix(struct refused_packet *p, const char *prefix)
{
	p->audit = strncmp(prefix, "audit", 5) == 0;
	if (p->audit)
		prefix += strcspn(prefix, " ");
	prefix += strspn(prefix, " ");
	p->guess = strcmp(prefix, RULESET_GUESSED) == 0;
	for (int i = 0; i < LIMIT_DNS; i++) {
		enum policy_limit limit = (enum policy_limit)i;

		if (strcmp(prefix, policy_limit_name(limit)) == 0)
			p->limit = limit;
	}
}

static int read_message(const struct nlmsghdr *nlh, struct refused_packet *p)
{
	const struct nfulnl_msg_packet_hdr *header = NULL;
	const struct nlattr *attr, *payload = NULL;
	const char *prefix = NULL;
	int ret;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return -EINVAL;
	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		switch (mnl_attr_get_type(attr)) {
		case NFULA_PACKET_HDR:
			if (mnl_attr_get_payload_len(attr) >= sizeof(*header))
				header = mnl_attr_get_payload(attr);
			break;
		case NFULA_PREFIX:
			if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
				prefix = mnl_attr_get_str(attr);
			break;
		case NFULA_PAYLOAD:
			payload = attr;
			break;
		}
	}
	if (!payload || !header)
		return -EINVAL;
	ret = nflog_parse_packet(p, mnl_attr_get_payload(payload),
				 mnl_attr_get_payload_len(payload));
	p->inbound = header->hook == NF_INET_LOCAL_IN;
	if (prefix)
		take_prefix(p, prefix);
	return ret;
}

int nflog_read(struct channel *c,
	       void (*each)(void *arg, const struct refused_packet *p),
	       void *arg)
{
	struct channel_room room;
	int seen = 0;

	while (seen < READ_MAX) {
		const struct nlmsghdr *nlh = (const void *)room.bytes;
		ssize_t len = channel_receive(c, &room);
		int left;

		if (len <= 0)
			return (int)len;
		left = (int)len;
		for (; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			struct refused_packet p;

			seen++;
			if (read_message(nlh, &p) == 0)
				each(arg, &p);
		}
	}
	return 0;
}
