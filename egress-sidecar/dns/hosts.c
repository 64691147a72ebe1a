/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <string.h>

static size_t put_record(uint8_t *out, uint16_t type, const struct address *a)
{
	size_t size = address_size(a);

	wire_put16(out, 0xc000 | DNS_HEADER); /* the question's name */
	wire_put16(out + 2, type);
	wire_put16(out + 4, CLASS_IN);
	wire_put16(out + 6, 0);
	wire_put16(out + 8, HOST_TTL_S);
	wire_put16(out + 10, (uint16_t)size);
	memcpy(out + 12, a->bytes, size);
	return 12 + size;
}

size_t host_answer(const struct host *host, const struct question *q,
		   uint8_t *out)
{
	uint8_t family = q->type == TYPE_A      ? AF_INET
			 : q->type == TYPE_AAAA ? AF_INET6
						: AF_UNSPEC;
	size_t n = DNS_HEADER;
	uint16_t records = 0;

	memset(out, 0, DNS_HEADER);
	out[2] = FLAG2_QR | FLAG2_RD;
	out[3] = FLAG3_RA;
	out[5] = 1;
	memcpy(out + n, q->name.wire, q->name.len);
	n += q->name.len;
	wire_put16(out + n, q->type);
	wire_put16(out + n + 2, CLASS_IN);
	n += 4;
	for (size_t i = 0; i < host->n; i++) {
		if (host->a[i].family != family)
			continue;
		n += put_record(out + n, q->type, &host->a[i]);
		records++;
	}
	wire_put16(out + 6, records);
	return n;
}
