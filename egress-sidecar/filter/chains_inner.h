/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files that write the chains at the hooks: chains.c, and below it
 * chains_input.c, chains_dns.c and chains_match.c. Nobody else includes it.
 */
#ifndef EGRESS_FILTER_CHAINS_INNER_H
#define EGRESS_FILTER_CHAINS_INNER_H

#include "chains.h"
#include "rule.h"

#include <linux/netfilter.h>

enum {
	LOOPBACK_INDEX = 1 /* of "lo", in every namespace */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* chains_match.c */

extern const uint8_t chain_with_ports[2]; /* protocols */
extern const uint8_t chain_families[2];   /* NFPROTO_ */

bool chain_is_v6(uint8_t family);
/* Load an address of the IP header, from the 32-bit register first on. */
void chain_load_source(struct batch *b, uint8_t family, uint32_t first);
void chain_load_destination(struct batch *b, uint8_t family, uint32_t first);
/* address . port (of the transport header) is an element of the set */
void chain_is_peer(struct batch *b, uint8_t family, bool source,
		   const char *set4, const char *set6);
void chain_is_resolver(struct batch *b, uint8_t family, bool source);
/* A packet of our own resolver sockets: their mark, which is random, and their
 * owner. */
void chain_is_ours(struct batch *b, const struct filter_settings *s);
bool chain_address_is(const struct address *a, const uint8_t *bytes);
bool chain_is_loopback(const struct address *a);
bool chain_is_exempt(const struct filter_settings *s, const struct address *a);
void chain_accept_marked(struct batch *b, const char *chain, uint32_t mark,
			 uint8_t direction);
void chain_drop_invalid(struct batch *b, const char *chain, bool audit);
/* The chain of IP options and routing headers, and the way there. */
void chain_write_options(struct batch *b);
void chain_refuse_detours(struct batch *b, const char *chain,
			  const struct filter_settings *s);

/* chains_dns.c; chains_write_dns() as well */

void chain_write_rewritten(struct batch *b, const char *chain,
			   const struct filter_settings *s);
void chain_write_guests(struct batch *b, const struct filter_settings *s);

/* chains_input.c */

/* Whoever may open connections inward is let in. */
void chain_admit_inbound(struct batch *b, const char *chain);
void chain_write_input(struct batch *b, const struct ruleset *r);

#endif
