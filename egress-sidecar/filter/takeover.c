/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an earlier process left in the kernel. Each leased address has the
 * name that led to it as a comment, so that it can be judged like our own: a
 * restart ends no lease and no connection.
 */
#include "inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>

enum {
	REQUEST_BYTES = 256,
	TRACKED_FIRST = 64
};

int takeover_table_exists(struct channel *c)
{
	char buf[REQUEST_BYTES] = {0};
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK, 0);
	int ret;

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, RULESET_TABLE);
	ret = channel_ask(c, nlh, NULL, NULL);
	return ret == 0 ? 1 : ret == -ENOENT ? 0 : ret;
}

int filter_exists(int netns)
{
	struct channel c;
	int ret = channel_open(&c, netns, NETLINK_NETFILTER);

	if (ret < 0)
		return ret;
	ret = takeover_table_exists(&c);
	channel_close(&c);
	return ret;
}

/* The port in "redirect to :PORT", if that is what the rule does; of several
 * rules DNS's is the last. */
static int read_redirection(void *arg, const struct nlmsghdr *nlh)
{
	struct nftnl_rule *rule;
	struct nftnl_expr_iter *each = NULL;
	struct nftnl_expr *e;
	uint16_t *port = arg, wire = 0;
	const void *data;
	const char *name;
	uint32_t len;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
		return 0;
	rule = nftnl_rule_alloc();
	if (rule && nftnl_rule_nlmsg_parse(nlh, rule) == 0)
		each = nftnl_expr_iter_create(rule);
	while (each && (e = nftnl_expr_iter_next(each))) {
		name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
		if (strcmp(name, "immediate") == 0) {
			data = nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &len);
			if (data && len >= sizeof(wire))
				memcpy(&wire, data, sizeof(wire));
		} else if (strcmp(name, "redir") == 0) {
			*port = ntohs(wire);
		}
	}
	if (each)
		nftnl_expr_iter_destroy(each);
	if (rule)
		nftnl_rule_free(rule);
	return 0;
}

int takeover_dns_port(struct channel *c, uint16_t *port)
{
	char buf[REQUEST_BYTES] = {0};
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETRULE, NFPROTO_INET, NLM_F_DUMP, 0);
	int ret;

	*port = 0;
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, RULESET_DNS);
	ret = channel_ask(c, nlh, read_redirection, port);
	return ret == -ENOENT ? 0 : ret;
}

int filter_dns_port(int netns, uint16_t *port)
{
	struct channel c;
	int ret = channel_open(&c, netns, NETLINK_NETFILTER);

	*port = 0;
	if (ret < 0)
		return ret;
	ret = takeover_dns_port(&c, port);
	channel_close(&c);
	return ret;
}

struct reading {
	struct lease_table *leases;
	enum lease_set set;
	uint64_t now_ms;
};

static int read_comment(struct domain_name *name, const struct nlattr *attr)
{
	const uint8_t *data = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);
	const char *why;

	if (len < 3 || data[0] != NFTNL_UDATA_SET_ELEM_COMMENT ||
	    data[1] != len - 2 || data[len - 1] != '\0')
		return -EINVAL;
	return domain_name_from_text(name, (const char *)data + 2, &why);
}

static const struct nlattr *value_of(const struct nlattr *key)
{
	const struct nlattr *attr;

	for (attr = attr_within(key, NULL); attr; attr = attr_within(key, attr))
		if (mnl_attr_get_type(attr) == NFTA_DATA_VALUE)
			return attr;
	return NULL;
}

/* One without a name cannot be judged, and is left behind. */
static int read_element(struct reading *r, const struct nlattr *element)
{
	size_t size = r->set == LEASES6 || r->set == LEASES6_PORTS ? 16 : 4;
	const struct nlattr *attr, *value = NULL;
	uint64_t left_ms = 0;
	struct domain_name name;
	bool named = false;
	struct address a;
	int ret;

	for (attr = attr_within(element, NULL); attr;
	     attr = attr_within(element, attr)) {
		switch (mnl_attr_get_type(attr)) {
		case NFTA_SET_ELEM_KEY:
			value = value_of(attr);
			break;
		case NFTA_SET_ELEM_EXPIRATION:
			if (mnl_attr_get_payload_len(attr) == sizeof(left_ms))
				left_ms = be64toh(mnl_attr_get_u64(attr));
			break;
		case NFTA_SET_ELEM_USERDATA:
			named = read_comment(&name, attr) == 0;
			break;
		}
	}
	if (!named || !value || mnl_attr_get_payload_len(value) < size ||
	    address_from_bytes(&a, mnl_attr_get_payload(value), size) < 0)
		return 0;
	ret = lease_restore(r->leases, &name, &a, r->now_ms + left_ms,
			    r->now_ms);
	return ret == -ENOSPC ? 0 : ret;
}

static int read_list(struct reading *r, const struct nlattr *list)
{
	const struct nlattr *element;
	int ret = 0;

	for (element = attr_within(list, NULL); element && ret == 0;
	     element = attr_within(list, element))
		ret = read_element(r, element);
	return ret;
}

