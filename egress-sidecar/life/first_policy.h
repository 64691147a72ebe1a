/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy to start with: the policy file's if there is something in it,
 * else the environment's or the command line's rules, else none: deny all.
 */
#ifndef EGRESS_FIRST_POLICY_H
#define EGRESS_FIRST_POLICY_H

#include "settings.h"

/* *rules is the caller's, NULL: none. 0, or -errno after saying why on standard
 * error. */
int first_policy(struct rules **rules, const struct settings *settings);

#endif
