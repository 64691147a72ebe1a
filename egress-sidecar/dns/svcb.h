/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SVCB and HTTPS records (RFC 9460) without their address hints: a hint would
 * lead a client to an address that no A or AAAA answer has admitted. Pure.
 */
#ifndef EGRESS_DNS_SVCB_H
#define EGRESS_DNS_SVCB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does the record's data hold ipv4hint or ipv6hint, or is it out of form? */
bool svcb_has_hints(const uint8_t *data, size_t len);

/*
 * Copy the data without the hints and without their mention in "mandatory".
 * out holds len bytes. Returns the bytes written or -EBADMSG.
 */
int svcb_without_hints(uint8_t *out, const uint8_t *data, size_t len);

#endif
