/* SPDX-License-Identifier: Apache-2.0 */
/* A filter's parts, for the files of this room alone. */
#ifndef EGRESS_FILTER_INNER_H
#define EGRESS_FILTER_INNER_H

#include "devices.h"
#include "netlink.h"
#include "ruleset.h"

enum {
	MISSING_MAX = 8,
	FAULTS_MAX = 4
};

/* How far the look through open connections is. */
struct renewal {
	enum {
		RENEWAL_IDLE,
		RENEWAL_LIST,  /* the kernel's list is being read */
		RENEWAL_LEASES /* what it showed to be used goes on */
	} stage;
	uint64_t since_ms; /* the list was begun */
	uint64_t next_ms;  /* no other is before */
	size_t at[2];      /* in the tables: ours, that inherited */
};

/* May a list begin? 0, and it does; else in how many milliseconds to ask again,
 * others before it. iteration is not 0. */
unsigned renewal_wait(struct filter_kernel *kernel, uint64_t iteration);

/* Connections that begin and end. */
struct flow_events {
	struct channel events; /* fd -1: none are told of */
	bool listing;          /* what is open is being listed */
	bool stale;            /* and that is due */
	bool lossy;            /* because events were lost */
	uint64_t lost;
};

struct filter {
	struct filter_settings settings;
	struct address_range *doh; /* owned copy of the settings' */
	struct channel channel;
	struct channel route;
	struct channel diag; /* fd -1: none */
	struct channel log;  /* fd -1: none */
	struct monitor monitor;
	struct channel conntrack; /* of filter_renew(); fd -1: none */
	struct flow_events flows;
	int poll; /* of log, route, monitor and conntrack */
	struct renewal renewal;
	struct batch batch;
	uint32_t generation, inbound_mark;
	bool applied; /* the tables are ours, as shape and links say */
	bool begun;   /* they were; what is there now is not to be taken over */
	struct ruleset_shape shape;
	struct policy *policy; /* that applies, a reference; or NULL */
	struct links links;
	struct lease_table *inherited; /* of an earlier process */
	bool has_fib, has_egress;
	struct xdp_holds *xdp, *own_xdp; /* NULL: not held */
	const char *missing[MISSING_MAX + 1];
	const char *faults[FAULTS_MAX + 1];         /* since filter_fault() */
	bool bypassed;                              /* and that was said */
	struct filter_peer peers[FILTER_PEERS_MAX]; /* of filter_let_out() */
	size_t n_peers;
	struct elements pending[LEASE_SETS]; /* room for filter_admit() */
	struct port_lists lists;             /* that the kernel's sets number */
	struct held held[LEASE_SETS], held_grace[LEASE_SETS];
	uint64_t leased, commits;
	uint64_t quota, consumed; /* as the kernel has them, or had them last */
	bool spent;               /* filter_spent() said so */
};

/* Does the policy's limit of bytes in all let nothing through any more? */
static inline bool is_spent(const struct filter *filter)
{
	return filter->shape.limits.most[LIMIT_BYTES_TOTAL] &&
	       filter->consumed >= filter->quota;
}

/* apply.c */

/* Bring what names the namespace's devices and neighbours up to date, where
 * that has changed. 0 or -errno. */
int filter_follow_links(struct filter *filter);

/* flows.c */

/* Be ready to hear of connections, and have their bytes counted; what cannot
 * be is noted as missing. */
void flow_events_open(struct filter *filter);
/* Is it the gate's, on its way to where the sandbox wants to go? Others of ours
 * are none of the sandbox's. */
bool flow_is_onward(const struct filter *filter, const struct connection *c);

/* lease_sets.c */

/* Leases as set elements, sorted, each once: one for each address
 * and list of ports. Lists that are new are added at the end. 0, -ENOMEM, or
 * -ENOSPC: over PORT_LISTS_MAX. */
int lease_sets_add(struct elements leased[LEASE_SETS], struct port_lists *lists,
		   const struct lease_element *element);
/* Those that the gate stands in front of under the policy: one for each address
 * and port that the lease is good for, unless an address rule allows it.
 * timeout_s 0: all that there may be. 0 or -ENOMEM. */
int lease_sets_add_gated(struct elements leased[LEASE_SETS],
			 const struct filter_settings *settings,
			 const struct policy *policy,
			 const struct lease_element *element);
void lease_sets_unique(struct elements leased[LEASE_SETS]);
void lease_sets_clear(struct elements leased[LEASE_SETS]);
void lease_sets_free(struct elements leased[LEASE_SETS]);
void port_lists_free(struct port_lists *lists);
/* to is empty. 0 or -ENOMEM. */
int port_lists_copy(struct port_lists *to, const struct port_lists *lists);
/* Those that no element has are not in use any more. */
void port_lists_prune(struct port_lists *lists,
		      const struct elements leased[LEASE_SETS],
		      const struct elements grace[LEASE_SETS]);

/* Judge leases and those that were inherited by the policy: what new
 * connections may use, and what open ones. Sorted. 0 or -errno. */
int lease_sets_judge(const struct filter *filter, const struct policy *policy,
		     const struct lease_table *leases, uint64_t now_ms,
		     struct elements leased[LEASE_SETS],
		     struct elements grace[LEASE_SETS],
		     struct port_lists *lists);

/* objects.c: what the kernel has counted */

/* Packets that a counter has seen. 0; -ENOENT: there is none; -errno. */
int counter_read(struct channel *c, const char *name, uint64_t *packets);
/* The quota's bytes, and those that went by, at most as many. The same. */
int quota_read(struct channel *c, uint64_t *bytes, uint64_t *consumed);

/* probe.c */

/* Note what is missing; line is a constant. */
void probe_miss(struct filter *filter, const char *line);
/* Fill has_*, missing. 0, or what is missing that we cannot do without. */
int probe_kernel(struct filter *filter, const char **why);

/* takeover.c */

/* Does our table exist? 1, 0 or -errno. */
int takeover_table_exists(struct channel *c);
/* Add the leases of an earlier process. 0 or -errno. */
int takeover_read(struct channel *c, struct lease_table *leases,
		  uint64_t now_ms);
/* Where its rules send port 53, host order; 0: nowhere. 0 or -errno. */
int takeover_dns_port(struct channel *c, uint16_t *port);
/* Forget the connections from before there was a policy. Best effort. */
void takeover_forget_connections(struct channel *c);
/* Forget those of port 53 that nobody redirected: what comes again from the
 * same source port is sent to us. Best effort. */
void takeover_forget_questions(struct channel *c);
/* Forget the connections that a policy let out: each is judged anew, whatever
 * generation it is of. Best effort. */
void takeover_forget_generations(struct channel *c);
/* Forget where port 53 was sent: what comes again from the same source port
 * is sent anew. Best effort. */
void takeover_forget_redirected(struct channel *c);

#endif
