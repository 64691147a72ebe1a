/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets on which a sandbox's DNS is answered: one port, on 127.0.0.1
 * and, where the namespace has IPv6, on ::1, for UDP and TCP. The packet
 * filter sends everything to port 53 there.
 */
#ifndef EGRESS_LISTENERS_H
#define EGRESS_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

struct listeners {
	int udp4, tcp4, udp6, tcp6; /* -1: none */
	uint16_t port;              /* host order */
};

/* Where OpenSandbox's own sidecar listens; below what the kernel gives to
 * sockets that ask for any port. */
enum {
	LISTENERS_PORT = 15353
};

/*
 * Bring the namespace's (-1: our own) loopback up, for a new one's is down and
 * nobody would be answered, and bind them there to the port (host order) that
 * the process before us had, if it is free within wait_ms milliseconds (it may
 * be about to end); else, and if port is 0, to LISTENERS_PORT; else to one
 * that the kernel chooses: a hostile sandbox cannot occupy it beforehand.
 * Bound, non-blocking, TCP listening. 0 or -errno; on error nothing is open.
 */
int listeners_open(struct listeners *l, int netns, uint16_t port,
		   unsigned wait_ms);
void listeners_close(struct listeners *l);

#endif
