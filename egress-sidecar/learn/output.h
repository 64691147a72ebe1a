/* SPDX-License-Identifier: Apache-2.0 */
/* A learned policy's way into a file. */
#ifndef EGRESS_LEARN_OUTPUT_H
#define EGRESS_LEARN_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

/* The document's text, a rule a line, for the caller to free; NULL when out of
 * memory. */
char *output_text(const json_t *document);

/* Can the file be written later? It must not be there unless it may be
 * replaced, and its folder must take another. 0 or -errno. */
int output_check(const char *path, bool replace);

/* Write it whole or not at all. 0; -EEXIST where it is there and not to be
 * replaced; another -errno. */
int output_write(const char *path, const char *text, bool replace);

#endif
