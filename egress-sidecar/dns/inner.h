/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front: one question's life, from its arrival to the iteration of the loop
 * in which its answer leaves.
 */
#ifndef EGRESS_DNS_INNER_H
#define EGRESS_DNS_INNER_H

#include "message.h"
#include "parts.h"

#include <sys/queue.h>

enum {
	FRONT_BATCH = 32,          /* datagrams a system call */
	FRONT_ROUNDS = 4,          /* batches an iteration of the loop */
	FRONT_DATAGRAM_MAX = 1232, /* bytes of a question over UDP */
	FRONT_PENDING_BUCKETS = 256,
	FRONT_SPARE = FRONT_BATCH * FRONT_ROUNDS, /* queries kept for reuse */
	FRONT_QUERIES_DEFAULT = 4096,
	QUERY_ROOM = 512,            /* bytes: any refusal, most answers */
	FRONT_QUESTIONS_MAX = 16384, /* of all fronts, at resolvers */
	FRONT_HELD_MAX = 16384,      /* of all fronts, waiting for approval */
	FRONT_BYTES_MAX = 64 << 20,  /* of all fronts, large replies */
	FRONT_CLIENTS_MAX = 256,     /* TCP connections */
	CLIENT_BUFFER = 4096         /* bytes; no question is near as long */
};

struct approval;
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

/* A question that could not be refused on the spot. Waits for approval, with
 * its pending, then among the front's replies. */
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
	const char *error;         /* NULL: answered */
	bool denied;               /* told to the owner as that already */
	struct approval *approval; /* that it waits for, else NULL */
	uint8_t room[QUERY_ROOM];
};
TAILQ_HEAD(query_list, query);
LIST_HEAD(client_queries, query);

/* A question that a resolver has to answer, for all who wait for it. */
struct pending {
	LIST_ENTRY(pending) in_bucket;
	struct front *front;
	struct resolver_question *asked;
	struct query_list waiting; /* none: a cached answer is refreshed */
	struct domain_name name;
	struct cache_key key; /* borrows name */
};
LIST_HEAD(pending_list, pending);
LIST_HEAD(client_list, tcp_client);
TAILQ_HEAD(approval_list, approval);

/* A client over TCP. */
struct tcp_client {
	LIST_ENTRY(tcp_client) in_list;
	uv_tcp_t tcp;
	uv_timer_t idle;
	struct front *front;
	struct origin origin;
	struct client_queries queries;
	unsigned n_queries;
	size_t held;    /* bytes of its answers that have not left */
	size_t waiting; /* of them, in the stream when the timer was started */
	unsigned handles;
	bool closing;
	bool ended; /* it will send nothing more */
	bool paused;
	size_t filled;
	uint8_t buffer[CLIENT_BUFFER];
};

/* How fast questions come over UDP. */
struct front_pace {
	uint64_t ms;             /* the millisecond that is counted */
	unsigned n;              /* questions in it so far */
	unsigned last_iteration; /* in the last iteration of the loop */
	bool crowded;            /* many in the one before */
};

struct front {
	uv_loop_t *loop;
	struct resolvers *resolvers;
	struct front_settings settings;
	struct front_owner owner;
	struct cache *cache;
	struct follow *follow; /* NULL: targets are not followed */
	struct limit limit;
	struct bucket asked; /* of the policy's limit; rate 0: none yet */
	struct pending_list pending[FRONT_PENDING_BUCKETS];
	struct pending_list spare_pending;
	size_t n_spare_pending;
	size_t n_queries;
	struct front_pools own_pools;   /* where none are given */
	struct share questions;         /* pending: of the process's */
	struct share bytes;             /* of replies: of the process's */
	struct share held;              /* queries: of the process's */
	struct approval_list approvals; /* the first to end, first */
	uv_timer_t ask;                 /* until then */
	uint64_t read_ns;          /* when the questions at hand were read */
	struct query_list replies; /* leave at the end of this iteration */
	bool uncommitted;          /* admitted since the last commit */
	struct query_list spare;
	size_t n_spare;
	struct front_pace pace;
	struct client_list clients;
	size_t n_clients;
	uv_poll_t udp4, udp6;
	uv_tcp_t tcp4, tcp6;
	uv_check_t flush;
	uv_check_cb on_flush;
	uv_idle_t idle; /* keeps the loop from sleeping on replies */
	unsigned handles;
	bool closing;
	struct front_counts counts;
};

/* Each of the files below calls those after it, none those before. */

/* flush.c: the end of the loop's iteration */

void flush_open(struct front *front);

/* clients.c: TCP (RFC 7766) */

/* Listen on a bound socket. 0 or -errno. */
int clients_listen(struct front *front, uv_tcp_t *tcp, int fd);
void clients_close(struct front *front);

/* Send a message; bytes has two free bytes before it. */
void client_send(struct tcp_client *client, uint8_t *bytes, size_t len);
/* It has one question less under way: make use of the room. */
void client_answered(struct tcp_client *client);

