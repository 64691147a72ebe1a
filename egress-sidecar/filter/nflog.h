/* SPDX-License-Identifier: Apache-2.0 */
/* Refused packets, as the kernel's nfnetlink_log reports them. */
#ifndef EGRESS_FILTER_NFLOG_H
#define EGRESS_FILTER_NFLOG_H

#include "filter.h"
#include "netlink.h"

/* Open a socket in the namespace that gets the group's packets. 0 or -errno;
 * -EBUSY where another process has the group. */
int nflog_open(struct channel *c, int netns, uint16_t group);
int nflog_read(struct channel *c,
	       void (*each)(void *arg, const struct refused_packet *p),
	       void *arg);

/* What an IPv4 or IPv6 packet (len bytes of its beginning) says of itself.
 * Pure. 0, or -EINVAL where it is too short to tell its addresses. */
int nflog_parse_packet(struct refused_packet *p, const uint8_t *packet,
		       size_t len);

#endif
