/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the table of leases: leases.c, which holds it, and what works on it,
 * lease_admit.c, lease_judge.c and lease_renew.c. Pure: time is an argument, in
 * milliseconds of CLOCK_BOOTTIME, and what the kernel has to be told comes out
 * as values.
 *
 * An address outlives its lease here for a while ("remembered"), so that a
 * connection that was opened in time can be judged by name when the policy
 * changes, and so that a refused packet can be named in the log.
 */
#ifndef EGRESS_FILTER_LEASES_H
#define EGRESS_FILTER_LEASES_H

#include "filter.h"

enum {
	LEASE_REMEMBER_S = 6 * 3600, /* how long an ended lease is remembered */
	LEASE_NAMES_MAX = 16,        /* names kept for one address */
	LEASE_RENEWALS_MAX = 256,    /* of a lease_renew() */
	LEASE_SHARES = 256,          /* those with the same hash are one */
	MS = 1000                    /* in a second */
};

/* One name that led to an address. */
struct lease_pair {
	struct lease_pair *next;      /* older */
	struct admitted_ports *ports; /* owned; NULL: all */
	uint64_t end_ms;              /* of the lease that the kernel took */
	uint64_t announced_ms; /* end of one it was not yet seen to take */
	uint64_t admitted_ms;  /* the name last led here */
	uint64_t used_ms;      /* an open connection was seen */
	uint8_t len;
	uint8_t wire[];
};

struct lease_entry {
	struct lease_entry *next; /* in its bucket */
	struct address a;
	size_t n;
	struct lease_pair *pairs; /* owned, n of them, the newest first */
	uint8_t share;            /* of its first name */
};

/*
 * How the room of a table is shared among the names that want it: by the last
 * two labels of a name, so that what resolves without end below one wildcard
 * takes from itself.
 */
struct lease_shares {
	size_t n[LEASE_SHARES]; /* addresses that each holds */
};

struct lease_table {
	struct lease_entry **bucket;
	size_t n_buckets; /* a power of two */
	size_t n_entries, n_pairs;
	struct lease_shares shares;
	struct lease_entry *evicted; /* owned; no part of the table any more */
	size_t hand;                 /* bucket where to look for more */
	uint64_t key[2];
	uint64_t full_until_ms; /* nothing can be evicted before */
	uint64_t soonest_ms;    /* no live lease ends before */
	uint64_t scanned_ms;    /* the same, of the scan under way */
	uint32_t floor_s, cap_s;
	struct domain_name *last_name; /* owned; of lease_last_name() */
};

/* A lease for the kernel to renew; its element points into it. */
struct lease_renewal {
	struct lease_element element;
	struct admitted_ports ports;
	struct domain_name name;
};

/* lease_judge.c */

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

/*
 * lease_renew.c: leases of addresses that open connections use go on.
 * lease_due(): may one end by then? If so, lease_use() for each open
 * connection, then lease_renew() until it returns 0.
 */

bool lease_due(const struct lease_table *table, uint64_t by_ms);

/* There is a connection to the port of a. */
void lease_use(struct lease_table *table, const struct address *a,
	       uint8_t protocol, uint16_t port, uint64_t now_ms);

/*
 * The next leases that end by by_ms, were used at since_ms or later and are
 * allowed by the policy, at most LEASE_RENEWALS_MAX, as elements of the
 * shortest lease; where all of a used address have ended, the one that was
 * admitted last. *at is 0 at first. As with lease_admit() they count once
 * lease_confirm() says so.
 */
size_t lease_renew(struct lease_table *table, const struct policy *policy,
		   bool private_ok, uint64_t since_ms, uint64_t by_ms,
		   uint64_t now_ms, size_t *at, struct lease_renewal *out);

/* lease_shares.c */

/* The share of a name; key keeps out who would choose names by it. */
uint8_t lease_share_of(const struct domain_name *name, uint64_t key);

/* The table is full and share wants one more: how many addresses *largest is
 * to give up, 0: it is the largest itself. */
size_t lease_shares_excess(const struct lease_shares *shares, uint8_t share,
			   uint8_t *largest);

/* leases.c */

/* No lease is the kernel's any more; the names are remembered. */
void lease_table_end(struct lease_table *table);

/* A live lease ends then. */
void lease_note_end(struct lease_table *table, uint64_t end_ms);

struct lease_entry *lease_find(const struct lease_table *table,
			       const struct address *a);
struct lease_pair *lease_find_pair(const struct lease_entry *e,
				   const struct domain_name *name);

/* An entry of an address that has none, without a pair; name is its first. 0,
 * -ENOMEM, or -ENOSPC: the table is full, see lease_admit(). */
int lease_entry_add(struct lease_table *table, const struct address *a,
		    const struct domain_name *name, uint64_t now_ms,
		    struct lease_entry **out);
/* Take it out of the table, with its pairs. */
void lease_entry_remove(struct lease_table *table, struct lease_entry *e);

/* A pair for all ports that has no lease yet. 0 or -ENOMEM. */
int lease_pair_add(struct lease_table *table, struct lease_entry *e,
		   const struct domain_name *name, struct lease_pair **out);
void lease_pair_name(const struct lease_pair *pair, struct domain_name *name);

bool lease_span_within(const struct port_span *span,
		       const struct admitted_ports *ports);

#endif
