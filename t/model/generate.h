/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies for the reference. A small world (few labels, addresses and
 * ports) makes rules meet.
 */
#ifndef MODEL_GENERATE_H
#define MODEL_GENERATE_H

#include "reference.h"

#include <jansson.h>
#include <stdint.h>

enum {
	MODEL_PORT_WORLD = 12, /* rules speak of ports 1 to somewhat above it */
	MODEL_NAME_MAX = 32    /* octets of a name, its end included */
};

/* The same seed draws the same policies. */
void model_seed(uint64_t seed);

/* 0 to n - 1 */
unsigned int model_pick(unsigned int n);

void model_name(char out[MODEL_NAME_MAX]);
void model_address(struct address *a);
unsigned int model_port(void);

/* Start *m with the rules of always-files, none most of the time. */
void model_draw_always(struct model *m);

/* Draw a document behind them; another call replaces the last one's. */
void model_draw_policy(struct model *m);

/* That document as its author writes it, for the caller to release. */
json_t *model_document(const struct model *m);

#endif
