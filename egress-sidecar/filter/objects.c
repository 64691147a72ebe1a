/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

enum {
	NUMBERS = NFTA_QUOTA_CONSUMED + 1 /* the highest attribute, and one */
};

/* The 64-bit numbers in an object's data, by their attributes. */
static int read_numbers(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr, *data = NULL;
	uint64_t *number = arg, wire;

	for (attr = attr_of_message(nlh, NULL); attr;
	     attr = attr_of_message(nlh, attr)) {
		if (mnl_attr_get_type(attr) == NFTA_OBJ_DATA)
			data = attr;
	}
	if (!data)
		return -EBADMSG;
	for (attr = attr_within(data, NULL); attr;
	     attr = attr_within(data, attr)) {
		if (mnl_attr_get_type(attr) < NUMBERS &&
		    mnl_attr_get_payload_len(attr) == sizeof(wire)) {
			memcpy(&wire, mnl_attr_get_payload(attr), sizeof(wire));
			number[mnl_attr_get_type(attr)] = be64toh(wire);
		}
	}
	return 0;
}

static int ask(struct channel *c, const char *name, uint32_t object,
	       uint64_t number[NUMBERS])
{
	char buf[256] = {0}; /* the padding of strings is sent, too */
	struct nlmsghdr *nlh =
		nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETOBJ, NFPROTO_INET, 0, 0);

	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(nlh, NFTA_OBJ_NAME, name);
	mnl_attr_put_u32(nlh, NFTA_OBJ_TYPE, htobe32(object));
	return channel_ask(c, nlh, read_numbers, number);
}

int counter_read(struct channel *c, const char *name, uint64_t *packets)
{
	uint64_t number[NUMBERS] = {0};
	int ret = ask(c, name, NFT_OBJECT_COUNTER, number);

	if (ret == 0)
		*packets = number[NFTA_COUNTER_PACKETS];
	return ret;
}

int quota_read(struct channel *c, uint64_t *bytes, uint64_t *consumed)
{
	uint64_t number[NUMBERS] = {0};
	int ret = ask(c, RULESET_QUOTA, NFT_OBJECT_QUOTA, number);

	if (ret < 0)
		return ret;
	*bytes = number[NFTA_QUOTA_BYTES];
	*consumed = number[NFTA_QUOTA_CONSUMED];
	return 0;
}
