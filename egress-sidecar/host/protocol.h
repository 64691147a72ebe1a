/* SPDX-License-Identifier: Apache-2.0 */
/* IP protocols by name, as log lines show them. */
#ifndef EGRESS_PROTOCOL_H
#define EGRESS_PROTOCOL_H

#include <stdint.h>

enum {
	PROTOCOL_TEXT_MAX = 8
};

/* "tcp", "udp", "icmp", ..., or the number; out has PROTOCOL_TEXT_MAX bytes.
 * Returns the text, which is out or a constant. */
const char *protocol_to_text(uint8_t protocol, char *out);

/* The way back. 0 or -EINVAL. */
int protocol_from_text(uint8_t *protocol, const char *text);

#endif
