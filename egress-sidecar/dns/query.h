/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question's life, from its arrival to the turn of the loop in which its
 * answer leaves, and what the files behind front.h share. Nobody else includes
 * this.
 */
#ifndef EGRESS_DNS_QUERY_H
#define EGRESS_DNS_QUERY_H

#include "cache.h"
#include "follow.h"
#include "front.h"
#include "limit.h"
#include "question.h"

#include <sys/queue.h>

enum {
	FRONT_BATCH = 32,          /* datagrams a system call */
	FRONT_ROUNDS = 4,          /* batches a turn of the loop */
	FRONT_DATAGRAM_MAX = 1232, /* bytes of a question over UDP */
	FRONT_LOOKUP_BUCKETS = 256,
	FRONT_SPARE = FRONT_BATCH * FRONT_ROUNDS, /* queries kept for reuse */
	FRONT_QUERIES_DEFAULT = 4096,
	QUERY_ROOM = 512,            /* bytes: any refusal, most answers */
	FRONT_QUESTIONS_MAX = 16384, /* of all fronts, at resolvers */
	FRONT_BYTES_MAX = 64 << 20,  /* of all fronts, large replies */
	FRONT_CLIENTS_MAX = 256      /* TCP connections */
};

struct tcp_client;

union peer {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Where a question came from. */
struct origin {
	int fd;                    /* UDP: the listener */
	struct tcp_client *client; /* TCP, else NULL */
	union peer peer;
	socklen_t peer_len;
};

/* A question that could not be refused on the spot. Waits with its lookup,
 * then among the front's replies. */
struct query {
	TAILQ_ENTRY(query) in_list;
	LIST_ENTRY(query) of_client;
	struct origin origin;
	struct question question;
	uint64_t started_ns;
	/* The reply. One block, room or one of its own, holds the addresses
	 * and, behind them, two free bytes for TCP's length and the message. */
	uint8_t *block;
	size_t held; /* bytes of the front's share */
	uint8_t *reply;
	size_t reply_len;
	const struct address *addresses; /* admitted ones, then refused ones */
	size_t n_admitted;
	size_t n_refused;
	const char *error; /* NULL: answered */
	bool denied;       /* told to the owner as that already */
	uint8_t room[QUERY_ROOM];
};
TAILQ_HEAD(query_list, query);
LIST_HEAD(client_queries, query);

/* A question that a resolver has to answer, for all who wait for it. */
struct lookup {
	LIST_ENTRY(lookup) in_bucket;
	struct front *front;
	struct resolver_question *asked;
	struct query_list waiting; /* none: a cached answer is refreshed */
	struct domain_name name;
	struct cache_key key; /* borrows name */
};
LIST_HEAD(lookup_list, lookup);
LIST_HEAD(client_list, tcp_client);

/* How fast questions come over UDP. */
struct front_pace {
	uint64_t ms;        /* the millisecond that is counted */
	unsigned n;         /* questions in it so far */
	unsigned last_turn; /* in the last turn of the loop */
	bool crowded;       /* many in the one before */
};

struct front {
	uv_loop_t *loop;
	struct resolvers *resolvers;
	struct front_settings settings;
	struct front_owner owner;
	struct cache *cache;
	struct follow *follow; /* NULL: targets are not followed */
	struct limit limit;
	struct lookup_list lookups[FRONT_LOOKUP_BUCKETS];
	struct lookup_list spare_lookups;
	size_t n_spare_lookups;
	size_t n_queries;
	struct front_pools own_pools; /* where none are given */
	struct share questions;       /* lookups: of the process's */
	struct share bytes;           /* of replies: of the process's */
	uint64_t read_ns;             /* when the questions at hand were read */
	struct query_list replies;    /* leave at the end of this turn */
	bool learned;                 /* since the last commit */
	struct query_list spare;
	size_t n_spare;
	struct front_pace pace;
	struct client_list clients;
	size_t n_clients;
	uv_poll_t udp4, udp6;
	uv_tcp_t tcp4, tcp6;
	uv_check_t flush;
	uv_idle_t hurry; /* keeps the loop from sleeping on replies */
	unsigned handles;
	bool closing;
	struct front_counts counts;
};

/*
 * A question arrived. Returns the bytes of a refusal to be sent at once, which
 * is in out (QUESTION_REFUSAL_MAX bytes; may be message itself), or 0: it is
 * not to be answered, or its answer will come through front->replies.
 */
size_t query_begin(struct front *front, const struct origin *origin,
		   const uint8_t *message, size_t len, uint8_t *out);

/* Its reply has left, or its client has. */
void query_free(struct front *front, struct query *query);

/* The replies' addresses could not be committed: those that hold any become
 * SERVFAIL. */
void query_uncommitted(struct front *front, struct query *query);

/* Forget all that is under way. */
void query_end_all(struct front *front);

/* front.c: have the replies sent in this turn of the loop. */
void front_hurry(struct front *front);
void front_handle_closed(struct front *front);

/* clients.c: TCP (RFC 7766). */

/* Listen on a bound socket. 0 or -errno. */
int clients_listen(struct front *front, uv_tcp_t *tcp, int fd);
/* Send a message; bytes has two free bytes before it. */
void client_send(struct tcp_client *client, uint8_t *bytes, size_t len);
/* Count bytes against the front's share, and the client's (NULL: UDP). False:
 * that would be more than the share. */
bool client_hold(struct tcp_client *client, struct front *front, size_t bytes);
void client_let_go(struct tcp_client *client, struct front *front,
		   size_t bytes);
/* The client has one question more, or one less, under way. */
void client_asked(struct tcp_client *client, struct query *query);
void client_answered(struct query *query);
void clients_close(struct front *front);

#endif
