/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of ours that speak to the outside from within the sandbox's own
 * namespace (sidecar mode). The packet filter lets them out by their mark; a
 * sandbox with CAP_NET_RAW sees what they send, and could answer first, in the
 * peer's name, over loopback.
 */
#ifndef EGRESS_OUTWARD_H
#define EGRESS_OUTWARD_H

#include <stdint.h>
#include <sys/socket.h>

/*
 * Before fd is connected to peer: set its mark (SO_MARK, socket(7)), and drop
 * what arrives over loopback (a classic socket filter on the device's index),
 * unless peer is an address of the namespace, which is nowhere else to be met.
 * mark 0: nothing is done. 0 or -errno.
 */
int outward_prepare(int fd, uint32_t mark, const struct sockaddr *peer);

#endif
