/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolvers, in the order in which their files call each other: resolvers.c
 * keeps the list and its health, upstream_loop.c looks for those that ask us,
 * upstream.c leads questions from resolver to resolver, upstream_udp.c and
 * upstream_tcp.c carry single attempts, attempts.c finds the one that an answer
 * belongs to.
 */
#ifndef EGRESS_DNS_UPSTREAM_H
#define EGRESS_DNS_UPSTREAM_H

#include "message.h"

#include <sys/queue.h>

enum {
	ATTEMPTS_MAX = 8,      /* of one question that are remembered */
	UDP_SOCKETS = 64,      /* open for new questions, of one resolver */
	UDP_SOCKET_USES = 256, /* questions, then another port is drawn */
	UDP_SOCKET_AGE_MS = 5000,
	UDP_SOCKET_BURST = 64, /* questions in a row, of one asker; their
				  answers fit the socket's buffer */
	UDP_BATCH = 32,        /* datagrams a system call */
	QUESTIONS_MAX = 16384, /* under way */
	QUESTIONS_SPARE = 128, /* kept for reuse */
	ATTEMPT_BUCKETS = 1024,
	LOOP_TOKEN = 15,  /* hex digits */
	RANDOM_POOL = 256 /* bytes drawn from the kernel at once */
};

struct udp_socket;
struct tcp_link;

/* One question, once, to one resolver. Exactly one of socket and link is set
 * while it is live. */
struct attempt {
	struct attempt *next; /* in its bucket, by id */
	struct resolver_question *question;
	struct udp_socket *socket;
	struct tcp_link *link;
	uint64_t sent_ms;
	uint16_t id;
	uint8_t resolver;
	bool live;
	struct attempt_list *list; /* pending or unsent, NULL: neither */
	TAILQ_ENTRY(attempt) in_list;
};
TAILQ_HEAD(attempt_list, attempt);

/* What becomes of attempts, told by their carriers. */
struct attempt_events {
	void (*answered)(struct attempt *a, const uint8_t *message, size_t len);
	void (*failed)(struct attempt *a);
	/* Every live attempt on it failed; one of the two is NULL. */
	void (*carrier_failed)(struct resolvers *r,
			       const struct udp_socket *socket,
			       const struct tcp_link *link);
};

struct resolver_question {
	struct resolver_question *newer, *older;
	struct resolvers *resolvers;
	resolver_done done;
	void *arg;
	const void *asker;
	uint64_t deadline_ms; /* of the whole */
	uint64_t retry_ms;    /* when the next resolver is tried */
	struct attempt attempt[ATTEMPTS_MAX]; /* the last ones */
	uint16_t n_attempts;                  /* in all */
	uint8_t tried[RESOLVERS_MAX];         /* of them, by resolver */
	uint8_t n_live;
	uint8_t last_asked; /* resolver */
	int8_t only;        /* a probe: this resolver alone; -1: any */
	bool over_tcp;
	uint16_t len;
	uint16_t question_end; /* in the message; an OPT record may follow */
	uint8_t message[QUESTION_UPSTREAM_MAX];
};

struct resolver {
	struct sockaddr_storage address;
	socklen_t address_len;
	struct udp_socket *socket[UDP_SOCKETS];
	struct udp_socket
		*current; /* of this iteration of the loop, for one asker */
	const void *current_asker;
	unsigned current_uses;
	LIST_HEAD(, tcp_link) links;
	unsigned per_link;    /* questions that a TCP connection of it answers
				 before it ends, 0: as many as we ask */
	uint64_t answered_ms; /* last sign of life */
	uint64_t back_ms;     /* the first after silence */
	uint64_t tried_ms;
	uint32_t rtt_ms;  /* smoothed, 0: not measured */
	uint64_t said_ms; /* when the log was told that it is down, 0: never */
	unsigned failures;
	bool down;
	bool loops; /* it asks us; it is not asked */
	bool said_down;
	bool probing;
};

struct resolvers {
	uv_loop_t *loop;
	struct resolvers_settings settings;
	struct resolver resolver[RESOLVERS_MAX];
	const struct attempt_events *events;
	struct resolver_question *oldest, *newest;
	size_t n_questions;
	struct resolver_question *spare; /* through ->older */
	size_t n_spare;
	struct attempt *bucket[ATTEMPT_BUCKETS];
	struct attempt_list
		pending; /* to be sent at the end of this iteration */
	struct attempt_list unsent;  /* that could not be */
	char loop_token[LOOP_TOKEN]; /* of the name that looks for loops */
	uint8_t random[RANDOM_POOL];
	size_t random_left;
	uv_timer_t tick;  /* runs while questions are under way */
	uv_timer_t probe; /* runs while there is traffic, or one is down */
	uv_check_t flush;
	uv_idle_t idle; /* keeps the loop from sleeping on pending ones */
	bool traffic;   /* since the last probe */
	bool closing;
	unsigned handles; /* that the loop still has to close */
	struct resolvers_counts counts;
};

/* upstream.c */

/* Ask, as resolvers_ask() does; only: a probe of that resolver, -1: any. */
int upstream_ask(struct resolvers *r, const void *asker,
		 const uint8_t *question, size_t len, int only,
		 resolver_done done, void *arg, struct resolver_question **out);
/* The resolvers are about to be others: every attempt ends, every question is
 * asked anew at the next tick, probes are called back with RESOLVER_CANCELED.
 */
void upstream_start_over(struct resolvers *r);
/* Call every question back with RESOLVER_CANCELED; forget the spare ones. */
void upstream_end_all(struct resolvers *r);

/* The resolver asks us what we ask it: have done with it, and say so. */
void upstream_loops(struct resolvers *r, size_t resolver);
/* For resolvers->events. */
extern const struct attempt_events upstream_events;

/* upstream_udp.c */
/* Leaves at the end of this iteration of the loop. 0 or -errno. */
int upstream_udp_send(struct resolvers *r, struct attempt *a);
/* The attempt no longer needs its socket. */
void upstream_udp_release(struct attempt *a);
void upstream_udp_close(struct resolver *of);

/* upstream_tcp.c */
int upstream_tcp_send(struct resolvers *r, struct attempt *a);
/* Did the connection bring answers before it failed? */
bool upstream_tcp_served(const struct tcp_link *link);
void upstream_tcp_release(struct attempt *a);
void upstream_tcp_close(struct resolver *of);

/* attempts.c */

/* Unpredictable 16 bits. */
uint16_t attempts_random16(struct resolvers *r);
/* Give it an id that is not in use on its carrier; it is live from here on. */
void attempts_enter(struct resolvers *r, struct attempt *a);
void attempts_leave(struct resolvers *r, struct attempt *a);
/* The live attempt that message answers (id, carrier, question section), or
 * NULL, and then it was counted as spoofed. */
struct attempt *attempts_match(struct resolvers *r,
			       const struct udp_socket *socket,
			       const struct tcp_link *link,
			       const uint8_t *message, size_t len);
/* A handle was closed; the last one frees the resolvers. */
void attempts_carrier_closed(struct resolvers *r);

#endif
