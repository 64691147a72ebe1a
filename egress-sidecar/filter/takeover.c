/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an earlier process left in the kernel. Its learned addresses have no
 * names any more, so that nothing new may be opened to them, but what is open
 * may stay: a restart ends no connection.
 */
#include "inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

enum {
	REQUEST_BYTES = 256
};

int takeover_table_exists(struct channel *c)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK, 0);
	int ret;

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, RULESET_TABLE);
	ret = channel_ask(c, nlh, NULL, NULL);
	return ret == 0 ? 1 : ret == -ENOENT ? 0 : ret;
}

struct reading {
	const struct policy *policy;
	struct elements *list;
	enum learned_set set;
};

/* The policy's own word on the address, where it says one, counts. */
static bool is_denied(const struct policy *policy, const uint8_t *key,
		      enum learned_set set)
{
	bool v6 = set == LEARNED6 || set == LEARNED6_PORTS;
	struct decision decision;
	struct address a;

	address_from_bytes(&a, key, v6 ? 16 : 4);
	policy_match_address(policy, &a, 0, 0, &decision);
	return decision.rule && decision.action == POLICY_DENY;
}

static int read_key(struct reading *r, const struct nlattr *key)
{
	size_t size = set_key_size(learned_sets[r->set].key);
	struct set_element *e;
	const struct nlattr *attr;

	for (attr = attr_within(key, NULL); attr;
	     attr = attr_within(key, attr)) {
		if (mnl_attr_get_type(attr) != NFTA_DATA_VALUE ||
		    mnl_attr_get_payload_len(attr) < size ||
		    is_denied(r->policy, mnl_attr_get_payload(attr), r->set))
			continue;
		e = elements_add(r->list);
		if (!e)
			return -ENOMEM;
		memcpy(e->key, mnl_attr_get_payload(attr), size);
	}
	return 0;
}

static int read_list(struct reading *r, const struct nlattr *list)
{
	const struct nlattr *element, *attr;
	int ret = 0;

	for (element = attr_within(list, NULL); element;
	     element = attr_within(list, element)) {
		for (attr = attr_within(element, NULL); attr;
		     attr = attr_within(element, attr)) {
			if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_KEY)
				ret = read_key(r, attr);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
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
	char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, 0);
	int ret;

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, name);
	ret = channel_ask(c, nlh, read_elements, r);
	return ret == -ENOENT ? 0 : ret;
}

int takeover_read(struct channel *c, const struct policy *policy,
		  struct elements grace[LEARNED_SETS])
{
	for (size_t i = 0; i < LEARNED_SETS; i++) {
		struct reading r = {policy, &grace[i], (enum learned_set)i};
		int ret;

		if (i >= LEARNED4_PORTS && !policy_has_name_ports(policy))
			break;
		ret = read_set(c, learned_sets[i].name, &r);
		if (ret == 0)
			ret = read_set(c, learned_sets[i].grace_name, &r);
		if (ret < 0)
			return ret;
	}
	learned_unique(grace);
	return 0;
}

void takeover_forget_connections(struct channel *c)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	channel_ask(c, nlh, NULL, NULL);
}
