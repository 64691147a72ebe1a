/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ruleset against the reference of t/model, with real packets.
 *
 *   egress_model plan SEED
 *	prints what the world must hold: "always FILE TARGET" for the folder of
 *	always-files, "name NAME ADDRESS" for the DNS server.
 *   egress_model run SEED POLICIES PACKETS HOST SANDBOX DEVICE API
 *	gives a running sidecar (API: its port on 127.0.0.1 in namespace HOST)
 *	one random policy after another. Under each it looks the names up and
 *	sends packets in namespace SANDBOX, and watches the far end of its
 *cable, DEVICE in HOST: each packet leaves if the reference says so, and else
 *	not.
 */
#include "host/host.h"
#include "model/generate.h"
#include "policy/policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	NAMES = 12,
	PACKETS_MAX = 256,
	FRAME_MAX = 2048,
	OTHER_PROTOCOL = 253, /* RFC 3692: for experiments */
	DNS_RCODE_NXDOMAIN = 3
};

/* A name that leads to one address. */
struct known {
	char name[MODEL_NAME_MAX];
	struct address a;
};

struct packet {
	struct address a;
	int protocol;
	unsigned int port;
	bool want, seen;
};

struct world {
	int host, sandbox; /* namespaces */
	int cable;         /* sees every frame that leaves the sandbox */
	int pinger;        /* for markers, see drain() */
	int api;
	uint16_t api_port;
	uint16_t round;
	struct known known[NAMES];
	unsigned long refused, arrived, lookups, wrong;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void die(
	const char *format, ...)
{
	va_list args;

	fputs("egress_model: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

static bool routable(const struct address *a)
{
	static const struct address none;
	size_t size = address_size(a);

	/* 0.0.0.0/8, ::/124, 255.255.255.255 and ff00::/8 lead nowhere */
	return memcmp(a->bytes, none.bytes, size == 4 ? 1 : 15) != 0 &&
	       (size == 4 ? a->bytes[3] : a->bytes[0]) != 255;
}

static void draw_routable(struct address *a)
{
	do
		model_address(a);
	while (!routable(a));
}

/* What all policies have in common. A "*" that always holds would leave them
 * nothing to say. */
static void draw_world(struct model *m, struct known *known)
{
	static const struct address any = {.family = AF_INET, .bytes = {192}};

	do
		model_draw_always(m);
	while (m->n_always == 0 || model_first(m, NULL, &any, 0, 0));
	for (size_t i = 0; i < NAMES; i++) {
		size_t before = 0;

		model_name(known[i].name);
		while (before < i &&
		       strcmp(known[before].name, known[i].name) != 0)
			before++;
		draw_routable(&known[i].a);
		i -= before < i;
	}
}

/* -- what the reference says -- */

static bool learned(const struct model *m, const struct known *k,
		    const struct packet *p)
{
	enum address_kind kind = address_kind(&p->a);
	struct model_ports ports;

	if (address_compare(&k->a, &p->a) != 0 ||
	    (kind != ADDRESS_PUBLIC && kind != ADDRESS_PRIVATE) ||
	    !model_allows(m, model_first_name(m, k->name)))
		return false;
	model_hold(&ports, m, k->name, &p->a, kind == ADDRESS_PUBLIC);
	return model_holds(&ports, p->protocol, p->port);
}

static bool reference_says(const struct world *w, const struct model *m,
			   const struct packet *p)
{
	bool yes = model_allows(
		m, model_first(m, NULL, &p->a, p->protocol, p->port));

	for (size_t i = 0; i < NAMES; i++)
		yes |= learned(m, &w->known[i], p);
	return yes;
}

/* -- the sidecar -- */

static int api_connect(void *arg)
{
	const struct world *w = arg;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(w->api_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("the policy API");
	return s;
}

static void put_policy(struct world *w, const struct model *m)
{
	json_t *document = model_document(m);
	char *body = json_dumps(document, JSON_COMPACT);
	char text[65536];
	ssize_t n;
	int len;

	len = snprintf(text, sizeof(text),
		       "PUT /policy HTTP/1.1\r\nHost: sidecar\r\n"
		       "Content-Length: %zu\r\n\r\n%s",
		       strlen(body), body);
	if (len >= (int)sizeof(text) || write(w->api, text, (size_t)len) != len)
		die("PUT");
	n = read(w->api, text, sizeof(text) - 1);
	if (n < 12 || memcmp(text, "HTTP/1.1 200", 12) != 0)
		die("PUT %s: %.*s", body, (int)(n > 0 ? n : 0), text);
	free(body);
	json_decref(document);
}

static int sandbox_socket(const struct world *w, int family, int type,
			  int protocol)
{
	int s = netns_socket(w->sandbox, family, type, protocol);

	if (s < 0)
		die("a socket in the sandbox: %d", s);
	return s;
}

/* Ask for an address of the name; the answer's code, and how many records. */
static int look_up(struct world *w, const char *text, uint16_t type,
		   int *records)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(53),
				 .sin_addr.s_addr = htonl(0x0a580001)};
	uint8_t message[512] = {0, 0, 1, 0, 0, 1};
	struct domain_name name;
	struct pollfd wait = {.events = POLLIN};
	const char *why;
	size_t len = 12;
	int rcode;

	if (domain_name_from_text(&name, text, &why) < 0)
		die("%s: %s", text, why);
	message[0] = (uint8_t)model_pick(256);
	memcpy(message + len, name.wire, name.len);
	len += name.len;
	message[len + 1] = (uint8_t)type;
	message[len + 3] = 1;
	len += 4;
	wait.fd = sandbox_socket(w, AF_INET, SOCK_DGRAM, 0);
	if (connect(wait.fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(wait.fd, message, len, 0) < 0 || poll(&wait, 1, 5000) != 1 ||
	    recv(wait.fd, message, sizeof(message), 0) < 12)
		die("looking up %s", text);
	rcode = message[3] & 15;
	*records = message[6] << 8 | message[7];
	close(wait.fd);
	w->lookups++;
	return rcode;
}

static void complain(struct world *w, const struct model *m, const char *what)
{
	json_t *document = model_document(m);
	char *text = json_dumps(document, JSON_COMPACT);

	w->wrong++;
	printf("wrong %s under %s\n", what, text);
	free(text);
	json_decref(document);
}

static void look_all_up(struct world *w, const struct model *m)
{
	for (size_t i = 0; i < NAMES; i++) {
		const struct known *k = &w->known[i];
		bool allowed = model_allows(m, model_first_name(m, k->name));
		bool exists = allowed || model_exists(m, k->name);
		int records, rcode = look_up(w, k->name,
					     k->a.family == AF_INET ? 1 : 28,
					     &records);

		if ((rcode == DNS_RCODE_NXDOMAIN) == exists ||
		    (!allowed && records))
			complain(w, m, k->name);
	}
}

/* -- packets -- */

static void draw_packet(const struct world *w, struct packet *p)
{
	static const int protocols[] = {IPPROTO_TCP,  IPPROTO_TCP,
					IPPROTO_UDP,  IPPROTO_UDP,
					IPPROTO_ICMP, OTHER_PROTOCOL};

	memset(p, 0, sizeof(*p));
	if (model_pick(2))
		p->a = w->known[model_pick(NAMES)].a;
	else
		draw_routable(&p->a);
	p->protocol = protocols[model_pick(6)];
	if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP) {
		do
			p->port = model_port();
		while (p->port == 0);
	} else if (p->protocol == IPPROTO_ICMP && p->a.family == AF_INET6) {
		p->protocol = IPPROTO_ICMPV6;
	}
}

static bool same_packet(const struct packet *p, const struct packet *q)
{
	return p->protocol == q->protocol && p->port == q->port &&
	       address_compare(&p->a, &q->a) == 0;
}

static socklen_t sockaddr_of(struct sockaddr_storage *to,
			     const struct packet *p, bool port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = p->a.family;
	if (p->a.family == AF_INET) {
		memcpy(&v4->sin_addr, p->a.bytes, 4);
		v4->sin_port = htons(port ? (uint16_t)p->port : 0);
		return sizeof(*v4);
	}
	memcpy(&v6->sin6_addr, p->a.bytes, 16);
	v6->sin6_port = htons(port ? (uint16_t)p->port : 0);
	return sizeof(*v6);
}

/* One packet: a TCP connection's first, or a datagram. What the kernel says to
 * it does not matter, only what is seen outside. */
static void send_packet(const struct world *w, const struct packet *p)
{
	bool tcp = p->protocol == IPPROTO_TCP;
	bool ports = tcp || p->protocol == IPPROTO_UDP;
	uint8_t data[16] = {p->protocol == IPPROTO_ICMPV6 ? ICMP6_ECHO_REQUEST
							  : ICMP_ECHO};
	struct sockaddr_storage to;
	socklen_t len = sockaddr_of(&to, p, ports);
	uint16_t sum;
	int s, type = tcp ? SOCK_STREAM : ports ? SOCK_DGRAM : SOCK_RAW;

	if (p->protocol == IPPROTO_ICMP) {
		sum = (uint16_t) ~(ICMP_ECHO << 8);
		data[2] = (uint8_t)(sum >> 8);
		data[3] = (uint8_t)sum;
	}
	s = sandbox_socket(w, p->a.family, type, p->protocol);
	if (tcp)
		(void)connect(s, (struct sockaddr *)&to, len);
	else
		(void)sendto(s, data, sizeof(data), 0, (struct sockaddr *)&to,
			     len);
	close(s);
}

/* Read a frame as a packet of the sandbox's; false if it is none. */
static bool parse_frame(struct packet *p, const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_HLEN, *behind;

	memset(p, 0, sizeof(*p));
	if (len < ETH_HLEN + 28)
		return false;
	if (frame[12] == 0x08 && frame[13] == 0x00) {
		behind = ip + (size_t)(ip[0] & 15) * 4;
		p->protocol = ip[9];
		address_from_bytes(&p->a, ip + 16, 4);
	} else if (frame[12] == 0x86 && frame[13] == 0xdd &&
		   len >= ETH_HLEN + 48) {
		behind = ip + 40;
		p->protocol = ip[6];
		address_from_bytes(&p->a, ip + 24, 16);
	} else {
		return false;
	}
	/* behind a hop-by-hop option only multicast listeners report */
	if (behind + 8 > frame + len || p->protocol == IPPROTO_HOPOPTS)
		return false;
	if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP)
		p->port = (unsigned int)behind[2] << 8 | behind[3];
	/* neighbour discovery and the like is not the policy's matter */
	return p->protocol != IPPROTO_ICMPV6 || behind[0] < 130;
}

static bool is_marker(const struct world *w, const uint8_t *frame, size_t len)
{
	const uint8_t *icmp = frame + ETH_HLEN + 20;

	return len >= ETH_HLEN + 28 && frame[12] == 0x08 && frame[13] == 0 &&
	       frame[ETH_HLEN + 9] == IPPROTO_ICMP &&
	       icmp[0] == ICMP_ECHOREPLY &&
	       (icmp[6] << 8 | icmp[7]) == w->round;
}

static void marker_send(const struct world *w)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x0a580005)};
	uint8_t echo[8] = {
		ICMP_ECHO,        0, 0, 0, 0, 0, (uint8_t)(w->round >> 8),
		(uint8_t)w->round};
	uint32_t sum = (ICMP_ECHO << 8) + (uint32_t)w->round;

	sum = ~((sum & 0xffff) + (sum >> 16));
	echo[2] = (uint8_t)(sum >> 8);
	echo[3] = (uint8_t)sum;
	if (sendto(w->pinger, echo, sizeof(echo), 0, (struct sockaddr *)&to,
		   sizeof(to)) < 0)
		die("ping");
}

