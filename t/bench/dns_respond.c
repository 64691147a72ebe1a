/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_respond ADDRESS PORT refuse|answer
 *
 * refuse turns the header's bits and sends the question back: the least that
 * a responder can do. answer is the bench's resolver: names nI... and fI...
 * have the address of their number in 11.0.0.0/16 and 13.0.0.0/16; any other
 * name has the next address of 12.0.0.0/16, of so many that a sandbox may learn
 * them beside a thousand of each of the others. Only the first may be kept, for
 * an hour; the others have no time to live and are asked for each time.
 */
#include "dns.h"

enum {
	NEW = 63000,
};

static unsigned next;

static size_t answer(uint8_t *m, size_t len)
{
	static const uint8_t form[DNS_RECORD] = {
		0xc0, DNS_HEADER, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 12};
	size_t end = dns_question_end(m, len);
	uint16_t number;
	uint8_t letter;

	if (!end || end + DNS_RECORD > DNS_SIZE)
		return 0;
	letter = m[DNS_HEADER + 1];
	number = letter == 'g' ? (uint16_t)(next++ % NEW)
			       : (uint16_t)strtoul((char *)m + DNS_HEADER + 2,
						   NULL, 10);
	m[2] |= 0x80;
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	m[7] = 1;
	memcpy(m + end, form, sizeof(form));
	if (letter == 'n') {
		m[end + 8] = 3600 >> 8;
		m[end + 9] = 3600 & 255;
	}
	m[end + 12] = letter == 'n' ? 11 : letter == 'g' ? 12 : 13;
	m[end + 14] = (uint8_t)(number >> 8);
	m[end + 15] = (uint8_t)number;
	return end + DNS_RECORD;
}

static size_t refuse(uint8_t *m, size_t len)
{
	m[2] |= 0x80;
	m[3] = 0x83;
	return len;
}

int main(int argc, char **argv)
{
	static struct dns_batch b;
	struct sockaddr_in at;
	bool refusing;
	int fd;

	if (argc != 4) {
		fprintf(stderr,
			"usage: dns_respond ADDRESS PORT refuse|answer\n");
		return 2;
	}
	at = dns_place(argv[1], argv[2]);
	refusing = strcmp(argv[3], "refuse") == 0;
	fd = dns_socket(&at);
	for (;;) {
		size_t n = dns_batch_read(&b, fd, MSG_WAITFORONE), out = 0;

		for (size_t i = 0; i < n; i++) {
			size_t len = b.m[i].msg_len;

			if (len < DNS_HEADER)
				continue;
			len = refusing ? refuse(b.bytes[i], len)
				       : answer(b.bytes[i], len);
			b.iov[i].iov_len = len;
			if (len)
				b.m[out++] = b.m[i];
		}
		dns_send(fd, b.m, out);
	}
}
