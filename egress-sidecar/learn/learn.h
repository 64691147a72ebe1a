/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress-sidecar learn: watch a sandbox in audit mode, or read the log of one
 * that was watched, and write the policy that its traffic needs.
 */
#ifndef EGRESS_LEARN_LEARN_H
#define EGRESS_LEARN_LEARN_H

/* Run the subcommand; argv[0] is its own name, "learn". Returns the exit
 * status: 0 written, 1 failed, 2 wrong usage. */
int learn_main(int argc, char **argv);

#endif
