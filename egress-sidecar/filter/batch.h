/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written for the kernel: a batch of messages, the expressions of its
 * rules, the elements of its sets. Building one does no I/O.
 */
#ifndef EGRESS_FILTER_BATCH_H
#define EGRESS_FILTER_BATCH_H

#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * batch.c: what nf_tables is to do in one transaction (Linux,
 * net/netfilter/nfnetlink.c: everything between NFNL_MSG_BATCH_BEGIN and _END
 * is committed as a whole or not at all).
 *
 * Errors stick: once err is set, what follows is not written, and the caller
 * looks at err when it is done.
 */

struct nftnl_rule;

struct batch {
	char *data;
	size_t len, size;
	uint32_t seq;    /* of the next message */
	uint32_t first;  /* sequence number of the batch's begin */
	size_t last;     /* offset of the last message, which is acknowledged */
	uint32_t set_id; /* of the last set that was added */
	uint8_t family;  /* NFPROTO_* of the table that is written to */
	const char *table;
	struct nftnl_rule *rule; /* under way */
	int err;                 /* 0 or -errno */
};

/* What a set's keys, and a map's values, are. */
enum set_key {
	KEY_IPV4,
	KEY_IPV6,
	KEY_IPV4_PORT, /* address . port */
	KEY_IPV6_PORT,
	KEY_IPV4_NUMBER, /* address . number, host order */
	KEY_IPV6_NUMBER,
	KEY_NUMBER,
};

enum set_kind {
	SET_PLAIN,           /* a hash of single keys */
	SET_TIMEOUT,         /* the same, each element with its own end */
	SET_RANGES,          /* intervals */
	SET_VERDICTS,        /* intervals, each with a verdict */
	SET_DYNAMIC,         /* keys that rules add */
	SET_DYNAMIC_TIMEOUT, /* the same, each with an end */
};

enum {
	SET_KEY_MAX = 24,     /* bytes of the longest key */
	SET_COMMENT_MAX = 128 /* bytes of a comment, its NUL included */
};

/* A verdict: NF_ACCEPT, NF_DROP, NFT_JUMP, NFT_GOTO, NFT_RETURN. */
struct verdict {
	int code;
	const char *chain; /* of NFT_JUMP and NFT_GOTO */
};

/* Key bytes as nf_tables has them: network order, each part padded to four
 * bytes. */
struct set_element {
	uint8_t key[SET_KEY_MAX];
	uint32_t timeout_s; /* SET_TIMEOUT */
	uint32_t comment;   /* where in the text it begins, less one; 0: none */
	bool end;           /* SET_RANGES, SET_VERDICTS: first key
			       after an interval */
	const struct verdict *verdict; /* SET_VERDICTS, not at an end */
};

size_t set_key_size(enum set_key key);

/* seq is the first sequence number to use. The batch's memory is kept from one
 * use to the next; batch_free() returns it. */
void batch_begin(struct batch *b, uint32_t seq);
/* commit false leaves the end away, so that the kernel checks everything and
 * changes nothing. */
void batch_end(struct batch *b, bool commit);
void batch_free(struct batch *b);

/* What follows is about this table. */
void batch_table(struct batch *b, uint8_t family, const char *table);
void batch_add_table(struct batch *b);
void batch_delete_table(struct batch *b);

/* hook -1: a chain to jump to. devices is a list that ends with NULL, or
 * NULL. */
void batch_add_chain(struct batch *b, const char *name, const char *type,
		     int hook, int priority, bool drop, const char **devices);
void batch_delete_chain(struct batch *b, const char *name);
void batch_delete_rules(struct batch *b); /* of every chain */

/* size 0: no limit. */
void batch_add_set(struct batch *b, const char *name, enum set_key key,
		   enum set_kind kind, uint32_t size);
void batch_empty_set(struct batch *b, const char *name);
void batch_delete_set(struct batch *b, const char *name);
/* As many messages as it takes. text holds the elements' comments, NULL: they
 * have none. */
void batch_add_elements(struct batch *b, const char *set, enum set_key key,
			const struct set_element *e, size_t n,
			const char *text);
void batch_delete_elements(struct batch *b, const char *set, enum set_key key,
			   const struct set_element *e, size_t n);

void batch_add_counter(struct batch *b, const char *name);
void batch_delete_counter(struct batch *b, const char *name);
/* One that rules match when more than these bytes went by, of which consumed
 * (at most as many) have. */
void batch_add_quota(struct batch *b, const char *name, uint64_t bytes,
		     uint64_t consumed);
void batch_delete_quota(struct batch *b, const char *name);

/* Room for a message of at most 64 KiB with its header written; for rule.c.
 * NULL once err is set. */
struct nlmsghdr;
struct nlmsghdr *batch_message(struct batch *b, uint16_t type, uint16_t flags);
void batch_message_done(struct batch *b, struct nlmsghdr *nlh);

/*
 * elements.c: growing arrays of set elements, and how addresses, ports and
 * ranges become keys. Pure.
 */

