/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upstream resolvers: a list with health, asked over UDP from random
 * source ports with random ids (RFC 5452), over TCP when an answer was
 * truncated (RFC 7766), the next one when one fails. One set serves every
 * sandbox of the process.
 */
#ifndef EGRESS_DNS_RESOLVERS_H
#define EGRESS_DNS_RESOLVERS_H

#include "policy/address.h"
#include "policy/name.h"

#include <uv.h>

enum {
	RESOLVERS_MAX = 16
};

struct resolver_address {
	struct address a;
	uint16_t port;     /* host order */
	uint32_t scope_id; /* link-local IPv6 */
};

enum {
	RESOLVER_TEXT_MAX = 96
};

/* "1.2.3.4", "1.2.3.4:53", "2001:db8::1", "[2001:db8::1]:53", and a zone after
 * '%' on a link-local one. 0 or -EINVAL. */
int resolver_from_text(struct resolver_address *r, const char *text);
/* The same again, with the port; returns out, RESOLVER_TEXT_MAX bytes. */
char *resolver_to_text(const struct resolver_address *r, char *out);

/* Are they the same ones, in the same order? */
bool resolver_addresses_same(const struct resolver_address *a, size_t n_a,
			     const struct resolver_address *b, size_t n_b);

struct resolvers_settings {
	struct resolver_address address[RESOLVERS_MAX];
	size_t n;                   /* 0: none yet */
	uint32_t timeout_ms;        /* of one question over all resolvers */
	uint32_t probe_interval_ms; /* health probe; 0: none */
	char probe_name[256];       /* "." by default */
	uint32_t mark;              /* SO_MARK of every socket, 0: none */
};

struct resolvers;

/* 0 or -errno; *why is then a constant. The loop must outlive it. */
int resolvers_open(struct resolvers **out, uv_loop_t *loop,
		   const struct resolvers_settings *settings, const char **why);
/* Are the resolvers the same, in the same order? */
bool resolvers_same(const struct resolvers_settings *a,
		    const struct resolvers_settings *b);
/* Ask those of the settings from now on, none of which may be there. Questions
 * under way are asked anew. */
void resolvers_replace(struct resolvers *resolvers,
		       const struct resolvers_settings *settings);
/* Pending questions are called back with RESOLVER_CANCELED. */
void resolvers_close(struct resolvers *resolvers);

/* Why a question failed, for EDE: all timed out or unreachable (22), or a
 * transport error (23). */
enum resolver_result {
	RESOLVER_ANSWERED,
	RESOLVER_TIMED_OUT,
	RESOLVER_UNREACHABLE,
	RESOLVER_CANCELED,
	RESOLVER_LOOPS, /* all of them ask us */
	RESOLVER_NONE,  /* there is none */
};

struct resolver_question;

/* message is the upstream's whole answer, valid during the call; its id is
 * not the client's. NULL unless RESOLVER_ANSWERED. */
typedef void (*resolver_done)(void *arg, enum resolver_result result,
			      const uint8_t *message, size_t len);

/*
 * Ask: question is a complete query message (copied; its id is replaced).
 * asker stands for him who asks, NULL too; nothing is read through it. What
 * one asks does not wait on a connection, nor crowd a socket, of another's.
 * done is called exactly once, never before this returns. Answers are matched
 * on source address and port, id and question section; others are ignored and
 * counted. 0, -ENOMEM, -EAGAIN (too many questions under way).
 */
int resolvers_ask(struct resolvers *resolvers, const void *asker,
		  const uint8_t *question, size_t len, resolver_done done,
		  void *arg, struct resolver_question **out);
/* done will not be called. */
void resolvers_cancel(struct resolver_question *question);

/* Find out which of the resolvers ask us, where that can be: in the sandbox's
 * own namespace. Whoever serves that namespace shows the names that it is
 * asked for to resolvers_saw(); true: that was ours, and is no question of the
 * sandbox. A resolver that asks us is asked no more. */
void resolvers_look_for_loops(struct resolvers *resolvers);
bool resolvers_saw(struct resolvers *resolvers, const struct domain_name *name);

struct resolvers_counts {
	uint64_t asked, answered, timed_out, retried_tcp, spoofed, failed_over;
	uint64_t healthy; /* resolvers that answer, as far as we know */
};
void resolvers_counts(const struct resolvers *resolvers,
		      struct resolvers_counts *counts);

#endif
