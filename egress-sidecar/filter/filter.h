/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of one sandbox: table "inet opensandbox" (and the netdev
 * table of its egress hooks), programmed in atomic netlink batches; and the
 * leases, which names led to which addresses. Callers see policies, leases and
 * errors; nothing of netlink or nftables.
 */
#ifndef EGRESS_FILTER_FILTER_H
#define EGRESS_FILTER_FILTER_H

#include "policy/policy.h"

#include <stdbool.h>
#include <stdint.h>

struct filter;
struct xdp_holds;

/* Kernel features that we can do without, at a price. */
enum filter_feature {
	FILTER_EGRESS_HOOK = 1,  /* netdev egress: frames of packet(7) */
	FILTER_ROUTE_LOOKUP = 2, /* fib: sources of raw sockets */
	FILTER_LOG = 4,          /* nflog: refused packets by name */
	FILTER_XDP = 8,          /* AF_XDP: its queues are held */
	FILTER_CONNLIMIT = 16,   /* limits of connections */
	FILTER_QUOTA = 32,       /* and of bytes in all */
};

/* What options and answers call them. */
static const struct {
	const char *name;
	enum filter_feature feature;
} filter_feature_names[] = {
	{"egress-hook", FILTER_EGRESS_HOOK},
	{"route-lookup", FILTER_ROUTE_LOOKUP},
	{"packet-log", FILTER_LOG},
	{"xdp", FILTER_XDP},
	{"connection-count", FILTER_CONNLIMIT},
	{"quota", FILTER_QUOTA},
};

enum {
	FILTER_FEATURES =
		sizeof(filter_feature_names) / sizeof(*filter_feature_names)
};

enum {
	FILTER_RESOLVERS_MAX = 16,
	FILTER_PEERS_MAX = 32,
	FILTER_GATED_MAX = 16,
	FILTER_INBOUND_MAX = 64
};

/* Somebody whom we speak to ourselves. */
struct filter_peer {
	struct address a;
	uint16_t port; /* host order */
};

/* What the kernel can do, the same in every namespace. Zeroed by whoever holds
 * it, filled by the first filter_open() that is given it. */
struct filter_kernel {
	bool known;
	bool has_log, has_fib, has_egress;
	bool limits_known, has_connlimit, has_quota;
	/* For a list of connections it walks the table of all namespaces: the
	 * iteration of the caller's loop with the last, and who waits since. */
	uint64_t listed_in;
	unsigned waiting;
};

struct filter_settings {
	int netns;         /* descriptor of the sandbox's namespace, -1: ours */
	bool drop;         /* default deny drops instead of refusing at once */
	bool audit;        /* log what would be refused, refuse nothing */
	bool dns_only;     /* redirect DNS and no more (mode "dns") */
	bool private_ok;   /* OPENSANDBOX_EGRESS_PRIVATE_ANSWERS=allow */
	uint16_t dns_port; /* of our listeners on 127.0.0.1 and ::1, UDP and
			      TCP alike, host order */
	uint16_t api_port; /* of our API in this namespace, 0: not here. Left
			      reachable; the API itself judges who asks */
	/* The hole for our own queries; n_resolvers 0 (join and agent mode):
	 * there is none. mark is what our resolver sockets carry (SO_MARK),
	 * and the gate's; 0: we have none in this namespace. */
	struct filter_peer resolvers[FILTER_RESOLVERS_MAX];
	size_t n_resolvers;
	uint32_t mark;
	uint32_t uid; /* and their owner, as we know it */
	/* Where something leads our questions to other addresses than the
	 * resolvers', see filter_true_peer(): to these ports, host order,
	 * wherever they are. */
	uint16_t rewritten[FILTER_RESOLVERS_MAX];
	size_t n_rewritten;
	/* Resolvers that the sandbox may ask itself
	 * (OPENSANDBOX_EGRESS_NAMESERVER_EXEMPT). */
	struct address exempt[FILTER_RESOLVERS_MAX];
	size_t n_exempt;
	/* Who may open connections into the sandbox, besides private ranges
	 * and on-link neighbours, or, with inbound_only, alone. */
	struct address_range inbound[FILTER_INBOUND_MAX];
	size_t n_inbound;
	bool inbound_only;
	/* TCP and UDP 443 to these is refused (DoH). */
	const struct address_range *doh;
	size_t n_doh;
	/* TCP to these ports (host order) of addresses that names led to is
	 * sent to gate_port, on 127.0.0.1 and ::1, and goes on from there by
	 * sockets with mark and uid alone; UDP to them is refused. What a rule
	 * for addresses allows is not gated. n_gated 0: no gate, and with
	 * dns_only there is none either. */
	uint16_t gate_port;
	uint16_t gated[FILTER_GATED_MAX];
	size_t n_gated;
	bool gate_all; /* of this namespace's sockets to all addresses: what
			  names they give is to be learned */
	uint16_t log_group; /* NFLOG group of refused packets, 0: not logged */
	bool log_all;       /* every one of them, not so many a second */
	/* Bits of enum filter_feature: do as if the kernel had them not. */
	unsigned without;
	/* Holds of AF_XDP queues that outlive this filter; NULL: none do.
	 * Borrowed. */
	struct xdp_holds *xdp;
	struct filter_kernel *kernel; /* borrowed, shared with other filters;
					 NULL: find out anew */
};

