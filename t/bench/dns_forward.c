/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_forward ADDRESS PORT RESOLVER PORT
 *
 * The floor of forwarding: questions go to the resolver under an id that is
 * the place where their client is remembered, answers come back under the
 * client's own. One socket, no checks, nothing kept.
 */
#include "dns.h"

#include <poll.h>

static struct {
	struct sockaddr_in peer;
	uint16_t id;
} asked[UINT16_MAX + 1];
static uint16_t next;

static void questions(struct dns_batch *b, int in, int out)
{
	size_t n = dns_batch_read(b, in, MSG_DONTWAIT);

	for (size_t i = 0; i < n; i++) {
		asked[next].peer = b->peer[i];
		memcpy(&asked[next].id, b->bytes[i], 2);
		memcpy(b->bytes[i], &next, 2);
		next++;
		b->iov[i].iov_len = b->m[i].msg_len;
		b->m[i].msg_hdr.msg_name = NULL;
		b->m[i].msg_hdr.msg_namelen = 0;
	}
	dns_send(out, b->m, n);
}

static void answers(struct dns_batch *b, int in, int out)
{
	size_t n = dns_batch_read(b, in, MSG_DONTWAIT);

	for (size_t i = 0; i < n; i++) {
		uint16_t id;

		memcpy(&id, b->bytes[i], 2);
		memcpy(b->bytes[i], &asked[id].id, 2);
		b->peer[i] = asked[id].peer;
		b->iov[i].iov_len = b->m[i].msg_len;
	}
	dns_send(out, b->m, n);
}

int main(int argc, char **argv)
{
	static struct dns_batch b;
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct sockaddr_in at, to;

	if (argc != 5) {
		fprintf(stderr,
			"usage: dns_forward ADDRESS PORT RESOLVER PORT\n");
		return 2;
	}
	at = dns_place(argv[1], argv[2]);
	to = dns_place(argv[3], argv[4]);
	fds[0].fd = dns_socket(&at);
	fds[1].fd = dns_socket(NULL);
	if (connect(fds[1].fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		dns_die("connect");
	while (poll(fds, 2, -1) >= 0) {
		if (fds[0].revents)
			questions(&b, fds[0].fd, fds[1].fd);
		if (fds[1].revents)
			answers(&b, fds[1].fd, fds[0].fd);
	}
	return 1;
}
