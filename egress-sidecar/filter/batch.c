/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

/* nf_tables' attribute lengths are 16 bits wide; a list of elements stays well
 * below. */
enum {
	FRAME_ROOM = 64,
	MESSAGE_ROOM = 65536,
	ROOM_FIRST = 2 * MESSAGE_ROOM,
	ELEMENTS_ROOM = 48 * 1024
};

/* Numbers of nft(8)'s data types, so that it can list our sets. */
enum {
	TYPE_IPV4 = 7,
	TYPE_IPV6 = 8,
	TYPE_SERVICE = 13,
	TYPE_MARK = 19,
	TYPE_BITS = 6
};

static const struct {
	uint32_t len;
	uint32_t type;
} set_keys[] = {
	[KEY_IPV4] = {4, TYPE_IPV4},
	[KEY_IPV6] = {16, TYPE_IPV6},
	[KEY_IPV4_PORT] = {8, TYPE_IPV4 << TYPE_BITS | TYPE_SERVICE},
	[KEY_IPV6_PORT] = {20, TYPE_IPV6 << TYPE_BITS | TYPE_SERVICE},
	[KEY_IPV4_NUMBER] = {8, TYPE_IPV4 << TYPE_BITS | TYPE_MARK},
	[KEY_IPV6_NUMBER] = {20, TYPE_IPV6 << TYPE_BITS | TYPE_MARK},
	[KEY_NUMBER] = {4, TYPE_MARK},
};

size_t set_key_size(enum set_key key)
{
	return set_keys[key].len;
}

static void *room(struct batch *b, size_t len)
{
	size_t size = b->size ? b->size : ROOM_FIRST;
	char *data;

	if (b->err)
		return NULL;
	while (size - b->len < len)
		size *= 2;
	if (size != b->size) {
		data = realloc(b->data, size);
		if (!data) {
			b->err = -ENOMEM;
			return NULL;
		}
		/* what lies between attributes is sent as well */
		memset(data + b->size, 0, size - b->size);
		b->data = data;
		b->size = size;
	}
	return b->data + b->len;
}

static void put_frame(struct batch *b, uint16_t type)
{
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;
	void *at = room(b, FRAME_ROOM);

	if (!at)
		return;
	nlh = mnl_nlmsg_put_header(at);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = b->seq++;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(NFNL_SUBSYS_NFTABLES);
	b->len += nlh->nlmsg_len;
}

void batch_begin(struct batch *b, uint32_t seq)
{
	b->len = 0;
	b->err = 0;
	b->seq = seq;
	b->first = seq;
	b->last = 0;
	b->set_id = 0;
	put_frame(b, NFNL_MSG_BATCH_BEGIN);
}

void batch_end(struct batch *b, bool commit)
{
	if (b->err)
		return;
	if (b->last) {
		struct nlmsghdr *nlh = (void *)(b->data + b->last);

		nlh->nlmsg_flags |= NLM_F_ACK;
	}
	if (commit)
		put_frame(b, NFNL_MSG_BATCH_END);
}

void batch_free(struct batch *b)
{
	if (b->rule)
		nftnl_rule_free(b->rule);
	free(b->data);
	memset(b, 0, sizeof(*b));
}

struct nlmsghdr *batch_message(struct batch *b, uint16_t type, uint16_t flags)
{
	void *at = room(b, MESSAGE_ROOM);

	if (!at)
		return NULL;
	return nftnl_nlmsg_build_hdr(at, type, b->family, flags, b->seq++);
}

void batch_message_done(struct batch *b, struct nlmsghdr *nlh)
{
	b->last = b->len;
	b->len += NLMSG_ALIGN((size_t)nlh->nlmsg_len);
}

void batch_table(struct batch *b, uint8_t family, const char *table)
{
	b->family = family;
	b->table = table;
}

static void table_message(struct batch *b, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = batch_message(b, type, flags);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->table);
	batch_message_done(b, nlh);
}

