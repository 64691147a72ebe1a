/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress-sidecar cni: a chained CNI plugin (Container Network Interface
 * Specification, 1.0.0) that has the host's agent guard the container's
 * namespace. The network configuration comes on standard input and the
 * parameters in CNI_ variables.
 */
#ifndef EGRESS_ATTACH_CNI_H
#define EGRESS_ATTACH_CNI_H

/* Returns the exit status: 0, or 1 after an error object on standard output.
 */
int cni_main(int argc, char **argv);

#endif