/* judge.c: a question arrives */

/*
 * A question arrived. Returns the bytes of a refusal to be sent at once, which
 * is in out (QUESTION_REFUSAL_MAX bytes; may be message itself), or 0: it is
 * not to be answered, or its answer will come through front->replies.
 */
size_t judge_question(struct front *front, const struct origin *origin,
		      const uint8_t *message, size_t len, uint8_t *out);

/* approval.c: questions about names that no rule decides, held for a while */

void approval_open(struct front *front);
/*
 * Hold a denied question that may be approved; one that the same client asks
 * again takes the place of its first. False: it is denied now, since a rule
 * says so, or there is no room (counted).
 */
bool approval_hold(struct front *front, const struct origin *origin,
		   const struct question *q, const struct policy *policy,
		   const struct name_match *match);
/* A held query whose client has gone; frees it. */
void approval_drop(struct front *front, struct query *query);
/* The policy changed: serve what it allows, deny what its rules deny. */
void approval_judge_all(struct front *front, const struct policy *policy);
/* Forget all that is held. */
void approval_end_all(struct front *front);

/* serve.c: questions that are let through */

/* Answer by the policy's hosts or the cache, or ask a resolver; match was
 * looked up in policy. */
void serve_query(struct front *front, struct query *query,
		 const struct policy *policy, const struct name_match *match);

/* pending.c: questions that resolvers have to answer */

/* Look a name up in the policy; first has room for the name that led to it. */
void pending_look_up(struct front *front, const struct policy *policy,
		     const struct domain_name *name, uint16_t type,
		     struct name_match *match, struct domain_name *first);
/* Wait for a resolver, along with those who ask the same. */
void pending_wait(struct front *front, struct query *query,
		  const struct cache_key *key, const struct decision *decision);
/* A hot answer ends soon: ask anew while it is still given. */
void pending_refresh(struct front *front, const struct question *q,
		     const struct cache_key *key);
/* Forget all that is under way. */
void pending_end_all(struct front *front);

/* admit.c: answers to allowed questions */

enum answer_path {
	PATH_FRESH,
	PATH_SHARED,
	PATH_CACHED
};

/* An answer is there: judge the name by the policy of now, in which match was
 * looked up, then queue the reply. age_s: since it was fresh. */
void admit_answer(struct front *front, struct query *query,
		  const struct answer *answer, uint32_t age_s,
		  enum answer_path path, const struct policy *policy,
		  const struct name_match *match);

/* reply.c: replies without an answer; the queue of all */

/* Text made of pieces; what does not fit is left out. */
struct reply_text {
	size_t len;
	char s[EDE_TEXT_MAX + 1];
};
/* "denied by policy: rule 3 (*.example.com)"; NULL: nobody would read it. */
const char *reply_denial_text(struct reply_text *t, const struct question *q,
			      const struct decision *d);
/* A resolver that asks label by label (RFC 9156) takes NXDOMAIN for an end. */
unsigned reply_denial_rcode(const struct policy *policy,
			    const struct name_match *match);
/* The reply is one without records. It stays NULL without memory: no reply at
 * all. */
void reply_refuse(struct front *front, struct query *query, unsigned rcode,
		  int ede, const char *text);
/* The reply is that there is none, and why (a constant). */
void reply_fail(struct front *front, struct query *query, int ede,
		const char *why);
/* A question that was let through, until its rule was revoked; queued. */
void reply_deny(struct front *front, struct query *query,
		const struct policy *policy, const struct name_match *match);
/* Addresses could not be committed: a reply that holds any becomes
 * SERVFAIL. */
void reply_uncommitted(struct front *front, struct query *query);
/* Have the reply sent at the end of the loop's iteration. */
void reply_queue(struct front *front, struct query *query);

/* query.c: a query's memory */

/* NULL without memory. */
struct query *query_new(struct front *front, const struct origin *origin,
			const struct question *q);
/* Its reply has left, or its client has. */
void query_free(struct front *front, struct query *query);
void query_end_list(struct front *front, struct query_list *list);
/* Free the replies and the spare queries. */
void query_end_all(struct front *front);
/* Room for a reply of so many bytes; a large one is counted. False: there is
 * none. */
bool query_room(struct front *front, struct query *query, size_t n_addresses,
		size_t reply_max);
/* Count bytes against the front's share, and the client's (NULL: UDP). False:
 * that would be more than the share. */
bool query_hold(struct tcp_client *client, struct front *front, size_t bytes);
void query_let_go(struct tcp_client *client, struct front *front, size_t bytes);

/* front_handles.c: a handle was closed; the last one frees the front. */
void front_handle_closed(struct front *front);

/* upstream_loop.c: is this a question of resolvers_look_for_loops() that came
 * back to us, and none of the sandbox's? Its resolver is asked no more. */
bool resolvers_saw(struct resolvers *resolvers, const struct domain_name *name);

#endif