/* What passes by a namespace's IP hooks. */
struct filter_bypass {
	char redirected[16]; /* a device whose frames tc redirects, "": none */
	bool packet;         /* a packet(7) socket of IP is bound to a device */
};

/* A refused packet, from NFLOG. */
struct refused_packet {
	struct address source, destination;
	uint8_t protocol;
	uint16_t destination_port; /* host order, 0: none */
	bool audit;                /* would have been refused */
	bool inbound;
	/* That it is over; POLICY_LIMITS: no rule lets it through. Told once a
	 * second of each. */
	enum policy_limit limit;
	/* That it is one guess at our mark too many: nothing of ours leaves for
	 * a while. Told once each time. */
	bool guess;
};

/* A connection, as conntrack knows it. */
enum {
	FILTER_TUPLE_MAX = 96 /* bytes; IPv6 and ICMP need 80 */
};

struct filter_flow {
	/* What the kernel knows it by, among those that are open: id and
	 * tuple, opaque. */
	uint32_t id;
	uint16_t zone;
	bool zoned;
	uint8_t tuple_len, tuple[FILTER_TUPLE_MAX];
	uint8_t protocol;
	/* Who began it, and who answers: behind any translation. Ports in host
	 * order, 0: none. */
	struct address source, destination;
	uint16_t source_port, destination_port;
	bool inbound;
	bool audited; /* inbound, and let in by an audit alone */
	bool closed;  /* TCP's both ends have ended it */
	bool counted; /* the kernel counts its packets and bytes */
	uint64_t packets[2], bytes[2]; /* of who began it, of answers; headers
					  of IP included */
	uint64_t start_ms, end_ms;     /* of CLOCK_REALTIME, 0: not known */
};

enum filter_flow_event {
	FILTER_FLOW_BEGUN,
	FILTER_FLOW_LISTED, /* was there before we listened, or while events
			       got lost, and conntrack still knows it */
	FILTER_FLOW_ENDED   /* conntrack forgets it: TCP's 10 to 120 seconds
			       after its end */
};

/* Totals of refused and let-in packets since the tables were made. */
struct filter_counts {
	uint64_t refused_packets;
	uint64_t leased_elements;
	uint64_t commits;
	uint64_t limited[LIMIT_DNS]; /* of those refused: over a limit */
	uint64_t guessed;            /* and: our mark was being guessed */
	uint64_t quota_used;         /* bytes that count for it */
};

/*
 * Leases: which names led to which address and until when. Times are
 * milliseconds of CLOCK_BOOTTIME.
 */
enum {
	LEASE_FLOOR_S = 60,    /* the shortest lease, whatever the TTL */
	LEASE_SLACK_S = 30,    /* the kernel's outlives the client's TTL */
	LEASE_CAP_S = 3600,    /* the longest lease, slack included */
	LEASE_BOUND_S = 86400, /* of lease_table_bounds() */
	LEASE_MAX = 65536      /* addresses of one sandbox */
};

/* One element for the kernel: a is let in on ports (none: all) for timeout_s
 * seconds from now. timeout_s 0: is to be removed. */
struct lease_element {
	struct address a;
	const struct admitted_ports *ports; /* NULL: every protocol and port */
	uint32_t timeout_s;
	const struct domain_name *name; /* that led to it, NULL: not known */
};

struct lease_table;

enum {
	FILTER_RENEW_MS = 5000 /* between calls of filter_renew() */
};

/* filter.c */

/*
 * Open the netlink socket in the namespace and find out what the kernel can
 * do. Changes nothing yet. On error *why says which feature or capability is
 * missing (constant). 0, -EPERM, -EOPNOTSUPP, or another -errno.
 */
int filter_open(struct filter **out, const struct filter_settings *settings,
		const char **why);

/* Close the sockets; the rules stay. */
void filter_close(struct filter *filter);

/* Remove the tables: the sandbox is released. */
int filter_remove(struct filter *filter);

/* A line for each kernel feature that is missing and what that costs; NULL
 * after the last. */
const char *filter_missing(const struct filter *filter, size_t i);

/* Bits of enum filter_feature that it has and makes use of, among those that
 * were looked for (*tried); FILTER_XDP is for filter_missing() to tell. */
unsigned filter_features(const struct filter *filter, unsigned *tried);

