/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbour discovery and multicast listener discovery, without which IPv6 does
 * not work: RFC 4861, RFC 2710, RFC 3810.
 */
#ifndef EGRESS_FILTER_NEIGHBOURS_H
#define EGRESS_FILTER_NEIGHBOURS_H

struct batch;

/* Rules of chain, for ICMPv6 alone, that accept what may leave: to neighbours
 * (set onlink6), in the form that the kernel's own has, at its rate, and of no
 * other groups than those of set groups6. Any user may join a group of any name
 * (IPV6_JOIN_GROUP, ipv6(7)), and its name is then told to all neighbours. */
void neighbours_write_out(struct batch *b, const char *chain);
/* Rules of chain that accept what may come in. */
void neighbours_write_in(struct batch *b, const char *chain);

#endif
