/* SPDX-License-Identifier: Apache-2.0 */
/* Whose process is at the other end of a TCP connection from this host. */
#ifndef EGRESS_CONTROL_PEER_H
#define EGRESS_CONTROL_PEER_H

#include <stdbool.h>

/*
 * Is the client of this accepted connection a process of our own user or of
 * root, in our network namespace? The kernel is asked for the owner of the
 * client's socket (sock_diag(7)); false where it does not say, as for a
 * client that has closed its end.
 */
bool peer_is_ours(int fd);

#endif