/* Our resolvers are these now (FILTER_RESOLVERS_MAX at the most), from the next
 * filter_apply() on. Not for filters without a hole. */
void filter_set_resolvers(struct filter *filter,
			  const struct filter_peer *resolvers, size_t n);

/*
 * Let us, and nobody else, reach these n peers over TCP, and no others from
 * now on: packets need the mark and owner of the settings. Connections of ours
 * that are open live on. 0, -E2BIG (over FILTER_PEERS_MAX), -EINVAL (there is
 * no mark), or another -errno, and then nothing has changed.
 */
int filter_let_out(struct filter *filter, const struct filter_peer *peers,
		   size_t n);

/* Descriptor to poll for refused packets, for devices and addresses that come
 * and go, and for what filter_lost() tells. */
int filter_log_fd(const struct filter *filter);

/* Read the packets that are there, calling each for every one, and follow the
 * changes: new devices get their hooks, new neighbours may be found. 0 or
 * -errno. */
int filter_log_read(struct filter *filter,
		    void (*each)(void *arg, const struct refused_packet *p),
		    void *arg);

/* Have the bytes been used up that the policy lets through in all, as far as
 * filter_renew() has seen? Said once. Nothing reaches what is open then: it is
 * for filter_end_revoked(). */
bool filter_spent(struct filter *filter);

/* Ask the kernel for its counter, and give ours. 0 or -errno. */
int filter_counts(struct filter *filter, struct filter_counts *counts);

/* Hold what AF_XDP sockets could be bound to in the namespace (-1: ours), from
 * before there is a filter, for filter_settings.xdp. What cannot be held is for
 * filter_missing() to tell. 0 or -errno. */
int filter_hold_xdp(struct xdp_holds **out, int netns);

/* apply.c */

/*
 * Put the policy in force: one batch replaces every rule, range and leased
 * address (those of the table whose names it allows), and raises the
 * generation, so that open connections are judged anew. At no instant is a
 * packet judged by neither policy. On error the kernel holds what it held.
 * Takes over the tables of a process that ended. Leases never stand in the
 * way: where there is no room for them they end, to be admitted again.
 */
int filter_apply(struct filter *filter, const struct policy *policy,
		 struct lease_table *leases, uint64_t now_ms);

/* Is the last policy that was applied known to be in force? If not (somebody
 * took the tables away, or the kernel's word got lost, and the policy that was
 * refused may be in force), it is to be applied again. */
bool filter_is_applied(const struct filter *filter);

/*
 * What somebody else has taken out of the tables, or put into them, as far as
 * the kernel has told by now (filter_log_fd() becomes readable): a line like
 * "table inet opensandbox is missing", good until the next call; NULL: all is
 * as it was applied. The policy is then to be applied again, which puts back
 * all of it with the leases; connections that began meanwhile are
 * judged anew.
 */
const char *filter_lost(struct filter *filter);

/* bypass.c */

/* Look for it in the namespace (-1: ours). 0 or -errno. */
int filter_bypass(int netns, struct filter_bypass *found);

/* devices.c */

/* What filter_log_read() found that cannot be kept from the sandbox, a constant
 * line, once; NULL: nothing since. */
const char *filter_fault(struct filter *filter);

/* flows.c: the sandbox's connections, but for those of loopback, of DNS and of
 * our own; with a gate, its connections in place of the redirected ones. */

/* Descriptor to poll for them, -1: none are told of (mode dns judges none). */
int filter_flows_fd(const struct filter *filter);

/* Hear of them from now on, and of those that are there, or no longer. It costs
 * the kernel some 1.5 microseconds for each beginning and each end. 0 or
 * -errno. */
int filter_flows_listen(struct filter *filter, bool on);

/* Call each() for what has been told by now. Returns how many messages that
 * were, FILTER_FLOWS_READ or more: there may be others at once; or -errno. */
enum {
	FILTER_FLOWS_READ = 1024 /* and what came together with the last */
};
int filter_flows_read(struct filter *filter,
		      void (*each)(void *arg, enum filter_flow_event event,
				   const struct filter_flow *flow),
		      void *arg);

/* Events that the kernel could not tell, for want of room, since the start. */
uint64_t filter_flows_lost(struct filter *filter);

/* What the kernel knows now of a flow that it told of. 0; -ENOENT: it knows it
 * no longer; -errno. */
int filter_flow_ask(struct filter *filter, struct filter_flow *flow);

/* The name that last led to a, in this process's time or before; NULL: none. */
const struct domain_name *filter_last_name(const struct filter *filter,
					   const struct lease_table *leases,
					   const struct address *a);

/* lease_sets.c */

/* Let n elements in, in one batch, to the gate where there is one; returns
 * after the kernel has acknowledged it. On error none of them is in. */
int filter_admit(struct filter *filter, const struct lease_element *elements,
		 size_t n);

