/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that have to be written anew, since records were cut from them.
 * The one place that knows ldns. Pure.
 */
#ifndef EGRESS_DNS_MESSAGE_H
#define EGRESS_DNS_MESSAGE_H

#include "wire.h"

/*
 * Write message again with those records of its answer section for which
 * keep[i] is true: first the others, then those of the question's type, then
 * signatures. SVCB and HTTPS records lose their hints, or are left out when
 * out of form. The authority section stays if authority, the additional never.
 * *out is the caller's, to be freed with free(). 0, -EBADMSG, -ENOMEM.
 */
int message_rebuild(uint8_t **out, size_t *out_len, const uint8_t *message,
		    size_t len, const bool *keep, bool authority);

#endif
