/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules, written one expression after the other into a batch. A packet walks
 * through a rule's expressions until one does not match.
 */
#ifndef EGRESS_FILTER_RULE_H
#define EGRESS_FILTER_RULE_H

#include "batch.h"

void rule_begin(struct batch *b, const char *chain);
void rule_end(struct batch *b);
/* The usual end: a verdict. */
void rule_accept(struct batch *b);
void rule_drop(struct batch *b);
void rule_goto(struct batch *b, const char *chain);
void rule_jump(struct batch *b, const char *chain);
void rule_return(struct batch *b);

/* Loads, into 32-bit registers from first on. What cannot be loaded (no
 * connection, another family, a packet too short) does not match. */
void rule_load_meta(struct batch *b, uint32_t key, uint32_t first);
/* direction -1, IP_CT_DIR_ORIGINAL or IP_CT_DIR_REPLY */
void rule_load_ct(struct batch *b, uint32_t key, int direction, uint32_t first);
/* base: NFT_PAYLOAD_*; offset and len in bytes */
void rule_load_payload(struct batch *b, uint32_t base, uint32_t offset,
		       uint32_t len, uint32_t first);
/* bytes as they are */
void rule_load_data(struct batch *b, uint32_t first, const void *data,
		    uint32_t len);
/* Whether (1 byte, 0 or 1) an IPv6 packet has the extension header. */
void rule_load_has_header6(struct batch *b, uint8_t header, uint32_t first);
/* flags: NFTA_FIB_F_*; result: NFT_FIB_RESULT_* */
void rule_load_fib(struct batch *b, uint32_t flags, uint32_t result,
		   uint32_t first);

/* Compare the register first (NFT_CMP_*), or part of its bits. */
void rule_compare(struct batch *b, uint32_t first, uint32_t op,
		  const void *data, uint32_t len);
void rule_mask(struct batch *b, uint32_t first, const void *mask, uint32_t len);
/* from to to, in network order, both included */
void rule_range(struct batch *b, uint32_t first, const void *from,
		const void *to, uint32_t len);

/* Is what the registers from first on hold an element of the set? */
void rule_lookup(struct batch *b, const char *set, uint32_t first);
/* Go where the verdict map says, on if it says nothing. */
void rule_lookup_verdict(struct batch *b, const char *map, uint32_t first);

/* Both of the above in one, for register 0. */
void rule_meta_is(struct batch *b, uint32_t key, uint32_t value);
void rule_meta_is_not(struct batch *b, uint32_t key, uint32_t value);
void rule_nfproto(struct batch *b, uint8_t family);
void rule_l4proto(struct batch *b, uint8_t protocol);
void rule_ct_mark(struct batch *b, uint32_t mark);
void rule_ct_direction(struct batch *b, uint8_t direction);
/* any of the bits NF_CT_STATE_* as nf_tables has them */
void rule_ct_state(struct batch *b, uint32_t bits);
void rule_ct_status(struct batch *b, uint32_t bits);
void rule_ct_status_not(struct batch *b, uint32_t bits);
/* in the transport header of TCP or UDP, host order */
void rule_destination_port(struct batch *b, uint16_t port);
void rule_source_port(struct batch *b, uint16_t port);

/* Deeds. */
void rule_set_ct_mark(struct batch *b, uint32_t mark);
void rule_set_meta_mark(struct batch *b, uint32_t mark);
void rule_notrack(struct batch *b);
void rule_redirect(struct batch *b, uint16_t port);
/* Send it to port of 127.0.0.1. */
void rule_dnat_loopback4(struct batch *b, uint16_t port);
void rule_count(struct batch *b, const char *counter);
void rule_limit(struct batch *b, uint32_t per_second, uint32_t burst);
void rule_log(struct batch *b, uint16_t group, const char *prefix,
	      uint32_t snaplen);
void rule_reject_tcp_reset(struct batch *b);
void rule_reject_admin(struct batch *b);

#endif
