/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "policy/policy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STATUS_VALID,
	STATUS_INVALID,
	STATUS_USAGE,
};

static const char usage[] =
	"usage: egress-sidecar check [OPTIONS] FILE\n"
	"Validate the policy in FILE (- is standard input) and say, in the\n"
	"order in which rules decide, what each compiles to.\n\n"
	"  --query NAME|IP[:PORT]  say which rule decides instead; may be\n"
	"                          repeated; an IPv6 address with a port is\n"
	"                          written [IP]:PORT\n"
	"  --always DIR            with deny.always and allow.always of DIR\n"
	"  --help                  this text\n\n"
	"Exit status: 0 valid, 1 invalid, 2 wrong usage.\n";

struct check {
	const char *file;
	const char *always_dir; /* NULL: none */
	const char **query;
	size_t n_queries;
};

static const char *action_name(enum policy_action action)
{
	return action == POLICY_ALLOW ? "allow" : "deny";
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

static void print_span(const struct port_span *span)
{
	const char *protocol = protocol_name(span->protocol);

	if (span->first == 0 && span->last == UINT16_MAX)
		printf(" %s", protocol);
	else if (span->first == span->last)
		printf(" %s/%u", protocol, span->first);
	else
		printf(" %s/%u-%u", protocol, span->first, span->last);
}

static void print_range(const struct address_range *range)
{
	char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];

	address_to_text(&range->first, first);
	address_to_text(&range->last, last);
	if (strcmp(first, last))
		printf("%s - %s", first, last);
	else
		printf("%s", first);
}

static void print_target(const struct rule *rule)
{
	char name[DOMAIN_NAME_TEXT_MAX];

	switch (rule->kind) {
	case TARGET_NAME:
		printf("the name %s", domain_name_to_text(&rule->name, name));
		break;
	case TARGET_BELOW:
		printf("every name below %s",
		       domain_name_to_text(&rule->name, name));
		break;
	case TARGET_ANY:
		printf("every name and address");
		break;
	case TARGET_RANGE:
		print_range(&rule->range);
		break;
	}
	if (rule->n_ports)
		printf(", ports");
	for (size_t i = 0; i < rule->n_ports; i++)
		print_span(&rule->ports[i]);
}

/* Where a rule stands: egress[3], or deny.always[0]. */
static void source_text(char *out, size_t len, const struct decision *d)
{
	const char *list = strcmp(d->source, "policy") ? d->source : "egress";

	snprintf(out, len, "%s[%d]", list, d->index);
}

static void print_rules(const struct policy *policy)
{
	struct decision d;

	printf("rules, in the order of their decision:\n");
	for (uint32_t rank = 0; policy_ranked(policy, rank, &d); rank++) {
		char source[32];

		source_text(source, sizeof(source), &d);
		printf("%6u  %-18s %-5s  ", rank, source,
		       action_name(d.action));
		print_target(d.rule);
		printf("\n");
	}
	printf("%6s  %-18s %-5s  everything else\n", "-", "default",
	       action_name(policy_default(policy)));
}

static void print_table(const struct port_table *table)
{
	for (size_t i = 0; i < table->n_spans; i++) {
		printf("%s", i ? "," : "");
		print_span(&table->spans[i].span);
		printf(" %s", action_name(table->spans[i].action));
	}
	printf(", else %s", action_name(table->otherwise));
}

static void print_ranges(const struct policy *policy)
{
	size_t n, n_tables;
	const struct policy_range *range = policy_ranges(policy, &n);
	const struct port_table *table = policy_port_tables(policy, &n_tables);

	printf("addresses that no name led to:\n");
	for (size_t i = 0; i < n; i++) {
		printf("        ");
		print_range(&range[i].range);
		if (range[i].verdict == RANGE_PORTS)
			print_table(&table[range[i].table]);
		else
			printf(" %s", range[i].verdict == RANGE_ALLOW ? "allow"
								      : "deny");
		printf("\n");
	}
	printf("        everything else %s\n",
	       action_name(policy_default(policy)));
}

static void print_decision(const struct decision *d)
{
	char source[32];

	if (!d->rule) {
		printf("%s, by default\n", action_name(d->action));
		return;
	}
	source_text(source, sizeof(source), d);
	printf("%s, by %s (", action_name(d->action), source);
	print_target(d->rule);
	printf(")\n");
}

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
			print_span(&span);
			printf(": ");
			print_decision(&d);
		}
	}
	printf("%s: ", text);
	print_decision(&plain);
}

static void query_port(const struct policy *policy, const char *text,
		       const struct address *a, uint16_t port)
{
	struct decision tcp, udp;

	policy_match_address(policy, a, IPPROTO_TCP, port, &tcp);
	policy_match_address(policy, a, IPPROTO_UDP, port, &udp);
	if (tcp.rank == udp.rank) {
		printf("%s: ", text);
		print_decision(&tcp);
		return;
	}
	printf("%s tcp: ", text);
	print_decision(&tcp);
	printf("%s udp: ", text);
	print_decision(&udp);
}

