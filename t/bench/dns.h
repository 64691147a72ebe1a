/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the small programs of the DNS bench share: as little of DNS as a
 * question with one name needs.
 */
#ifndef BENCH_DNS_H
#define BENCH_DNS_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	DNS_BATCH = 32,
	DNS_SIZE = 512,
	DNS_HEADER = 12,
	DNS_RECORD = 16, /* an A record whose owner is the question's */
};

static inline struct sockaddr_in dns_place(const char *address,
					   const char *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
		fprintf(stderr, "not an IPv4 address: %s\n", address);
		exit(2);
	}
	at.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	return at;
}

static inline void dns_die(const char *what)
{
	perror(what);
	exit(1);
}

static inline int dns_socket(const struct sockaddr_in *at)
{
	const int room = 4 * 1024 * 1024;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		dns_die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (at && bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		dns_die("bind");
	return fd;
}

static inline uint64_t dns_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The end of the first question, 0 if it has none. */
static inline size_t dns_question_end(const uint8_t *m, size_t len)
{
	size_t at = DNS_HEADER;

	while (at < len && m[at])
		at += m[at] + 1U;
	return at + 5 <= len ? at + 5 : 0;
}

/* Messages in and out in batches, each with its own room and peer. */
struct dns_batch {
	uint8_t bytes[DNS_BATCH][DNS_SIZE];
	struct mmsghdr m[DNS_BATCH];
	struct iovec iov[DNS_BATCH];
	struct sockaddr_in peer[DNS_BATCH];
};

static inline void dns_batch_arm(struct dns_batch *b, size_t i, size_t len)
{
	b->iov[i] = (struct iovec){b->bytes[i], len};
	b->m[i].msg_hdr = (struct msghdr){.msg_name = &b->peer[i],
					  .msg_namelen = sizeof(b->peer[i]),
					  .msg_iov = &b->iov[i],
					  .msg_iovlen = 1};
}

static inline size_t dns_batch_read(struct dns_batch *b, int fd, int flags)
{
	int n;

	for (size_t i = 0; i < DNS_BATCH; i++)
		dns_batch_arm(b, i, DNS_SIZE);
	n = recvmmsg(fd, b->m, DNS_BATCH, flags, NULL);
	return n > 0 ? (size_t)n : 0;
}

static inline void dns_send(int fd, struct mmsghdr *m, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		int done = sendmmsg(fd, m + sent, (unsigned)(n - sent), 0);

		if (done > 0)
			sent += (size_t)done;
		else if (errno != EINTR)
			sent++;
	}
}

#endif