/* Is a open because name led to it, by the leases or by those of an earlier
 * process? */
bool filter_leads(const struct filter *filter, const struct lease_table *leases,
		  const struct domain_name *name, const struct address *a,
		  uint64_t now_ms);

/* lease_admit.c */

/*
 * name led to a with a TTL of *ttl_s seconds. *ttl_s becomes what the client
 * may be told (never more than the lease less the slack). Returns 1 and fills
 * *element when the kernel must be told before the answer leaves, 0 when its
 * lease is long enough already, -ENOMEM, or -ENOSPC: the table is full of live
 * leases, and names of no other domain hold more of them (if they do, some of
 * theirs end, for lease_next_evicted()). What 1 announced counts only
 * once lease_confirm() says the kernel took it. element->ports and ->name are
 * borrowed from ports and name.
 */
int lease_admit(struct lease_table *table, const struct domain_name *name,
		const struct address *a, const struct admitted_ports *ports,
		uint32_t *ttl_s, uint64_t now_ms,
		struct lease_element *element);

/* The kernel has taken the element. */
void lease_confirm(struct lease_table *table,
		   const struct lease_element *element, uint64_t now_ms);

/* Take in what an earlier table held: name led to a, and its lease runs until
 * end_ms, or ended then. 0, -ENOSPC or -ENOMEM. */
int lease_restore(struct lease_table *table, const struct domain_name *name,
		  const struct address *a, uint64_t end_ms, uint64_t now_ms);

/* leases.c */

/* 0 or -errno. The table is the caller's, for lease_table_free(). */
int lease_table_new(struct lease_table **out);
void lease_table_free(struct lease_table *table);

/* How many addresses it holds. */
size_t lease_table_count(const struct lease_table *table);

/* The shortest and the longest lease that is given from now on, in seconds, for
 * LEASE_FLOOR_S and LEASE_CAP_S; floor_s <= cap_s, cap_s >= 2 * LEASE_SLACK_S.
 */
void lease_table_bounds(struct lease_table *table, uint32_t floor_s,
			uint32_t cap_s);

/* Drop what the policy refuses and what is past remembering. */
void lease_table_sweep(struct lease_table *table, const struct policy *policy,
		       bool private_ok, uint64_t now_ms);

/* Take out the next lease that lease_admit() ended before its time to make
 * room, for the kernel to be told: timeout_s is 0, and ports is filled where
 * element->ports points to it. false: there is none. */
bool lease_next_evicted(struct lease_table *table,
			struct lease_element *element,
			struct admitted_ports *ports);

/* The name that last led to a, whatever became of its lease; NULL if none. */
const struct domain_name *lease_last_name(const struct lease_table *table,
					  const struct address *a);

/* Is a open because name led to it? */
bool lease_is_live(const struct lease_table *table,
		   const struct domain_name *name, const struct address *a,
		   uint64_t now_ms);

/* probe.c */

/* Why the kernel cannot enforce the limits of the policy, a constant line;
 * NULL: it can. */
const char *filter_unable(struct filter *filter, const struct policy *policy);

/* renew.c */

/*
 * Let the leases of addresses that open connections use go on, before they end:
 * to be called every FILTER_RENEW_MS and when filter_log_fd() is readable. Each
 * call does a bounded part of the work, and of all filters that share a
 * filter_kernel one begins a list in an iteration of the caller's loop. 0; call
 * again in so many milliseconds, there is more to do; -errno.
 */
int filter_renew(struct filter *filter, struct lease_table *leases,
		 uint64_t now_ms, uint64_t iteration);

/* revoke.c */

/* Reset the sockets in the sandbox whose peer the policy in force refuses
 * (sock_diag(7), SOCK_DESTROY), so that idle connections end too. Best effort:
 * -EOPNOTSUPP where the kernel cannot. */
int filter_end_revoked(struct filter *filter, const struct policy *policy,
		       const struct lease_table *leases, uint64_t now_ms);

/* takeover.c */

/*
 * The port that the rules of an earlier process in the namespace (-1: ours)
 * send DNS to, host order; 0: there are none. Whoever listens there again
 * serves clients that keep their source port. 0 or -errno.
 */
int filter_dns_port(int netns, uint16_t *port);

/* Are rules of this or an earlier process in force in the namespace (-1:
 * ours)? 1, 0, or -errno. */
int filter_exists(int netns);

/* true_peer.c */

/*
 * Whom a UDP socket of ours speaks to when it is connected to a peer: another
 * one where a program of our control group says so. 0 or -errno.
 */
int filter_true_peer(const struct filter_peer *to, struct filter_peer *peer);

/* xdp.c */

/* Let go of what filter_hold_xdp() holds: anybody may bind to those queues
 * afterwards. */
void xdp_free(struct xdp_holds *holds);

#endif