/* Read IP, IPv4:PORT or [IP]:PORT; *port 0 is none. -EINVAL: a name. */
static int read_address(struct address *a, unsigned int *port, const char *text)
{
	bool bracket = text[0] == '[';
	const char *colon = strrchr(text, ':'), *end;
	char copy[ADDRESS_TEXT_MAX], *rest;
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
	*port = (unsigned int)strtoul(colon + 1, &rest, 10);
	if (colon[1] < '1' || colon[1] > '9' || *rest || *port > UINT16_MAX)
		return -ERANGE;
	return 0;
}

static int query_name(const struct policy *policy, const char *text)
{
	struct domain_name name;
	struct decision d;
	const char *why;

	if (domain_name_from_text(&name, text, &why) < 0) {
		fprintf(stderr, "egress-sidecar check: --query %s: %s\n", text,
			why);
		return STATUS_USAGE;
	}
	policy_match_name(policy, &name, &d);
	printf("%s: ", text);
	print_decision(&d);
	return STATUS_VALID;
}

static int query(const struct policy *policy, const char *text)
{
	enum address_kind kind;
	struct address a;
	unsigned int port;
	int ret = read_address(&a, &port, text);

	if (ret == -EINVAL)
		return query_name(policy, text);
	if (ret < 0) {
		fprintf(stderr,
			"egress-sidecar check: --query %s: the port is not 1 "
			"to 65535\n",
			text);
		return STATUS_USAGE;
	}
	if (port)
		query_port(policy, text, &a, (uint16_t)port);
	else
		query_every_port(policy, text, &a);
	kind = address_kind(&a);
	if (kind == ADDRESS_PRIVATE)
		printf("%s: private; as the answer to a name it is admitted "
		       "where an address rule allows it\n",
		       text);
	else if (kind != ADDRESS_PUBLIC)
		printf("%s: %s; as the answer to a name it is never "
		       "admitted\n",
		       text, address_kind_name(kind));
	return STATUS_VALID;
}

/* The bytes of in, up to one more than a policy may have, for the caller to
 * free. NULL with errno. */
static char *read_stream(FILE *in, size_t *len)
{
	char *text = malloc(POLICY_BODY_MAX + 1);

	if (!text)
		return NULL;
	*len = fread(text, 1, POLICY_BODY_MAX + 1, in);
	if (ferror(in)) {
		free(text);
		return NULL;
	}
	return text;
}

static char *read_policy(const char *file, size_t *len)
{
	char *text;
	FILE *in;

	if (!strcmp(file, "-"))
		return read_stream(stdin, len);
	in = fopen(file, "re");
	if (!in)
		return NULL;
	text = read_stream(in, len);
	fclose(in);
	return text;
}

static int fail(const char *where, const char *message)
{
	fprintf(stderr, "egress-sidecar check: %s: %s\n", where, message);
	return STATUS_INVALID;
}

static int compile(struct policy **policy, const struct check *check)
{
	const char *file =
		strcmp(check->file, "-") ? check->file : "standard input";
	struct always_rules *always = NULL;
	struct policy_error err = {.message = ""};
	struct rules *rules = NULL;
	int ret, status = STATUS_VALID;
	size_t len = 0;
	char *text = read_policy(check->file, &len);

	if (!text)
		return fail(file, strerror(errno));
	ret = rules_from_text(&rules, text, len, 0, &err);
	free(text);
	if (ret < 0)
		return fail(file,
			    err.message[0] ? err.message : strerror(-ret));
	if (check->always_dir)
		ret = always_load(&always, check->always_dir, &err);
	if (ret < 0) {
		status = fail("--always",
			      err.message[0] ? err.message : strerror(-ret));
		goto cleanup;
	}
	ret = policy_compile(policy, rules, always);
	if (ret < 0)
		status = fail(file, ret == -E2BIG
					    ? "rules that list ports overlap "
					      "in too many ways"
					    : strerror(-ret));
cleanup:
	always_free(always);
	rules_free(rules);
	return status;
}

static int run(const struct check *check)
{
	struct policy *policy;
	int status = compile(&policy, check);

	if (status != STATUS_VALID)
		return status;
	if (check->n_queries == 0) {
		print_rules(policy);
		print_ranges(policy);
	}
	for (size_t i = 0; i < check->n_queries && status == STATUS_VALID; i++)
		status = query(policy, check->query[i]);
	policy_unref(policy);
	return status;
}

int check_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"query", required_argument, NULL, 'q'},
		{"always", required_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct check check = {.query = NULL};
	int option, status = STATUS_USAGE;

	check.query = calloc((size_t)argc + 1, sizeof(*check.query));
	if (!check.query)
		return STATUS_INVALID;
	optind = 0; /* start anew, whoever has parsed options before */
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'q':
			check.query[check.n_queries++] = optarg;
			break;
		case 'a':
			check.always_dir = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			status = STATUS_VALID;
			goto out;
		default:
			fputs(usage, stderr);
			goto out;
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		goto out;
	}
	check.file = argv[optind];
	status = run(&check);
out:
	free(check.query);
	return status;
}