static const char *what_of(const struct packet *p, const char *fate)
{
	static char what[128];
	char text[ADDRESS_TEXT_MAX];

	snprintf(what, sizeof(what), "protocol %d port %u to %s %s",
		 p->protocol, p->port, address_to_text(&p->a, text), fate);
	return what;
}

/*
 * Take what has arrived, up to the sandbox's answer to a ping that was sent
 * last: all of this happens on one processor, which does it in order.
 */
static void drain(struct world *w, const struct model *m,
		  struct packet *packets, size_t n)
{
	struct pollfd wait = {.fd = w->cable, .events = POLLIN};
	uint8_t frame[FRAME_MAX];
	struct packet p;
	ssize_t len;
	size_t i;

	marker_send(w);
	for (;;) {
		if (poll(&wait, 1, 5000) != 1)
			die("no end of the packets");
		len = recv(w->cable, frame, sizeof(frame), 0);
		if (len < 0)
			die("recv");
		if (is_marker(w, frame, (size_t)len))
			return;
		if (!parse_frame(&p, frame, (size_t)len))
			continue;
		for (i = 0; i < n && !same_packet(&p, &packets[i]); i++)
			;
		if (i < n)
			packets[i].seen = true;
		else
			complain(w, m, what_of(&p, "came from nobody"));
	}
}

