/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain names in wire form (RFC 1035, 3.1), lower case: what policies match
 * and caches key on, so that no spelling of a name is judged twice.
 */
#ifndef EGRESS_POLICY_NAME_H
#define EGRESS_POLICY_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOMAIN_NAME_MAX   255
#define DOMAIN_LABELS_MAX 127
/* "\255" for each octet in the worst case, dots and the NUL. */
#define DOMAIN_NAME_TEXT_MAX 1024

/* Labels with their length octets, ASCII letters folded to lower case, the
 * root label's zero included. len is at least 1 (the root alone). */
struct domain_name {
	uint8_t len;
	uint8_t wire[DOMAIN_NAME_MAX];
};

/* Read a host name as a policy or a user writes it: labels of 1 to 63 of
 * [A-Za-z0-9_-] (A-labels for internationalised names), an optional trailing
 * dot. 0 or -EINVAL, and then *why is a constant that says what is wrong. */
int domain_name_from_text(struct domain_name *name, const char *text,
			  const char **why);

/* Take an uncompressed wire-form name of at most len bytes; any octet may
 * stand in a label. Returns the bytes it took, or -EINVAL. */
int domain_name_from_wire(struct domain_name *name, const uint8_t *wire,
			  size_t len);

/* Presentation form without the trailing dot ("." for the root); octets other
 * than [a-z0-9_-] as \DDD (RFC 4343, 2.1). Returns out, which holds
 * DOMAIN_NAME_TEXT_MAX bytes. */
char *domain_name_to_text(const struct domain_name *name, char *out);

/* Copy n octets, ASCII letters folded to lower case (RFC 4343); from and to
 * are the same or do not overlap. */
void domain_octets_fold(uint8_t *to, const uint8_t *from, size_t n);

/* A copy for keeping, the caller's to free: it has the name's len bytes and no
 * more, so that it is read through its pointer, never copied whole. NULL when
 * out of memory. */
struct domain_name *domain_name_copy(const struct domain_name *name);

/* Is the last label digits and hyphens alone, or does it begin with "0x"? No
 * top-level domain does (RFC 3696, 2), while resolvers' and browsers' readers
 * of host names take such a name for an IPv4 address in another notation (URL
 * standard, "ends in a number"; inet_aton(3)): as a rule's target it is a
 * mistyped address or range. */
bool domain_name_ends_in_number(const struct domain_name *name);

bool domain_name_equal(const struct domain_name *a,
		       const struct domain_name *b);

/* 64-bit keyed hash of the wire form; the key is drawn at program start, so
 * that a hostile client cannot choose names that collide. */
uint64_t domain_name_hash(const struct domain_name *name);

/* The hash of a label (its length octet first) put before a suffix with the
 * hash given; the root's is 0. Folded over a name's labels from the right it
 * is domain_name_hash(), and the hash of every suffix on the way. */
uint64_t domain_name_hash_label(uint64_t suffix, const uint8_t *label);

/* Where in name->wire each label starts; returns how many there are, the
 * root's not counted. */
size_t domain_name_labels(const struct domain_name *name,
			  uint8_t offset[DOMAIN_LABELS_MAX]);

#endif
