/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sandbox's DNS: listeners, questions and their answers. Asks its owner,
 * through struct front_owner, for the policy and for admission; an answer
 * leaves only after the owner has committed its addresses.
 */
#ifndef EGRESS_DNS_FRONT_H
#define EGRESS_DNS_FRONT_H

#include "policy/policy.h"
#include "resolvers.h"
#include "share.h"

#include <sys/socket.h>

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
	int (*learn)(void *arg, const struct domain_name *name,
		     const struct address *a,
		     const struct admitted_ports *ports, uint32_t *ttl_s);
	/* Is a open because name led to it? NULL: nobody knows. */
	bool (*leased)(void *arg, const struct domain_name *name,
		       const struct address *a);
	/* Commit what was queued, in one batch. 0: the kernel has it, answers
	 * may leave; -errno: none of them may (SERVFAIL). Called once a turn
	 * of the loop at the most, and only after learn(). */
	int (*commit)(void *arg);
	/* A name was denied (logs, webhook, counters). */
	void (*denied)(void *arg, const struct domain_name *name, uint16_t type,
		       const struct decision *decision,
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
};
void front_pools_init(struct front_pools *pools);

struct front_settings {
	struct front_pools *pools; /* NULL: the front is alone */
	/* Listening sockets, bound, non-blocking; -1: none. The front closes
	 * them unless keep_sockets. */
	int udp4, tcp4, udp6, tcp6;
	bool keep_sockets;
	bool audit;           /* denied names resolve all the same */
	bool follow;          /* targets of CNAME and SRV: follow.h */
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
 * turn of the loop, so that nothing of the old one is learned after it. */
void front_settle(struct front *front);

/* The policy changed: forget cached answers that it may no longer give. */
void front_policy_changed(struct front *front);

struct front_counts {
	uint64_t queries, denied, answered_fresh, answered_cached, shared,
		failed, malformed, refused_addresses, dropped;
};
void front_counts(const struct front *front, struct front_counts *counts);

#endif
