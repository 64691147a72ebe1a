/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chains at the hooks: which packets are judged at all, and which have
 * been. The only place that knows where in the network stack we stand.
 */
#ifndef EGRESS_FILTER_CHAINS_H
#define EGRESS_FILTER_CHAINS_H

#include "ruleset.h"

enum {
	PORT_DNS = 53
};

/* nf_tables' names for the bits of "ct state": NF_CT_STATE_BIT() and
 * NF_CT_STATE_INVALID_BIT of the kernel's headers. */
enum {
	NFT_STATE_INVALID = 1,
	NFT_STATE_ESTABLISHED = 2,
	NFT_STATE_RELATED = 4,
	NFT_STATE_NEW = 8,
	NFT_STATE_UNTRACKED = 64
};

/* Base chains; they stay from one policy to the next. */
void chains_add_base(struct batch *b, const struct ruleset *r);

/* Rules that bring the sandbox's DNS to us, and ours to the resolvers. */
void chains_write_dns(struct batch *b, const struct ruleset *r);

/* Rules of the chains that enforce; they end in judge, admit_in or
 * refuse_in. */
void chains_write_enforcement(struct batch *b, const struct ruleset *r);

#endif
