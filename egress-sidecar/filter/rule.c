/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>

static uint32_t reg(uint32_t first)
{
	return NFT_REG32_00 + first;
}

void rule_begin(struct batch *b, const char *chain)
{
	if (b->err)
		return;
	b->rule = nftnl_rule_alloc();
	if (!b->rule) {
		b->err = -ENOMEM;
		return;
	}
	nftnl_rule_set_str(b->rule, NFTNL_RULE_TABLE, b->table);
	nftnl_rule_set_str(b->rule, NFTNL_RULE_CHAIN, chain);
}

void rule_end(struct batch *b)
{
	struct nlmsghdr *nlh;

	if (!b->rule)
		return;
	nlh = batch_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, b->rule);
		batch_message_done(b, nlh);
	}
	nftnl_rule_free(b->rule);
	b->rule = NULL;
}

/* The expression now belongs to the rule. NULL once err is set. */
static struct nftnl_expr *expression(struct batch *b, const char *name)
{
	struct nftnl_expr *e;

	if (b->err || !b->rule)
		return NULL;
	e = nftnl_expr_alloc(name);
	if (!e) {
		b->err = -ENOMEM;
		return NULL;
	}
	nftnl_rule_add_expr(b->rule, e);
	return e;
}

static void verdict(struct batch *b, int code, const char *chain)
{
	struct nftnl_expr *e = expression(b, "immediate");

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
		if (chain &&
		    nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain) < 0)
			b->err = -ENOMEM;
	}
	rule_end(b);
}

void rule_accept(struct batch *b)
{
	verdict(b, NF_ACCEPT, NULL);
}

void rule_drop(struct batch *b)
{
	verdict(b, NF_DROP, NULL);
}

void rule_goto(struct batch *b, const char *chain)
{
	verdict(b, NFT_GOTO, chain);
}

void rule_jump(struct batch *b, const char *chain)
{
	verdict(b, NFT_JUMP, chain);
}

void rule_return(struct batch *b)
{
	verdict(b, NFT_RETURN, NULL);
}

void rule_load_meta(struct batch *b, uint32_t key, uint32_t first)
{
	struct nftnl_expr *e = expression(b, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg(first));
}

void rule_load_ct(struct batch *b, uint32_t key, int direction, uint32_t first)
{
	struct nftnl_expr *e = expression(b, "ct");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg(first));
	if (direction >= 0)
		nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, (uint8_t)direction);
}

void rule_load_has_header6(struct batch *b, uint8_t header, uint32_t first)
{
	struct nftnl_expr *e = expression(b, "exthdr");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_DREG, reg(first));
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, header);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 0);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
}

void rule_load_payload(struct batch *b, uint32_t base, uint32_t offset,
		       uint32_t len, uint32_t first)
{
	struct nftnl_expr *e = expression(b, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg(first));
}

void rule_load_fib(struct batch *b, uint32_t flags, uint32_t result,
		   uint32_t first)
{
	struct nftnl_expr *e = expression(b, "fib");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, flags);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, result);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, reg(first));
}

void rule_compare(struct batch *b, uint32_t first, uint32_t op,
		  const void *data, uint32_t len)
{
	struct nftnl_expr *e = expression(b, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, reg(first));
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

void rule_mask(struct batch *b, uint32_t first, const void *mask, uint32_t len)
{
	struct nftnl_expr *e = expression(b, "bitwise");
	static const uint8_t zero[16];

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg(first));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg(first));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, len);
}

void rule_range(struct batch *b, uint32_t first, const void *from,
		const void *to, uint32_t len)
{
	struct nftnl_expr *e = expression(b, "range");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_RANGE_SREG, reg(first));
	nftnl_expr_set_u32(e, NFTNL_EXPR_RANGE_OP, NFT_RANGE_EQ);
	nftnl_expr_set(e, NFTNL_EXPR_RANGE_FROM_DATA, from, len);
	nftnl_expr_set(e, NFTNL_EXPR_RANGE_TO_DATA, to, len);
}