void batch_add_table(struct batch *b)
{
	table_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

void batch_delete_table(struct batch *b)
{
	table_message(b, NFT_MSG_DELTABLE, 0);
}

void batch_add_chain(struct batch *b, const char *name, const char *type,
		     int hook, int priority, bool drop, const char **devices)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *nlh = NULL;

	if (!chain) {
		b->err = b->err ? b->err : -ENOMEM;
		return;
	}
	nlh = batch_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	if (!nlh)
		goto cleanup;
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, b->table);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	if (hook >= 0) {
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
		nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY,
				    drop ? NF_DROP : NF_ACCEPT);
	}
	if (devices)
		nftnl_chain_set_array(chain, NFTNL_CHAIN_DEVICES, devices);
	nftnl_chain_nlmsg_build_payload(nlh, chain);
	batch_message_done(b, nlh);
cleanup:
	nftnl_chain_free(chain);
}

void batch_delete_chain(struct batch *b, const char *name)
{
	struct nlmsghdr *nlh = batch_message(b, NFT_MSG_DELCHAIN, 0);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, b->table);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, name);
	batch_message_done(b, nlh);
}

void batch_delete_rules(struct batch *b)
{
	struct nlmsghdr *nlh = batch_message(b, NFT_MSG_DELRULE, 0);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, b->table);
	batch_message_done(b, nlh);
}

void batch_add_set(struct batch *b, const char *name, enum set_key key,
		   enum set_kind kind, uint32_t size)
{
	struct nftnl_set *set = nftnl_set_alloc();
	struct nlmsghdr *nlh = NULL;
	uint32_t flags = 0;

	if (!set) {
		b->err = b->err ? b->err : -ENOMEM;
		return;
	}
	nlh = batch_message(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	if (!nlh)
		goto cleanup;
	if (kind == SET_TIMEOUT)
		flags = NFT_SET_TIMEOUT;
	if (kind == SET_DYNAMIC)
		flags = NFT_SET_EVAL;
	if (kind == SET_DYNAMIC_TIMEOUT)
		flags = NFT_SET_EVAL | NFT_SET_TIMEOUT;
	if (kind == SET_RANGES || kind == SET_VERDICTS)
		flags = NFT_SET_INTERVAL;
	if (kind == SET_VERDICTS) {
		flags |= NFT_SET_MAP;
		nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT);
		nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, 0);
	}
	nftnl_set_set_str(set, NFTNL_SET_TABLE, b->table);
	nftnl_set_set_str(set, NFTNL_SET_NAME, name);
	nftnl_set_set_u32(set, NFTNL_SET_ID, ++b->set_id);
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS, flags);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, set_keys[key].type);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, set_keys[key].len);
	if (size)
		nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, size);
	nftnl_set_nlmsg_build_payload(nlh, set);
	batch_message_done(b, nlh);
cleanup:
	nftnl_set_free(set);
}

void batch_empty_set(struct batch *b, const char *name)
{
	struct nlmsghdr *nlh = batch_message(b, NFT_MSG_DELSETELEM, 0);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, b->table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, name);
	batch_message_done(b, nlh);
}

void batch_delete_set(struct batch *b, const char *name)
{
	struct nlmsghdr *nlh = batch_message(b, NFT_MSG_DELSET, 0);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, b->table);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, name);
	batch_message_done(b, nlh);
}

/* nft(8) lists these: user data of type, length, value (libnftnl/udata.h). */
static void put_comment(struct nlmsghdr *nlh, const char *comment)
{
	char data[2 + SET_COMMENT_MAX];
	size_t len = strnlen(comment, SET_COMMENT_MAX - 1) + 1;

	data[0] = NFTNL_UDATA_SET_ELEM_COMMENT;
	data[1] = (char)len;
	memcpy(data + 2, comment, len - 1);
	data[1 + len] = '\0';
	mnl_attr_put(nlh, NFTA_SET_ELEM_USERDATA, 2 + len, data);
}