struct elements {
	struct set_element *e; /* owned */
	size_t n, size;
	char *text; /* of comments, owned */
	size_t text_len, text_size;
};

void elements_free(struct elements *list);

/* No elements; the memory is kept. */
void elements_clear(struct elements *list);

/* A zeroed element at the end; NULL when out of memory. */
struct set_element *elements_add(struct elements *list);

/* Give an element of the list a comment of less than SET_COMMENT_MAX bytes; one
 * that is longer is left out. 0 or -ENOMEM. */
int elements_comment(struct elements *list, struct set_element *e,
		     const char *comment);

/* a; a . port, in host order; a . number. */
void element_address(struct set_element *e, const struct address *a);
void element_address_port(struct set_element *e, const struct address *a,
			  uint16_t port);
void element_address_number(struct set_element *e, const struct address *a,
			    uint32_t number);

/* Sort by key; of those with equal keys the longest timeout stays. */
void elements_unique(struct elements *list);

/* The interval r, with a verdict or without. 0 or -ENOMEM. */
int elements_add_range(struct elements *list, const struct address_range *r,
		       const struct verdict *verdict);

/* Sort n ranges and merge those that overlap or touch; returns how many are
 * left. */
size_t ranges_merge(struct address_range *r, size_t n);

/*
 * held.c: what the kernel holds in a set of leased addresses, as far as we
 * wrote it: a change of policy then writes what differs alone. One that the
 * kernel has let go at its end may still be here, never the other way round.
 *
 * Times are milliseconds of CLOCK_MONOTONIC: like the kernel's timer of an
 * element (jiffies) it stands still while the machine sleeps.
 */

struct held_element;

struct held {
	struct held_element *at; /* owned; a hash, size a power of two or 0 */
	size_t size, used, live;
	uint64_t key; /* of the hash: addresses come from outside */
};

uint64_t held_now_ms(void);

/* Make room for so many held_put(). 0 or -ENOMEM. */
int held_reserve(struct held *h, size_t more, uint64_t now_ms);
/* The set has e, of a list with this text, from now_ms on. There is room. */
void held_put(struct held *h, const struct set_element *e, const char *text,
	      uint64_t now_ms);
/* Does the set have e, with an end that is no earlier than e's? */
bool held_outlasts(const struct held *h, const struct set_element *e,
		   uint64_t now_ms);
/* The set has it no more. */
void held_drop(struct held *h, const struct set_element *e);
/* Nothing is held. */
void held_free(struct held *h);

/* How a set comes to hold the elements of to, which is borrowed. The parts'
 * comments are in its text. */
struct set_change {
	const struct elements *to;
	bool anew; /* take the set away and write all of to */
	/* Otherwise: new ones, and those that are taken out, of which the first
	 * n_again come in again with another end or comment. */
	struct elements added, taken;
	size_t n_again;
};

/*
 * Find what is to change, and what is held after it (next, to be freed). anew
 * is set where it is asked for (from may then be anything), and where it is
 * less work. 0 or -ENOMEM, and then change and next are empty.
 */
int held_change(const struct held *from, const struct elements *to, bool anew,
		uint64_t now_ms, struct set_change *change, struct held *next);
void set_change_free(struct set_change *change);

/* Write it. The set is there, and empty if change is anew. */
void set_change_write(struct batch *b, const char *set, enum set_key key,
		      const struct set_change *change);

/* Take the elements out, and the first n_again of them in again: re-adding one
 * leaves its old end; added, deleted and added it gets the new one, whether it
 * was there or not. */
void elements_replace(struct batch *b, const char *set, enum set_key key,
		      const struct elements *list, size_t n_again,
		      const char *text);

/*
 * rule.c: rules, written one expression after the other into a batch. A packet
 * walks through a rule's expressions until one does not match.
 */

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
/* On its way in: SO_MARK of the socket here that the packet is for. A rule does
 * not match where there is none. */
void rule_load_socket_mark(struct batch *b, uint32_t first);
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

/* More than the quota has gone by, this packet among it. */
void rule_over_quota(struct batch *b, const char *quota);
/* More packets, or bytes of them, a second, and a burst besides. */
void rule_over_rate(struct batch *b, uint64_t per_second, uint32_t burst,
		    bool bytes);
/* More connections that came by here are open than so many. They are counted in
 * the set (KEY_NUMBER, SET_DYNAMIC), which also keeps the first number. */
void rule_over_connections(struct batch *b, const char *set, uint32_t most);
/* What the register first holds becomes an element of the set (SET_DYNAMIC_
 * TIMEOUT), unless it is one, for so many seconds. No match: there is no room.
 */
void rule_add_element(struct batch *b, const char *set, uint32_t first,
		      uint32_t timeout_s);

/* Deeds. */
void rule_set_ct_mark(struct batch *b, uint32_t mark);
/* Before conntrack: of a connection that begins here, the direction's tuple
 * alone is of that zone. */
void rule_set_ct_zone(struct batch *b, uint16_t zone, uint8_t direction);
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