static void check_packet(struct world *w, const struct model *m,
			 const struct packet *p)
{
	*(p->seen ? &w->arrived : &w->refused) += 1;
	if (p->seen == p->want)
		return;
	complain(w, m, what_of(p, p->seen ? "left" : "was refused"));
}

static void round_run(struct world *w, struct model *m, size_t n)
{
	static struct packet packets[PACKETS_MAX];

	model_draw_policy(m);
	put_policy(w, m);
	look_all_up(w, m);
	w->round++;
	for (size_t i = 0; i < n; i++) {
		size_t before = 0;

		draw_packet(w, &packets[i]);
		while (!same_packet(&packets[before], &packets[i]))
			before++;
		if (before < i) {
			i--;
			continue;
		}
		packets[i].want = reference_says(w, m, &packets[i]);
	}
	for (size_t i = 0; i < n; i++)
		send_packet(w, &packets[i]);
	drain(w, m, packets, n);
	for (size_t i = 0; i < n; i++)
		check_packet(w, m, &packets[i]);
}

/* Frames that come in, not those that go out to the sandbox. */
static int cable_open(void *arg)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL)};
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	int size = 16 << 20, yes = 1;

	at.sll_ifindex = (int)if_nametoindex(arg);
	if (s < 0 || !at.sll_ifindex ||
	    bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes,
		       sizeof(yes)) < 0 ||
	    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		die("%s", (const char *)arg);
	return s;
}

