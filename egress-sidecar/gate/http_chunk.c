/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>

enum {
	SIZE_DIGITS_MAX = 15 /* and so below 2^60 */
};

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int http_chunk_line(const uint8_t *bytes, size_t n, size_t *seen,
		    uint64_t *size)
{
	int len = http_line(bytes, n, seen), digits = 0;
	uint64_t sum = 0;

	if (len < 0 || len > HTTP_CHUNK_LINE_MAX ||
	    *seen >= HTTP_CHUNK_LINE_MAX)
		return -EBADMSG;
	if (len == 0)
		return 0;
	while (digits < SIZE_DIGITS_MAX && hex(bytes[digits]) >= 0)
		sum = sum << 4 | (unsigned)hex(bytes[digits++]);
	if (digits == 0 || (bytes[digits] != '\r' && bytes[digits] != ';'))
		return -EBADMSG;
	*size = sum;
	return len;
}

int http_chunk_trailer(const uint8_t *bytes, size_t n, size_t *seen, bool *last)
{
	int len = http_line(bytes, n, seen);
	struct http_text value;

	if (len <= 0)
		return len;
	*last = len == 2;
	if (!*last &&
	    http_field_read((struct http_text){bytes, (size_t)len - 2},
			    &value) != HTTP_FIELD_OTHER)
		return -EBADMSG;
	return len;
}
