/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS. A front takes a sandbox's questions and gives the answers; resolvers are
 * asked, by fronts and by those of us who have a question of their own, who
 * write it and read its answer by this page, too.
 */
#ifndef EGRESS_DNS_DNS_H
#define EGRESS_DNS_DNS_H

#include "policy/policy.h"
#include "share/share.h"

#include <sys/socket.h>
#include <time.h>
#include <uv.h>

enum {
	CLASS_IN = 1,
	DNS_HEADER = 12,    /* bytes */
	DNS_OPT_FIXED = 11, /* an OPT record without options, bytes */
	/* Bytes that question_upstream() writes at the most. */
	QUESTION_UPSTREAM_MAX = DNS_HEADER + DOMAIN_NAME_MAX + 4 + DNS_OPT_FIXED
};

enum dns_type {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_AAAA = 28,
	TYPE_SRV = 33,
	TYPE_DNAME = 39,
	TYPE_OPT = 41,
	TYPE_DS = 43,
	TYPE_RRSIG = 46,
	TYPE_NSEC = 47,
	TYPE_NSEC3 = 50,
	TYPE_SVCB = 64,
	TYPE_HTTPS = 65,
	TYPE_IXFR = 251,
	TYPE_AXFR = 252,
	TYPE_MAILB = 253,
	TYPE_MAILA = 254,
	TYPE_ANY = 255
};

/* question.c */

/* A client's, or our own, of which name, type and class are enough. */
struct question {
	struct domain_name name;
	uint8_t spelled[DOMAIN_NAME_MAX]; /* name.len bytes as the client
					     wrote them */
	uint16_t id;
	uint16_t type;
	uint16_t class;
	uint8_t flags2; /* QR as it was, opcode, RD */
	uint8_t flags3; /* AD, CD */
	bool whole;     /* the question could be read and is to be echoed */
	bool edns;
	bool dnssec_ok;
	uint16_t udp_size; /* bytes that the client takes over UDP */
};

/* Write the question for a resolver, made anew: lower case, RD set, AD set (RFC
 * 6840, 5.7: tell us whether the answer is authentic), the client's DO, its CD
 * where question_unchecked() says so, our own EDNS size; id 0. out holds
 * QUESTION_UPSTREAM_MAX bytes. Returns the bytes written. */
size_t question_upstream(const struct question *q, uint8_t *out);

/* answer.c, answer_write.c */

/*
 * A resolver's answer, read, cleaned and ready to be given any number of
 * times: what does not belong to the question is gone, its addresses can be
 * dropped one by one, its TTLs counted down in place. One block; the arrays and
 * the message follow it.
 */
struct answer {
	uint16_t len;    /* bytes of the message, without an OPT record */
	uint16_t n_ttls; /* records of which the TTL is to count down */
	uint16_t n_addresses;
	uint16_t head; /* bytes before the first address record */
	uint16_t head_records;
	uint16_t n_head_ttls; /* ttl offsets below head */
	uint8_t rcode;
	bool authentic; /* the resolver set AD, and nothing was cut */
	uint32_t ttl;   /* seconds for which it may be kept, 0: not at all */
	/* Offsets in the message: the TTLs', then the address records'. */
	uint16_t offsets[];
};

/* Wishes of answer_read(), bits. */
enum {
	ANSWER_SIGNATURES = 1,
	ANSWER_WITHOUT_ECH = 2 /* no "ech" in SVCB and HTTPS records */
};

/*
 * Read a resolver's answer to the question name, type (class IN). Follows the
 * CNAMEs from the name; keeps those, the DNAMEs above them, the records of the
 * type at the chain's end and, if wished, their signatures. Everything else
 * goes, as do address hints. *out is freed with free().
 * 0, -EBADMSG (out of form, another question's, truncated), -ELOOP (a chain
 * that loops or is too long), -E2BIG (too many records), -ENOMEM.
 */
int answer_read(struct answer **out, const struct domain_name *name,
		uint16_t type, unsigned wishes, const uint8_t *message,
		size_t len);

/* Its address i. */
void answer_address(const struct answer *answer, size_t i, struct address *a);
/* The TTL that address i came with, seconds. */
uint32_t answer_address_ttl(const struct answer *answer, size_t i);

/* resolver_address.c */

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

/* resolvers.c, upstream.c, upstream_loop.c */

/*
 * The upstream resolvers: a list with health, asked over UDP from random
 * source ports with random ids (RFC 5452), over TCP when an answer was
 * truncated (RFC 7766), the next one when one fails. One set serves every
 * sandbox of the process.
 */
struct resolvers;

enum {
	RESOLVERS_MAX = 16
};

struct resolvers_settings {
	struct resolver_address address[RESOLVERS_MAX];
	size_t n;                   /* 0: none yet */
	uint32_t timeout_ms;        /* of one question over all resolvers */
	uint32_t probe_interval_ms; /* health probe; 0: none */
	char probe_name[256];       /* "." by default */
	uint32_t mark;              /* SO_MARK of every socket, 0: none */
};

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
 * own namespace. A resolver that does is asked no more. */
void resolvers_look_for_loops(struct resolvers *resolvers);

