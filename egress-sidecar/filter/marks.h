/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conntrack marks. Generations have the top bit clear; connections that were
 * let in have it set, and so have those of DNS that was redirected to us, here
 * or on its way through, and of connections that we opened ourselves. None is
 * 0, which a connection has that nobody judged. Pure.
 */
#ifndef EGRESS_FILTER_MARKS_H
#define EGRESS_FILTER_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#define RULESET_MARK_INBOUND    0x80000000U /* this bit */
#define RULESET_MARK_REDIRECTED 0x80000001U
#define RULESET_MARK_OURS       0x80000002U /* of filter_let_out() */
#define RULESET_MARK_GUESTS     0x80000003U /* DNS of machines behind us */
#define RULESET_MARK_AUDITED    0x80000004U /* let in by an audit alone */

/* The mark of connections that settings with this hash let in: never one of the
 * above, never a generation. */
uint32_t mark_inbound(uint32_t hash);

/* Any number as a generation. */
uint32_t mark_generation(uint32_t number);

/* The generation that follows. *again: they begin anew with it, and what
 * carries the mark of one may be older than this process remembers. */
uint32_t mark_next(uint32_t generation, bool *again);

#endif
