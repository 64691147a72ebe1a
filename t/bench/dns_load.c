/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_load ADDRESS PORT LETTER NAMES DOMAIN WINDOW MILLISECONDS RCODE
 *
 * Ask for the address of LETTER0.DOMAIN, LETTER1.DOMAIN and so on to
 * LETTER(NAMES - 1), WINDOW questions under way at a time over four sockets.
 * Says: answers, seconds, p50 and p99 in microseconds, losses, wrong rcodes.
 */
#include "dns.h"

#include <poll.h>

enum {
	SOCKETS = 4,
	LATENCIES = 1 << 22,
	LOST_NS = 500 * 1000 * 1000
};

struct load {
	const char *letter, *domain;
	unsigned n_names, rcode, name;
	uint64_t answers, lost, wrong;
	uint32_t *latency;
};

struct flow {
	int fd;
	unsigned window, under_way;
	uint16_t id;
	uint64_t heard_ns;
	uint64_t sent_ns[UINT16_MAX + 1];
};

static size_t name_write(uint8_t *out, const char *text)
{
	uint8_t *start = out;

	while (*text) {
		size_t n = strcspn(text, ".");

		*out++ = (uint8_t)n;
		memcpy(out, text, n);
		out += n;
		text += n + (text[n] == '.');
	}
	*out++ = 0;
	return (size_t)(out - start);
}

static size_t question(struct load *l, uint8_t *m, uint16_t id)
{
	char name[256];
	size_t at = DNS_HEADER;

	snprintf(name, sizeof(name), "%s%u.%s", l->letter,
		 l->name++ % l->n_names, l->domain);
	memset(m, 0, DNS_HEADER);
	memcpy(m, &id, 2);
	m[2] = 1;
	m[5] = 1;
	at += name_write(m + at, name);
	memcpy(m + at, "\0\1\0\1", 4);
	return at + 4;
}

static void ask(struct load *l, struct flow *f, struct dns_batch *b)
{
	while (f->under_way < f->window) {
		size_t n = 0;
		uint64_t now = dns_now_ns();

		while (n < DNS_BATCH && f->under_way < f->window) {
			size_t len = question(l, b->bytes[n], f->id);

			dns_batch_arm(b, n, len);
			b->m[n].msg_hdr.msg_name = NULL;
			b->m[n].msg_hdr.msg_namelen = 0;
			f->sent_ns[f->id++] = now;
			f->under_way++;
			n++;
		}
		dns_send(f->fd, b->m, n);
	}
}

static void hear(struct load *l, struct flow *f, struct dns_batch *b)
{
	size_t n = dns_batch_read(b, f->fd, MSG_DONTWAIT);
	uint64_t now = dns_now_ns();

	if (n)
		f->heard_ns = now;
	for (size_t i = 0; i < n; i++) {
		uint16_t id;

		memcpy(&id, b->bytes[i], 2);
		if (!f->sent_ns[id] || b->m[i].msg_len < DNS_HEADER)
			continue;
		if (l->answers < LATENCIES)
			l->latency[l->answers] =
				(uint32_t)(now - f->sent_ns[id]);
		f->sent_ns[id] = 0;
		f->under_way--;
		l->answers++;
		l->wrong += (b->bytes[i][3] & 15U) != l->rcode;
	}
	/* A window whose last answers do not come is opened anew. */
	if (now - f->heard_ns > LOST_NS && f->under_way) {
		l->lost += f->under_way;
		f->under_way = 0;
		f->heard_ns = now;
		memset(f->sent_ns, 0, sizeof(f->sent_ns));
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void say(struct load *l, uint64_t ns)
{
	size_t n = l->answers < LATENCIES ? l->answers : LATENCIES;
	uint32_t p50 = 0, p99 = 0;

	qsort(l->latency, n, sizeof(*l->latency), by_value);
	if (n) {
		p50 = l->latency[n / 2];
		p99 = l->latency[n * 99 / 100];
	}
	printf("%llu %.3f %.1f %.1f %llu %llu\n",
	       (unsigned long long)l->answers, (double)ns / 1e9, p50 / 1e3,
	       p99 / 1e3, (unsigned long long)l->lost,
	       (unsigned long long)l->wrong);
}

int main(int argc, char **argv)
{
	static struct flow flows[SOCKETS];
	static struct dns_batch b;
	struct load l = {0};
	struct pollfd fds[SOCKETS];
	struct sockaddr_in to;
	unsigned window, n_flows;
	uint64_t start, end;

	if (argc != 9) {
		fprintf(stderr, "usage: dns_load ADDRESS PORT LETTER NAMES "
				"DOMAIN WINDOW MILLISECONDS RCODE\n");
		return 2;
	}
	to = dns_place(argv[1], argv[2]);
	l.letter = argv[3];
	l.n_names = (unsigned)strtoul(argv[4], NULL, 10);
	l.domain = argv[5];
	window = (unsigned)strtoul(argv[6], NULL, 10);
	l.rcode = (unsigned)strtoul(argv[8], NULL, 10);
	l.latency = calloc(LATENCIES, sizeof(*l.latency));
	if (!l.latency || !l.n_names || !window)
		return 2;
	n_flows = window < SOCKETS ? 1 : SOCKETS;
	start = dns_now_ns();
	end = start + strtoul(argv[7], NULL, 10) * 1000000;
	for (unsigned i = 0; i < n_flows; i++) {
		flows[i].fd = dns_socket(NULL);
		flows[i].window = window / n_flows;
		flows[i].heard_ns = start;
		if (connect(flows[i].fd, (struct sockaddr *)&to, sizeof(to)))
			dns_die("connect");
		fds[i] = (struct pollfd){flows[i].fd, POLLIN, 0};
	}
	while (dns_now_ns() < end) {
		for (unsigned i = 0; i < n_flows; i++)
			ask(&l, &flows[i], &b);
		(void)poll(fds, n_flows, 50);
		for (unsigned i = 0; i < n_flows; i++)
			hear(&l, &flows[i], &b);
	}
	say(&l, dns_now_ns() - start);
	return 0;
}
