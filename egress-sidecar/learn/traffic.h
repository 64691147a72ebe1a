/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandbox was seen to do, taken from its log lines: the names it asked
 * for, the addresses they led to, and what it sent to which address.
 */
#ifndef EGRESS_LEARN_TRAFFIC_H
#define EGRESS_LEARN_TRAFFIC_H

#include "policy/address.h"
#include "policy/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TRAFFIC_NAMES_MAX = 1 << 16,
	TRAFFIC_ADDRESSES_MAX = 1 << 16,
	TRAFFIC_CONTACTS_MAX = 1 << 18,
	TRAFFIC_LINE_MAX = 1 << 20, /* bytes */
};

struct seen_name {
	struct domain_name name;
	bool denied_by_rule; /* and not by the default action */
	bool contacted;
};

/* Packets to one port of an address. With a name that had led to the address
 * before, one contact for each such name; without, name is NULL. */
struct contact {
	struct seen_name *name;
	struct address a;
	uint8_t protocol;
	uint16_t port; /* host order, 0: none */
};

struct traffic {
	void *names, *addresses, *contacts; /* search trees */
	size_t n_names, n_addresses, n_contacts;
	char *sandbox_id;       /* lines of others are passed over; NULL: all */
	uint64_t lines;         /* that an egress-sidecar wrote */
	uint64_t lookups;       /* names asked for */
	uint64_t packets;       /* that were logged */
	uint64_t suppressed;    /* lines that the log's budget held back */
	uint64_t unreadable;    /* lines that are no log lines */
	uint64_t no_host_names; /* lookups of what no policy can name */
	uint64_t forgotten;     /* observations for which there was no room */
	bool loaded;            /* egress.loaded was read */
	/* The line being taken is one for a person to see. */
	bool warning;
};

/* sandbox_id is copied; NULL: take every line. 0 or -ENOMEM. */
int traffic_init(struct traffic *traffic, const char *sandbox_id);
void traffic_free(struct traffic *traffic);

/* Take one log line, without its end. What stands before its first brace (a
 * container runtime's time and stream) is passed over. 0 or -ENOMEM. */
int traffic_take(struct traffic *traffic, const char *line, size_t len);

/* The contacts, by name (canonical order, RFC 4034, 6.1; those without a name
 * last), address, protocol and port; and the names, in the same order. The
 * caller frees the array; its elements live as long as the traffic. NULL when
 * out of memory. */
struct contact **traffic_contacts(const struct traffic *traffic);
struct seen_name **traffic_names(const struct traffic *traffic);

/* Canonical order of names: label by label from the right. */
int name_order(const struct domain_name *a, const struct domain_name *b);

#endif
