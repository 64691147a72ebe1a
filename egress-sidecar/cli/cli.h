/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For hands at a prompt: what is guarded here, and its policy, asked of a
 * sidecar's API or of the agent's socket.
 */
#ifndef EGRESS_CLI_H
#define EGRESS_CLI_H

/* egress-sidecar status [ID], top, policy VERB [ARGUMENT...]. Each returns the
 * exit status: 0; 1: refused, or something guarded is not as it should be; 2:
 * wrong usage; 3: nobody to be reached. */
int status_main(int argc, char **argv);
int top_main(int argc, char **argv);
int policy_main(int argc, char **argv);

#endif
