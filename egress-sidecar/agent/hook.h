/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress-sidecar hook: an OCI hook (OCI Runtime Specification, config.md,
 * "POSIX-platform Hooks") for createRuntime and poststop. The container's
 * state comes on standard input.
 */
#ifndef EGRESS_ATTACH_HOOK_H
#define EGRESS_ATTACH_HOOK_H

/* Returns the exit status: 0, 1 after one line on standard error, 2 for wrong
 * usage. */
int hook_main(int argc, char **argv);

#endif