static struct nftnl_expr *lookup(struct batch *b, const char *set,
				 uint32_t first)
{
	struct nftnl_expr *e = expression(b, "lookup");

	if (!e)
		return NULL;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, reg(first));
	if (nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set) < 0)
		b->err = -ENOMEM;
	return e;
}

void rule_lookup(struct batch *b, const char *set, uint32_t first)
{
	lookup(b, set, first);
}

void rule_lookup_verdict(struct batch *b, const char *map, uint32_t first)
{
	struct nftnl_expr *e = lookup(b, map, first);

	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	rule_end(b);
}

void rule_meta_is(struct batch *b, uint32_t key, uint32_t value)
{
	rule_load_meta(b, key, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &value, sizeof(value));
}

void rule_meta_is_not(struct batch *b, uint32_t key, uint32_t value)
{
	rule_load_meta(b, key, 0);
	rule_compare(b, 0, NFT_CMP_NEQ, &value, sizeof(value));
}

void rule_load_socket_mark(struct batch *b, uint32_t first)
{
	struct nftnl_expr *e = expression(b, "socket");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_DREG, reg(first));
}

void rule_nfproto(struct batch *b, uint8_t family)
{
	rule_load_meta(b, NFT_META_NFPROTO, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &family, sizeof(family));
}

void rule_l4proto(struct batch *b, uint8_t protocol)
{
	rule_load_meta(b, NFT_META_L4PROTO, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

void rule_ct_mark(struct batch *b, uint32_t mark)
{
	rule_load_ct(b, NFT_CT_MARK, -1, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &mark, sizeof(mark));
}

void rule_ct_direction(struct batch *b, uint8_t direction)
{
	rule_load_ct(b, NFT_CT_DIRECTION, -1, 0);
	rule_compare(b, 0, NFT_CMP_EQ, &direction, sizeof(direction));
}

/* op: NFT_CMP_NEQ for any of the bits, NFT_CMP_EQ for none. */
static void ct_bits(struct batch *b, uint32_t key, uint32_t op, uint32_t bits)
{
	static const uint32_t none;

	rule_load_ct(b, key, -1, 0);
	rule_mask(b, 0, &bits, sizeof(bits));
	rule_compare(b, 0, op, &none, sizeof(none));
}

void rule_ct_state(struct batch *b, uint32_t bits)
{
	ct_bits(b, NFT_CT_STATE, NFT_CMP_NEQ, bits);
}

void rule_ct_status(struct batch *b, uint32_t bits)
{
	ct_bits(b, NFT_CT_STATUS, NFT_CMP_NEQ, bits);
}

void rule_ct_status_not(struct batch *b, uint32_t bits)
{
	ct_bits(b, NFT_CT_STATUS, NFT_CMP_EQ, bits);
}

static void port_is(struct batch *b, uint32_t offset, uint16_t port)
{
	uint16_t wire = htons(port);

	rule_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(wire),
			  0);
	rule_compare(b, 0, NFT_CMP_EQ, &wire, sizeof(wire));
}

void rule_destination_port(struct batch *b, uint16_t port)
{
	port_is(b, 2, port);
}

void rule_source_port(struct batch *b, uint16_t port)
{
	port_is(b, 0, port);
}

void rule_load_data(struct batch *b, uint32_t first, const void *data,
		    uint32_t len)
{
	struct nftnl_expr *e = expression(b, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, reg(first));
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, data, len);
}

void rule_set_ct_mark(struct batch *b, uint32_t mark)
{
	struct nftnl_expr *e;

	rule_load_data(b, 0, &mark, sizeof(mark));
	e = expression(b, "ct");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, reg(0));
}

void rule_set_ct_zone(struct batch *b, uint16_t zone, uint8_t direction)
{
	struct nftnl_expr *e;

	rule_load_data(b, 0, &zone, sizeof(zone));
	e = expression(b, "ct");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_ZONE);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, reg(0));
		nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, direction);
	}
	rule_end(b);
}

void rule_set_meta_mark(struct batch *b, uint32_t mark)
{
	struct nftnl_expr *e;

	rule_load_data(b, 0, &mark, sizeof(mark));
	e = expression(b, "meta");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, reg(0));
}

