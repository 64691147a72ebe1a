/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <string.h>

int wire_name(struct domain_name *name, const uint8_t *message, size_t len,
	      size_t at)
{
	size_t floor = at; /* pointers must lead below this */
	size_t end = 0;    /* where the name ends, once a pointer was met */
	size_t n = 0;

	for (;;) {
		uint8_t label;

		if (at >= len)
			return -EBADMSG;
		label = message[at];
		if ((label & 0xc0) == 0xc0) {
			size_t to;

			if (at + 2 > len)
				return -EBADMSG;
			to = wire_get16(message + at) & 0x3fff;
			if (to >= floor)
				return -EBADMSG;
			if (!end)
				end = at + 2;
			floor = at = to;
			continue;
		}
		if (label > 63 || at + 1 + label > len ||
		    n + 1 + label > DOMAIN_NAME_MAX - (label ? 1 : 0))
			return -EBADMSG;
		name->wire[n++] = label;
		at++;
		domain_octets_fold(name->wire + n, message + at, label);
		n += label;
		at += label;
		if (!label)
			break;
	}
	name->len = (uint8_t)n;
	return (int)(end ? end : at);
}

int wire_skip_name(const uint8_t *message, size_t len, size_t at)
{
	size_t start = at;

	while (at < len) {
		uint8_t label = message[at];

		if ((label & 0xc0) == 0xc0)
			return at + 2 <= len ? (int)(at + 2) : -EBADMSG;
		if (label > 63)
			return -EBADMSG;
		at += (size_t)label + 1;
		if (at - start > DOMAIN_NAME_MAX)
			return -EBADMSG;
		if (!label)
			return at <= len ? (int)at : -EBADMSG;
	}
	return -EBADMSG;
}

int wire_record(struct wire_record *record, const uint8_t *message, size_t len,
		size_t at)
{
	int fixed = wire_skip_name(message, len, at);

	if (fixed < 0)
		return fixed;
	record->at = at;
	record->fixed = (size_t)fixed;
	if (len - record->fixed < DNS_RECORD_FIXED)
		return -EBADMSG;
	message += fixed;
	record->type = wire_get16(message);
	record->class = wire_get16(message + 2);
	record->ttl = wire_get32(message + 4);
	record->data = record->fixed + DNS_RECORD_FIXED;
	record->end = record->data + wire_get16(message + 8);
	return record->end <= len ? 0 : -EBADMSG;
}
