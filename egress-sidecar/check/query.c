/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The verdicts for every port of an address: where rules list ports, a line
 * for each span of the same decision. */
static void query_every_port(const struct policy *policy, const char *text,
			     const struct address *a)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct decision plain, d;

	policy_match_address(policy, a, 0, 0, &plain);
	for (size_t i = 0; i < sizeof(protocols); i++) {
		struct port_span span = {.protocol = protocols[i]};

		for (uint32_t port = 0; port <= UINT16_MAX;) {
			uint32_t rank;

			policy_match_address(policy, a, protocols[i],
					     (uint16_t)port, &d);
			rank = d.rank;
			span.first = (uint16_t)port;
			while (d.rank == rank && ++port <= UINT16_MAX)
				policy_match_address(policy, a, protocols[i],
						     (uint16_t)port, &d);
			span.last = (uint16_t)(port - 1);
			if (rank == plain.rank ||
			    !policy_ranked(policy, rank, &d))
				continue;
			printf("%s", text);
			check_print_span(&span);
			printf(": ");
			check_print_decision(&d);
		}
	}
	printf("%s: ", text);
	check_print_decision(&plain);
}

static void print_both(const char *text, const struct decision *tcp,
		       const struct decision *udp)
{
	if (tcp->rank == udp->rank) {
		printf("%s: ", text);
		check_print_decision(tcp);
		return;
	}
	printf("%s tcp: ", text);
	check_print_decision(tcp);
	printf("%s udp: ", text);
	check_print_decision(udp);
}

static void query_port(const struct policy *policy, const char *text,
		       const struct address *a, uint16_t port)
{
	struct decision tcp, udp;

	policy_match_address(policy, a, IPPROTO_TCP, port, &tcp);
	policy_match_address(policy, a, IPPROTO_UDP, port, &udp);
	print_both(text, &tcp, &udp);
}

static int read_port(unsigned int *port, const char *text)
{
	char *rest;

	if (text[0] < '1' || text[0] > '9')
		return -ERANGE;
	*port = (unsigned int)strtoul(text, &rest, 10);
	return *rest || *port > UINT16_MAX ? -ERANGE : 0;
}

/* Read IP, IPv4:PORT or [IP]:PORT; *port 0 is none. -EINVAL: a name. */
static int read_address(struct address *a, unsigned int *port, const char *text)
{
	bool bracket = text[0] == '[';
	const char *colon = strrchr(text, ':'), *end;
	char copy[ADDRESS_TEXT_MAX];
	size_t len;

	*port = 0;
	if (address_from_text(a, text) == 0)
		return 0;
	end = bracket ? strchr(text, ']') : colon;
	if (!end || (bracket && end[1] && end + 1 != colon))
		return -EINVAL;
	text += bracket;
	len = (size_t)(end - text);
	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (address_from_text(a, copy) < 0)
		return -EINVAL;
	if (bracket && !end[1])
		return 0;
	return read_port(port, colon + 1);
}

static int bad_query(const char *text, const char *why)
{
	fprintf(stderr, "egress-sidecar check: --query %s: %s\n", text, why);
	return STATUS_USAGE;
}

/* What somebody may have meant that is neither a name nor an address. */
static const char *misread(const char *text, const char *why)
{
	struct address_range range;
	const char *fault;

	if (strstr(text, "://"))
		return "a URL; expected the name in it";
	if (strncmp(text, "*.", 2) == 0)
		return "a rule's target; expected a name below it";
	if (address_range_from_text(&range, text, &fault) == 0)
		return "a range; expected an address of it";
	return why;
}

/* The name in the first len characters of text; a message where there is
 * none. */
static const char *read_name(struct domain_name *name, const char *text,
			     size_t len)
{
	char copy[DOMAIN_NAME_TEXT_MAX];
	const char *why;

	if (len >= sizeof(copy))
		return "too long";
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (domain_name_from_text(name, copy, &why) < 0)
		return misread(text, why);
	if (domain_name_ends_in_number(name))
		return "neither an address nor a name, for its last label is "
		       "a number";
	return NULL;
}