void rule_notrack(struct batch *b)
{
	expression(b, "notrack");
	rule_end(b);
}

void rule_redirect(struct batch *b, uint16_t port)
{
	uint16_t wire = htons(port);
	struct nftnl_expr *e;

	rule_load_data(b, 0, &wire, sizeof(wire));
	e = expression(b, "redir");
	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MIN, reg(0));
	rule_end(b);
}

void rule_dnat_loopback4(struct batch *b, uint16_t port)
{
	const uint32_t self = htonl(INADDR_LOOPBACK);
	uint16_t wire = htons(port);
	struct nftnl_expr *e;

	rule_load_data(b, 0, &self, sizeof(self));
	rule_load_data(b, 1, &wire, sizeof(wire));
	e = expression(b, "nat");
	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
		nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
		nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MIN, reg(0));
		nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_PROTO_MIN, reg(1));
	}
	rule_end(b);
}

static void object(struct batch *b, uint32_t type, const char *name)
{
	struct nftnl_expr *e = expression(b, "objref");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, type);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, name) < 0)
		b->err = -ENOMEM;
}

void rule_count(struct batch *b, const char *counter)
{
	object(b, NFT_OBJECT_COUNTER, counter);
}

void rule_over_quota(struct batch *b, const char *quota)
{
	object(b, NFT_OBJECT_QUOTA, quota);
}

static void rate(struct batch *b, uint64_t per_second, uint32_t burst,
		 uint32_t type, uint32_t flags)
{
	struct nftnl_expr *e = expression(b, "limit");

	if (!e)
		return;
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, per_second);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, type);
	if (flags)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, flags);
}

void rule_limit(struct batch *b, uint32_t per_second, uint32_t burst)
{
	rate(b, per_second, burst, NFT_LIMIT_PKTS, 0);
}

void rule_over_rate(struct batch *b, uint64_t per_second, uint32_t burst,
		    bool bytes)
{
	rate(b, per_second, burst, bytes ? NFT_LIMIT_PKT_BYTES : NFT_LIMIT_PKTS,
	     NFT_LIMIT_F_INV);
}

static struct nftnl_expr *add_element(struct batch *b, const char *set,
				      uint32_t first)
{
	struct nftnl_expr *e = expression(b, "dynset");

	if (!e)
		return NULL;
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, reg(first));
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, set) < 0)
		b->err = -ENOMEM;
	return e;
}

void rule_add_element(struct batch *b, const char *set, uint32_t first,
		      uint32_t timeout_s)
{
	struct nftnl_expr *e = add_element(b, set, first);

	if (e)
		nftnl_expr_set_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT,
				   (uint64_t)timeout_s * 1000);
}

void rule_over_connections(struct batch *b, const char *set, uint32_t most)
{
	static const uint32_t key = 1;
	struct nftnl_expr *e, *count;

	rule_load_data(b, 0, &key, sizeof(key));
	e = add_element(b, set, 0);
	if (!e)
		return;
	count = nftnl_expr_alloc("connlimit");
	if (!count) {
		b->err = -ENOMEM;
		return;
	}
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_COUNT, most);
	nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_FLAGS,
			   NFT_CONNLIMIT_F_INV);
	nftnl_expr_set(e, NFTNL_EXPR_DYNSET_EXPR, count, 0);
}

void rule_log(struct batch *b, uint16_t group, const char *prefix,
	      uint32_t snaplen)
{
	struct nftnl_expr *e = expression(b, "log");

	if (!e)
		return;
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, group);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOG_SNAPLEN, snaplen);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, prefix) < 0)
		b->err = -ENOMEM;
}

void rule_reject_tcp_reset(struct batch *b)
{
	struct nftnl_expr *e = expression(b, "reject");

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE,
				   NFT_REJECT_TCP_RST);
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, 0);
	}
	rule_end(b);
}

void rule_reject_admin(struct batch *b)
{
	struct nftnl_expr *e = expression(b, "reject");

	if (e) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE,
				   NFT_REJECT_ICMPX_UNREACH);
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE,
				  NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	}
	rule_end(b);
}
