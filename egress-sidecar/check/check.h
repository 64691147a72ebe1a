/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress-sidecar check FILE: is a policy valid, what does it compile to, and
 * which rule decides?
 */
#ifndef EGRESS_CHECK_H
#define EGRESS_CHECK_H

/* Run the subcommand; argv[0] is its own name, "check". Returns the exit
 * status: 0 valid, 1 invalid or unreadable, 2 wrong usage. */
int check_main(int argc, char **argv);

#endif
