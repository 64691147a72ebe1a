/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel holds in a set of learned addresses, as far as we wrote it:
 * a change of policy then writes what differs alone. One that the kernel has
 * let go at its end may still be here, never the other way round.
 *
 * Times are milliseconds of CLOCK_MONOTONIC: like the kernel's timer of an
 * element (jiffies) it stands still while the machine sleeps.
 */
#ifndef EGRESS_FILTER_HELD_H
#define EGRESS_FILTER_HELD_H

#include "elements.h"

struct held_element;

struct held {
	struct held_element *at; /* owned; a hash, size a power of two or 0 */
	size_t size, used, live;
	uint64_t key; /* of the hash: addresses come from outside */
};

uint64_t held_now_ms(void);

/* Make room for so many held_put(). 0 or -ENOMEM. */
int held_reserve(struct held *h, size_t more, uint64_t now_ms);
/* The set has e, of a list with this text, from now_ms on. There is room. */
void held_put(struct held *h, const struct set_element *e, const char *text,
	      uint64_t now_ms);
/* The set has it no more. */
void held_drop(struct held *h, const struct set_element *e);
/* Nothing is held. */
void held_free(struct held *h);

/* How a set comes to hold the elements of to, which is borrowed. The parts'
 * comments are in its text. */
struct set_change {
	const struct elements *to;
	bool anew; /* take the set away and write all of to */
	/* Otherwise: new ones, and those that are taken out, of which the first
	 * n_again come in again with another end or comment. */
	struct elements come, turn;
	size_t n_again;
};

/*
 * Find what is to change, and what is held after it (next, to be freed). anew
 * is set where it is asked for (from may then be anything), and where it is
 * less work. 0 or -ENOMEM, and then change and next are empty.
 */
int held_change(const struct held *from, const struct elements *to, bool anew,
		uint64_t now_ms, struct set_change *change, struct held *next);
void set_change_free(struct set_change *change);

/* Write it. The set is there, and empty if change is anew. */
void set_change_write(struct batch *b, const char *set, enum set_key key,
		      const struct set_change *change);

/* Take the elements out, and the first n_again of them in again: re-adding one
 * leaves its old end; added, deleted and added it gets the new one, whether it
 * was there or not. */
void elements_turn(struct batch *b, const char *set, enum set_key key,
		   const struct elements *list, size_t n_again,
		   const char *text);

#endif
