/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing arrays of set elements, and how addresses, ports and ranges become
 * keys. Pure.
 */
#ifndef EGRESS_FILTER_ELEMENTS_H
#define EGRESS_FILTER_ELEMENTS_H

#include "batch.h"
#include "policy/policy.h"

struct elements {
	struct set_element *e; /* owned */
	size_t n, size;
	char *text; /* of comments, owned */
	size_t text_len, text_size;
};

void elements_free(struct elements *list);

/* No elements; the memory is kept. */
void elements_clear(struct elements *list);

/* A zeroed element at the end; NULL when out of memory. */
struct set_element *elements_add(struct elements *list);

/* Give an element of the list a comment of less than SET_COMMENT_MAX bytes; one
 * that is longer is left out. 0 or -ENOMEM. */
int elements_comment(struct elements *list, struct set_element *e,
		     const char *comment);

/* a; a . port, in host order; a . number. */
void element_address(struct set_element *e, const struct address *a);
void element_address_port(struct set_element *e, const struct address *a,
			  uint16_t port);
void element_address_number(struct set_element *e, const struct address *a,
			    uint32_t number);

/* Sort by key; of those with equal keys the longest timeout stays. */
void elements_unique(struct elements *list);

/* The interval r, with a verdict or without. 0 or -ENOMEM. */
int elements_add_range(struct elements *list, const struct address_range *r,
		       const struct verdict *verdict);

/* Sort n ranges and merge those that overlap or touch; returns how many are
 * left. */
size_t ranges_merge(struct address_range *r, size_t n);

#endif