static void print_admission(const char *text, enum admission admission,
			    const struct address *a,
			    const struct admitted_ports *ports)
{
	switch (admission) {
	case ADMIT:
		printf("%s: admitted\n", text);
		break;
	case ADMIT_PORTS:
		printf("%s: admitted, ports", text);
		for (size_t i = 0; i < ports->n; i++)
			check_print_span(&ports->span[i]);
		printf("\n");
		break;
	case REFUSE_NAME:
		printf("%s: the name is denied\n", text);
		break;
	default:
		printf("%s: cut from the answer: ", text);
		check_print_refusal(admission, a);
	}
}

/* What becomes of the addresses that the policy's hosts give the name. */
static void print_host(const struct policy *policy,
		       const struct domain_name *name)
{
	const struct host *host = policy_host(policy, name);
	char text[DOMAIN_NAME_TEXT_MAX + ADDRESS_TEXT_MAX + 1];
	struct admitted_ports ports;

	for (size_t i = 0; host && i < host->n; i++) {
		char *end = strchr(domain_name_to_text(name, text), '\0');

		*end++ = '=';
		address_to_text(&host->a[i], end);
		print_admission(text,
				policy_admission(policy, name, &host->a[i],
						 false, &ports),
				&host->a[i], &ports);
	}
}

/* NAME or NAME:PORT */
static int query_name(const struct policy *policy, const char *text)
{
	const char *colon = strrchr(text, ':'), *why;
	struct domain_name name;
	struct decision d, udp;
	unsigned int port = 0;

	why = read_name(&name, text,
			colon ? (size_t)(colon - text) : strlen(text));
	if (why)
		return bad_query(text, why);
	if (colon && read_port(&port, colon + 1) < 0)
		return bad_query(text,
				 misread(text, "the port is not 1 to 65535"));
	if (port == 0) {
		policy_match_name(policy, &name, &d);
		printf("%s: ", text);
		check_print_decision(&d);
		print_host(policy, &name);
		return STATUS_VALID;
	}
	policy_match_name_port(policy, &name, IPPROTO_TCP, (uint16_t)port, &d);
	policy_match_name_port(policy, &name, IPPROTO_UDP, (uint16_t)port,
			       &udp);
	print_both(text, &d, &udp);
	return STATUS_VALID;
}

/* NAME=IP and NAME=IP:PORT */
static int query_answer(const struct policy *policy,
			const struct check_gate *gate, const char *text,
			const char *equals)
{
	struct admitted_ports ports;
	struct domain_name name;
	struct address a;
	unsigned int port;
	const char *why = read_name(&name, text, (size_t)(equals - text));
	int ret;

	if (why)
		return bad_query(text, why);
	ret = read_address(&a, &port, equals + 1);
	if (ret < 0)
		return bad_query(text,
				 ret == -EINVAL
					 ? "expected an IP address after '='"
					 : "the port is not 1 to 65535");
	if (port) {
		check_gate(policy, gate, text, &name, &a, (uint16_t)port);
		return STATUS_VALID;
	}
	print_admission(text,
			policy_admission(policy, &name, &a, false, &ports), &a,
			&ports);
	return STATUS_VALID;
}

static void print_kind(const char *text, const struct address *a)
{
	enum address_kind kind = address_kind(a);

	if (kind == ADDRESS_PRIVATE)
		printf("%s: private; as the answer to a name it is admitted "
		       "where an address rule allows it\n",
		       text);
	else if (kind != ADDRESS_PUBLIC)
		printf("%s: %s; as the answer to a name it is never "
		       "admitted\n",
		       text, address_kind_name(kind));
}

int check_query(const struct policy *policy, const struct check_gate *gate,
		const char *text)
{
	const char *equals = strchr(text, '=');
	struct address a;
	unsigned int port;
	int ret;

	if (equals)
		return query_answer(policy, gate, text, equals);
	ret = read_address(&a, &port, text);
	if (ret == -EINVAL)
		return query_name(policy, text);
	if (ret < 0)
		return bad_query(text, "the port is not 1 to 65535");
	if (port)
		query_port(policy, text, &a, (uint16_t)port);
	else
		query_every_port(policy, text, &a);
	print_kind(text, &a);
	return STATUS_VALID;
}