struct resolver_state {
	struct resolver_address address;
	uint32_t rtt_ms; /* smoothed, 0: not measured */
	bool down;
	bool loops; /* it asks us, and is not asked */
};
/* The i-th, in their order. false: there are no more. */
bool resolvers_state(const struct resolvers *resolvers, size_t i,
		     struct resolver_state *state);

struct resolvers_counts {
	uint64_t asked, answered, timed_out, retried_tcp, spoofed, failed_over;
	uint64_t healthy; /* resolvers that answer, as far as we know */
};
void resolvers_counts(const struct resolvers *resolvers,
		      struct resolvers_counts *counts);

/* front.c, flush.c */

/*
 * Whom a front asks for the policy and for admission, and tells what happened;
 * an answer leaves only after its owner has committed its addresses.
 */
struct front_owner {
	void *arg;
	/* The policy in force now (borrowed for the call). */
	const struct policy *(*policy)(void *arg);
	bool private_ok;
	/*
	 * Queue address a, to which name leads, for the kernel. *ttl_s is the
	 * answer's TTL and becomes what the client may be told. ports NULL:
	 * all. name and ports are borrowed for the call. 0, or -errno: the
	 * address cannot be admitted (cut it).
	 */
	int (*admit)(void *arg, const struct domain_name *name,
		     const struct address *a,
		     const struct admitted_ports *ports, uint32_t *ttl_s);
	/* Is a open because name led to it? NULL: nobody knows. */
	bool (*leased)(void *arg, const struct domain_name *name,
		       const struct address *a);
	/* Commit what was queued, in one batch. 0: the kernel has it, answers
	 * may leave; -errno: none of them may (SERVFAIL). Called once an
	 * iteration of the loop at the most, and only after admit(). */
	int (*commit)(void *arg);
	/* A name was denied (logs, webhook, counters). */
	void (*denied)(void *arg, const struct domain_name *name, uint16_t type,
		       const struct decision *decision,
		       const struct sockaddr *peer);
	/* A question was one too many of the policy's limit (logs). name NULL:
	 * it could not be read. */
	void (*limited)(void *arg, const struct domain_name *name,
			const struct sockaddr *peer);
	/* A name's answer is held until the policy allows it. */
	void (*held)(void *arg, const struct domain_name *name,
		     const struct sockaddr *peer);
	/* An allowed question was answered, or failed: error is then its
	 * reason, else NULL. refused lists addresses that were cut. */
	void (*answered)(void *arg, const struct domain_name *name,
			 uint16_t type, const struct address *admitted,
			 size_t n_admitted, const struct address *refused,
			 size_t n_refused, const char *error,
			 uint64_t elapsed_us, const struct sockaddr *peer);
};

/* What the fronts of a process share, so that none can starve another. Borrowed
 * by them; filled by front_pools_init(). */
struct front_pools {
	struct share_pool questions; /* that resolvers are to answer */
	struct share_pool bytes;     /* of replies on their way */
	struct share_pool held;      /* questions that wait for approval */
};
void front_pools_init(struct front_pools *pools);

struct front_settings {
	struct front_pools *pools; /* NULL: the front is alone */
	/* Listening sockets, bound, non-blocking; -1: none. The front closes
	 * them unless keep_sockets. */
	int udp4, tcp4, udp6, tcp6;
	bool keep_sockets;
	bool audit;       /* denied names resolve all the same */
	bool follow;      /* targets of CNAME and SRV, too */
	bool without_ech; /* no name may be hidden in a ClientHello */
	unsigned ask_s; /* a name that no rule decides is held so long, seconds,
			   before it is denied; 0: not at all */
	size_t cache_bytes;   /* 0: the default, 1 MiB */
	unsigned queries_max; /* under way at once; 0: 4096 */
	/* Names not in the cache that "*." rules let through in a second, a
	 * long one counting as several; 0: 1000. */
	unsigned names_per_second;
};

struct front;

int front_open(struct front **out, uv_loop_t *loop, struct resolvers *resolvers,
	       const struct front_settings *settings,
	       const struct front_owner *owner);
/* Ends its questions and listeners; frees itself once the loop has closed its
 * handles. */
void front_close(struct front *front);

/* Ask these from now on (borrowed). */
void front_set_resolvers(struct front *front, struct resolvers *resolvers);

/* A new policy is about to come: commit and give now what was judged in this
 * iteration of the loop, so that nothing of the old one is admitted after it.
 */
void front_settle(struct front *front);

/* The policy changed: forget cached answers that it may no longer give, and
 * judge held names again. */
void front_policy_changed(struct front *front);

enum {
	HELD_TYPES_MAX = 16
};

/* A name whose answer is held. Valid during the call. */
struct held_name {
	const struct domain_name *name;
	time_t since, until; /* seconds since 1970 */
	size_t n_askers;     /* questions that wait */
	uint16_t type[HELD_TYPES_MAX];
	size_t n_types; /* of theirs, each once */
};
/* approval.c: the oldest first. */
void front_each_held(const struct front *front,
		     void (*each)(void *arg, const struct held_name *held),
		     void *arg);

struct front_counts {
	uint64_t queries, denied, answered_fresh, answered_cached, shared,
		failed, malformed, refused_addresses, dropped, limited;
	uint64_t held, approved; /* names */
	uint64_t not_held;       /* questions, for want of room */
	uint64_t pending;        /* names that are held now */
};
void front_counts(const struct front *front, struct front_counts *counts);

#endif
