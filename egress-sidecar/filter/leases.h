/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learned addresses: which names led to which address and until when. Pure:
 * time is an argument, in milliseconds of CLOCK_BOOTTIME, and what the kernel
 * has to be told comes out as values.
 *
 * An address outlives its lease here for a while ("remembered"), so that a
 * connection that was opened in time can be judged by name when the policy
 * changes, and so that a refused packet can be named in the log.
 */
#ifndef EGRESS_FILTER_LEASES_H
#define EGRESS_FILTER_LEASES_H

#include "policy/policy.h"

enum {
	LEASE_FLOOR_S = 60, /* the shortest lease, whatever the TTL */
	LEASE_SLACK_S = 30, /* the kernel's lease outlives the client's TTL */
	LEASE_CAP_S = 3600, /* the longest lease, slack included */
	LEASE_BOUND_S = 86400,       /* of lease_table_bounds() */
	LEASE_REMEMBER_S = 6 * 3600, /* how long an ended lease is remembered */
	LEASE_NAMES_MAX = 16,        /* names kept for one address */
	LEASE_MAX = 65536,           /* addresses of one sandbox */
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

int lease_table_new(struct lease_table **out);
void lease_table_free(struct lease_table *table);
size_t lease_table_count(const struct lease_table *table);

/* The shortest and the longest lease that is given from now on, in seconds, for
 * LEASE_FLOOR_S and LEASE_CAP_S; floor_s <= cap_s, cap_s >= 2 * LEASE_SLACK_S.
 */
void lease_table_bounds(struct lease_table *table, uint32_t floor_s,
			uint32_t cap_s);

/*
 * name led to a with a TTL of *ttl_s seconds. *ttl_s becomes what the client
 * may be told (never more than the lease less the slack). Returns 1 and fills
 * *element when the kernel must be told before the answer leaves, 0 when its
 * lease is long enough already, -ENOMEM, or -ENOSPC: the table is full of live
 * leases, and no other names hold more of them (see lease_shares.h; if they do,
 * some of theirs end, for lease_next_evicted()). What 1 announced counts only
 * once lease_confirm() says the kernel took it. element->ports and ->name are
 * borrowed from ports and name.
 */
int lease_learn(struct lease_table *table, const struct domain_name *name,
		const struct address *a, const struct admitted_ports *ports,
		uint32_t *ttl_s, uint64_t now_ms,
		struct lease_element *element);
void lease_confirm(struct lease_table *table,
		   const struct lease_element *element, uint64_t now_ms);

/* Take out the next lease that lease_learn() ended before its time to make
 * room, for the kernel to be told: timeout_s is 0, and ports is filled where
 * element->ports points to it. false: there is none. */
bool lease_next_evicted(struct lease_table *table,
			struct lease_element *element,
			struct admitted_ports *ports);

/* No lease is the kernel's any more; the names are remembered. */
void lease_table_end(struct lease_table *table);

/* Take in what an earlier table held: name led to a, and its lease runs until
 * end_ms, or ended then. 0, -ENOSPC or -ENOMEM. */
int lease_restore(struct lease_table *table, const struct domain_name *name,
		  const struct address *a, uint64_t end_ms, uint64_t now_ms);

/*
 * Leases of addresses that open connections use go on. lease_due(): may one end
 * by then? If so, lease_use() for each open connection, then lease_renew()
 * until it returns 0.
 */
bool lease_due(const struct lease_table *table, uint64_t by_ms);

/* There is a connection to the port of a. */
void lease_use(struct lease_table *table, const struct address *a,
	       uint8_t protocol, uint16_t port, uint64_t now_ms);

/* A lease for the kernel to renew; its element points into it. */
struct lease_renewal {
	struct lease_element element;
	struct admitted_ports ports;
	struct domain_name name;
};

/*
 * The next leases that end by by_ms, were used at since_ms or later and are
 * allowed by the policy, at most LEASE_RENEWALS_MAX, as elements of the
 * shortest lease; where all of a used address have ended, the one that was
 * learned last. *at is 0 at first. As with lease_learn() they count once
 * lease_confirm() says so.
 */
enum {
	LEASE_RENEWALS_MAX = 256
};
size_t lease_renew(struct lease_table *table, const struct policy *policy,
		   bool private_ok, uint64_t since_ms, uint64_t by_ms,
		   uint64_t now_ms, size_t *at, struct lease_renewal *out);

/* The name that last led to a, whatever became of its lease; NULL if none. */
const struct domain_name *lease_last_name(const struct lease_table *table,
					  const struct address *a);

/* Is a open because name led to it? */
bool lease_is_live(const struct lease_table *table,
		   const struct domain_name *name, const struct address *a,
		   uint64_t now_ms);

/*
 * Judge every remembered pair of name and address by another policy. Calls
 * each(arg, element, live): live elements are leases that run on under it, in
 * full or on ports, with the time they have left; the others (live false) are
 * ended leases whose names are still allowed, for connections that are open.
 * What the policy refuses is not called for. Does not change the table.
 */
void lease_table_judge(
	const struct lease_table *table, const struct policy *policy,
	bool private_ok, uint64_t now_ms,
	void (*each)(void *arg, const struct lease_element *element, bool live),
	void *arg);

/* Drop what the policy refuses and what is past remembering. */
void lease_table_sweep(struct lease_table *table, const struct policy *policy,
		       bool private_ok, uint64_t now_ms);

#endif
