/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_RANGES_H
#define MODEL_RANGES_H

#include "policy/policy.h"

/* What the kernel does with a packet to an address that no name led to, given
 * a compiled policy's ranges and port tables; protocol is IPPROTO_*. */
bool ranges_allow(const struct policy *policy, const struct address *a,
		  int protocol, unsigned int port);

#endif