static int run(char **argv)
{
	unsigned long policies = strtoul(argv[1], NULL, 10);
	size_t packets = strtoul(argv[2], NULL, 10);
	struct world w = {.api_port = (uint16_t)strtoul(argv[6], NULL, 10)};
	struct model m;
	cpu_set_t one;

	draw_world(&m, w.known);
	if (packets == 0 || packets > PACKETS_MAX)
		die("1 to %d packets", PACKETS_MAX);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("sched_setaffinity");
	w.host = netns_open(argv[3]);
	w.sandbox = netns_open(argv[4]);
	if (w.host < 0 || w.sandbox < 0)
		die("namespaces %s and %s", argv[3], argv[4]);
	w.cable = netns_run(w.host, cable_open, argv[5]);
	w.api = netns_run(w.host, api_connect, &w);
	w.pinger = netns_socket(w.host, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (w.cable < 0 || w.api < 0 || w.pinger < 0)
		die("sockets on the host");
	for (unsigned long i = 0; i < policies && w.wrong < 10; i++)
		round_run(&w, &m, packets);
	printf("%lu policies %lu lookups %lu arrived %lu refused %lu wrong\n",
	       policies, w.lookups, w.arrived, w.refused, w.wrong);
	return w.wrong != 0;
}

static int plan(void)
{
	struct known known[NAMES];
	char text[ADDRESS_TEXT_MAX];
	struct model m;

	draw_world(&m, known);
	for (size_t i = 0; i < m.n_always; i++)
		printf("always %s %s\n", m.rule[i].source, m.rule[i].target);
	for (size_t i = 0; i < NAMES; i++)
		printf("name %s %s\n", known[i].name,
		       address_to_text(&known[i].a, text));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		model_seed(strtoul(argv[2], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "plan") == 0)
		return plan();
	if (argc == 9 && strcmp(argv[1], "run") == 0)
		return run(argv + 2);
	fputs("usage: egress_model plan SEED\n"
	      "       egress_model run SEED POLICIES PACKETS HOST SANDBOX "
	      "DEVICE API\n",
	      stderr);
	return 2;
}