/* Written with libmnl alone: no allocation on the way of an answer. */
static void put_element(struct nlmsghdr *nlh, enum set_key key,
			const struct set_element *e, const char *text)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	struct nlattr *nest;

	if (e->end)
		mnl_attr_put_u32(nlh, NFTA_SET_ELEM_FLAGS,
				 htonl(NFT_SET_ELEM_INTERVAL_END));
	if (e->timeout_s)
		mnl_attr_put_u64(nlh, NFTA_SET_ELEM_TIMEOUT,
				 htobe64((uint64_t)e->timeout_s * 1000));
	nest = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
	mnl_attr_put(nlh, NFTA_DATA_VALUE, set_keys[key].len, e->key);
	mnl_attr_nest_end(nlh, nest);
	if (e->verdict) {
		struct nlattr *verdict;

		nest = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_DATA);
		verdict = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);
		mnl_attr_put_u32(nlh, NFTA_VERDICT_CODE,
				 htonl((uint32_t)e->verdict->code));
		if (e->verdict->chain)
			mnl_attr_put_strz(nlh, NFTA_VERDICT_CHAIN,
					  e->verdict->chain);
		mnl_attr_nest_end(nlh, verdict);
		mnl_attr_nest_end(nlh, nest);
	}
	if (text && e->comment)
		put_comment(nlh, text + e->comment - 1);
	mnl_attr_nest_end(nlh, element);
}

static void element_messages(struct batch *b, uint16_t type, uint16_t flags,
			     const char *set, enum set_key key,
			     const struct set_element *e, size_t n,
			     const char *text)
{
	size_t i = 0;

	while (i < n) {
		struct nlmsghdr *nlh = batch_message(b, type, flags);
		struct nlattr *list;

		if (!nlh)
			return;
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, b->table);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
		list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
		while (i < n && nlh->nlmsg_len < ELEMENTS_ROOM)
			put_element(nlh, key, &e[i++], text);
		mnl_attr_nest_end(nlh, list);
		batch_message_done(b, nlh);
	}
}

void batch_add_elements(struct batch *b, const char *set, enum set_key key,
			const struct set_element *e, size_t n, const char *text)
{
	element_messages(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, key, e, n,
			 text);
}

void batch_delete_elements(struct batch *b, const char *set, enum set_key key,
			   const struct set_element *e, size_t n)
{
	element_messages(b, NFT_MSG_DELSETELEM, 0, set, key, e, n, NULL);
}

/* A message about an object of a type (NFT_OBJECT_*), to be ended. */
static struct nlmsghdr *object_message(struct batch *b, uint16_t type,
				       uint16_t flags, const char *name,
				       uint32_t object)
{
	struct nlmsghdr *nlh = batch_message(b, type, flags);

	if (!nlh)
		return NULL;
	mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, b->table);
	mnl_attr_put_strz(nlh, NFTA_OBJ_NAME, name);
	mnl_attr_put_u32(nlh, NFTA_OBJ_TYPE, htonl(object));
	return nlh;
}

static void delete_object(struct batch *b, const char *name, uint32_t object)
{
	struct nlmsghdr *nlh =
		object_message(b, NFT_MSG_DELOBJ, 0, name, object);

	if (nlh)
		batch_message_done(b, nlh);
}

void batch_add_counter(struct batch *b, const char *name)
{
	struct nlmsghdr *nlh = object_message(b, NFT_MSG_NEWOBJ, NLM_F_CREATE,
					      name, NFT_OBJECT_COUNTER);

	if (!nlh)
		return;
	mnl_attr_nest_end(nlh, mnl_attr_nest_start(nlh, NFTA_OBJ_DATA));
	batch_message_done(b, nlh);
}

void batch_delete_counter(struct batch *b, const char *name)
{
	delete_object(b, name, NFT_OBJECT_COUNTER);
}

void batch_add_quota(struct batch *b, const char *name, uint64_t bytes,
		     uint64_t consumed)
{
	struct nlmsghdr *nlh = object_message(b, NFT_MSG_NEWOBJ, NLM_F_CREATE,
					      name, NFT_OBJECT_QUOTA);
	struct nlattr *nest;

	if (!nlh)
		return;
	nest = mnl_attr_nest_start(nlh, NFTA_OBJ_DATA);
	mnl_attr_put_u64(nlh, NFTA_QUOTA_BYTES, htobe64(bytes));
	mnl_attr_put_u32(nlh, NFTA_QUOTA_FLAGS, htonl(NFT_QUOTA_F_INV));
	mnl_attr_put_u64(nlh, NFTA_QUOTA_CONSUMED, htobe64(consumed));
	mnl_attr_nest_end(nlh, nest);
	batch_message_done(b, nlh);
}

void batch_delete_quota(struct batch *b, const char *name)
{
	delete_object(b, name, NFT_OBJECT_QUOTA);
}