static int read_elements(void *arg, const struct nlmsghdr *nlh)
{
	struct reading *r = arg;
	const struct nlattr *attr;
	int ret = 0;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
		return 0;
	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_ELEMENTS)
			ret = read_list(r, attr);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_set(struct channel *c, const char *name, struct reading *r)
{
	char buf[REQUEST_BYTES] = {0};
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, 0);
	int ret;

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, name);
	ret = channel_ask(c, nlh, read_elements, r);
	return ret == -ENOENT ? 0 : ret;
}

int takeover_read(struct channel *c, struct lease_table *leases,
		  uint64_t now_ms)
{
	int ret = 0;

	/* What was gated follows from the leases and the policy. */
	for (size_t i = 0; i < GATED4 && ret == 0; i++) {
		struct reading r = {leases, (enum lease_set)i, now_ms};

		ret = read_set(c, lease_set_forms[i].name, &r);
		if (ret == 0)
			ret = read_set(c, lease_set_forms[i].grace_name, &r);
	}
	return ret;
}

/* Those whose mark has these bits, of those in the mask. */
static void forget(struct channel *c, uint32_t mark, uint32_t mask)
{
	struct connection_room room;
	struct nlmsghdr *nlh = connection_message(&room, IPCTNL_MSG_CT_DELETE,
						  NLM_F_ACK, AF_UNSPEC);

	if (mask) {
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(mark));
		mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(mask));
	}
	channel_ask(c, nlh, NULL, NULL);
}

void takeover_forget_connections(struct channel *c)
{
	forget(c, 0, 0);
}

void takeover_forget_generations(struct channel *c)
{
	forget(c, 0, RULESET_MARK_INBOUND);
}

void takeover_forget_redirected(struct channel *c)
{
	forget(c, RULESET_MARK_REDIRECTED, UINT32_MAX);
	forget(c, RULESET_MARK_GUESTS, UINT32_MAX);
}

/* A connection of port 53, as conntrack names it. */
struct tracked {
	char tuple[FILTER_TUPLE_MAX]; /* CTA_TUPLE_ORIG */
	size_t len;
	uint16_t zone; /* network order */
	bool zoned;
	uint8_t family;
};

struct tracked_list {
	struct tracked *at; /* owned */
	size_t n, size;
};

static const struct nlattr *attr_in(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	for (attr = attr_within(nest, NULL); attr;
	     attr = attr_within(nest, attr))
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

static bool is_question(const struct nlattr *tuple)
{
	const struct nlattr *proto = attr_in(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *number, *port;

	if (!proto)
		return false;
	number = attr_in(proto, CTA_PROTO_NUM);
	port = attr_in(proto, CTA_PROTO_DST_PORT);
	return number && port && mnl_attr_get_payload_len(port) == 2 &&
	       mnl_attr_get_payload_len(number) == 1 &&
	       (mnl_attr_get_u8(number) == IPPROTO_UDP ||
		mnl_attr_get_u8(number) == IPPROTO_TCP) &&
	       ntohs(mnl_attr_get_u16(port)) == PORT_DNS;
}

static struct tracked *tracked_add(struct tracked_list *list)
{
	size_t size = list->size ? list->size * 2 : TRACKED_FIRST;
	struct tracked *wider;

	if (list->n == list->size) {
		wider = reallocarray(list->at, size, sizeof(*wider));
		if (!wider)
			return NULL;
		list->at = wider;
		list->size = size;
	}
	memset(&list->at[list->n], 0, sizeof(*list->at));
	return &list->at[list->n++];
}

static int read_tracked(void *arg, const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr, *tuple = NULL, *zone = NULL;
	uint32_t mark = 0;
	struct tracked *t;

	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		uint16_t type = mnl_attr_get_type(attr);
		uint16_t len = mnl_attr_get_payload_len(attr);

		if (type == CTA_TUPLE_ORIG && len <= FILTER_TUPLE_MAX)
			tuple = attr;
		else if (type == CTA_ZONE && len == sizeof(t->zone))
			zone = attr;
		else if (type == CTA_MARK && len == sizeof(mark))
			mark = ntohl(mnl_attr_get_u32(attr));
	}
	if (!tuple || !is_question(tuple) || mark == RULESET_MARK_REDIRECTED)
		return 0;
	t = tracked_add(arg);
	if (!t)
		return -ENOMEM;
	t->family = nfg->nfgen_family;
	t->len = mnl_attr_get_payload_len(tuple);
	memcpy(t->tuple, mnl_attr_get_payload(tuple), t->len);
	t->zoned = zone != NULL;
	if (zone)
		t->zone = mnl_attr_get_u16(zone);
	return 0;
}

/* The kernel deletes by mark or by name, not by port. */
void takeover_forget_questions(struct channel *c)
{
	struct connection_room room;
	struct tracked_list list = {0};

	channel_ask(c,
		    connection_message(&room, IPCTNL_MSG_CT_GET, NLM_F_DUMP,
				       AF_UNSPEC),
		    read_tracked, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct tracked *t = &list.at[i];
		struct nlmsghdr *nlh = connection_message(
			&room, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, t->family);

		mnl_attr_put(nlh, CTA_TUPLE_ORIG | NLA_F_NESTED, t->len,
			     t->tuple);
		if (t->zoned)
			mnl_attr_put_u16(nlh, CTA_ZONE, t->zone);
		channel_ask(c, nlh, NULL, NULL);
	}
	free(list.at);
}
