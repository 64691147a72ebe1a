/* SPDX-License-Identifier: Apache-2.0 */
/* The options of "learn": its own, and those of the sidecar. */
#ifndef EGRESS_LEARN_OPTIONS_H
#define EGRESS_LEARN_OPTIONS_H

#include "life/life.h"

struct learn_options {
	struct settings settings;
	const char *output;   /* NULL: standard output */
	const char *from_log; /* "-": standard input; NULL: watch */
	bool force, merge;    /* what to do with an output that is there */
	bool ports, asked;
	size_t wildcards;
	unsigned duration_s; /* 0: until a signal */
};

/* As settings_read(): 0; 1 done; -EINVAL after one line on standard error. */
int learn_options_read(struct learn_options *options, int argc, char **argv);
void learn_options_free(struct learn_options *options);

#endif
