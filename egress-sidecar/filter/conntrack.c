/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

struct nlmsghdr *connection_message(struct connection_room *room, uint16_t type,
				    uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(room->bytes);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

/* Of the original direction the source, of the reply's too: who answers,
 * behind any translation. */
static void read_tuple(const struct nlattr *tuple, struct address *source,
		       uint16_t *port, uint8_t *protocol)
{
	const struct nlattr *part = NULL, *attr;

	while ((part = attr_within(tuple, part))) {
		uint16_t type = mnl_attr_get_type(part);

		for (attr = attr_within(part, NULL); attr;
		     attr = attr_within(part, attr)) {
			uint16_t of = mnl_attr_get_type(attr);
			size_t len = mnl_attr_get_payload_len(attr);
			const void *data = mnl_attr_get_payload(attr);

			if (type == CTA_TUPLE_IP &&
			    (of == CTA_IP_V4_SRC || of == CTA_IP_V6_SRC))
				(void)address_from_bytes(source, data, len);
			else if (type == CTA_TUPLE_PROTO &&
				 of == CTA_PROTO_NUM && len == 1)
				memcpy(protocol, data, 1);
			else if (type == CTA_TUPLE_PROTO &&
				 of == CTA_PROTO_SRC_PORT && len == 2)
				*port = ntohs(mnl_attr_get_u16(attr));
		}
	}
}

static void read_tcp_state(struct connection *c, const struct nlattr *info)
{
	const struct nlattr *tcp = NULL, *attr;

	while ((tcp = attr_within(info, tcp))) {
		if (mnl_attr_get_type(tcp) != CTA_PROTOINFO_TCP)
			continue;
		for (attr = attr_within(tcp, NULL); attr;
		     attr = attr_within(tcp, attr))
			if (mnl_attr_get_type(attr) ==
				    CTA_PROTOINFO_TCP_STATE &&
			    mnl_attr_get_payload_len(attr) == 1)
				c->tcp_state = mnl_attr_get_u8(attr);
	}
}

/* Numbers of 64 bits, whose attributes are first and the one after it. */
static void read_pair(const struct nlattr *nest, uint16_t first,
		      uint64_t *at_first, uint64_t *at_next)
{
	const struct nlattr *attr = NULL;

	while ((attr = attr_within(nest, attr))) {
		uint16_t type = mnl_attr_get_type(attr);

		if (mnl_attr_get_payload_len(attr) != sizeof(uint64_t))
			continue;
		if (type == first)
			*at_first = be64toh(mnl_attr_get_u64(attr));
		else if (type == first + 1)
			*at_next = be64toh(mnl_attr_get_u64(attr));
	}
}

static void read_number(const struct nlattr *attr, uint32_t *out)
{
	if (mnl_attr_get_payload_len(attr) == sizeof(*out))
		*out = ntohl(mnl_attr_get_u32(attr));
}

static void read_counters(struct connection *c, const struct nlattr *attr,
			  bool reply)
{
	c->counted = true;
	read_pair(attr, CTA_COUNTERS_PACKETS, &c->packets[reply],
		  &c->bytes[reply]);
}

void connection_read(struct connection *c, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr = NULL;

	memset(c, 0, sizeof(*c));
	while ((attr = attr_of_message(nlh, attr))) {
		switch (mnl_attr_get_type(attr)) {
		case CTA_TUPLE_ORIG:
			c->tuple = attr;
			read_tuple(attr, &c->source, &c->source_port,
				   &c->protocol);
			break;
		case CTA_TUPLE_REPLY:
			read_tuple(attr, &c->far, &c->port, &c->protocol);
			break;
		case CTA_PROTOINFO:
			read_tcp_state(c, attr);
			break;
		case CTA_STATUS:
			read_number(attr, &c->status);
			break;
		case CTA_MARK:
			read_number(attr, &c->mark);
			break;
		case CTA_ID:
			read_number(attr, &c->id);
			break;
		case CTA_ZONE:
			c->zoned = mnl_attr_get_payload_len(attr) ==
				   sizeof(c->zone);
			if (c->zoned)
				c->zone = mnl_attr_get_u16(attr);
			break;
		case CTA_COUNTERS_ORIG:
		case CTA_COUNTERS_REPLY:
			read_counters(c, attr,
				      mnl_attr_get_type(attr) ==
					      CTA_COUNTERS_REPLY);
			break;
		case CTA_TIMESTAMP:
			read_pair(attr, CTA_TIMESTAMP_START, &c->start_ns,
				  &c->stop_ns);
			break;
		default:
			break;
		}
	}
}
