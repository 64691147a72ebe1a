/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A netlink batch in memory: what nf_tables is to do in one transaction
 * (Linux, net/netfilter/nfnetlink.c: everything between NFNL_MSG_BATCH_BEGIN
 * and _END is committed as a whole or not at all). Building one does no I/O.
 *
 * Errors stick: once err is set, what follows is not written, and the caller
 * looks at err when it is done.
 */
#ifndef EGRESS_FILTER_BATCH_H
#define EGRESS_FILTER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
};

enum set_kind {
	SET_PLAIN,    /* a hash of single keys */
	SET_TIMEOUT,  /* the same, each element with its own end */
	SET_RANGES,   /* intervals */
	SET_VERDICTS, /* intervals, each with a verdict */
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

/* Room for a message of at most 64 KiB with its header written; for rule.c.
 * NULL once err is set. */
struct nlmsghdr;
struct nlmsghdr *batch_message(struct batch *b, uint16_t type, uint16_t flags);
void batch_message_done(struct batch *b, struct nlmsghdr *nlh);

#endif
