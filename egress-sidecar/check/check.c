/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "inner.h"
#include "policy/policy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: egress-sidecar check [OPTIONS] FILE\n"
	"Validate the policy in FILE (- is standard input) and say, in the\n"
	"order in which rules decide, what each compiles to.\n\n"
	"  --query NAME|IP[:PORT]  say which rule decides instead; may be\n"
	"                          repeated; an IPv6 address with a port is\n"
	"                          written [IP]:PORT\n"
	"  --query NAME=IP         may the name's answer hold that address, "
	"and\n"
	"                          for which ports?\n"
	"  --query NAME=IP:PORT    would the name gate let a connection to IP\n"
	"                          that gives NAME go on, if NAME led there?\n"
	"  --gate-ports PORT,...   the gate's ports (default: 443,80)\n"
	"  --always DIR            with deny.always and allow.always of DIR\n"
	"  --nat64-prefix PREFIX   addresses below it are judged as the IPv4\n"
	"                          address inside; may be repeated\n"
	"  --help                  this text\n\n"
	"Exit status: 0 valid, whatever the queries' answers are; 1 the policy "
	"or an\nalways-file cannot be read or is invalid; 2 wrong usage, or a "
	"query that is no\nname or address.\n";

struct check {
	const char *file;
	const char *always_dir; /* NULL: none */
	const char **query;
	size_t n_queries;
	struct address_range nat64[NAT64_MAX];
	size_t n_nat64;
	struct check_gate gate;
};

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

/* A sidecar's folder may come later; one that is named here is there. */
static int always_read(struct always_rules **always, const char *folder,
		       struct policy_error *err)
{
	if (access(folder, R_OK | X_OK) == 0)
		return always_load(always, folder, err);
	snprintf(err->message, sizeof(err->message), "%.150s: %s", folder,
		 strerror(errno));
	return -EINVAL;
}

static void print_warnings(const char *where, const struct rules *rules)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(rules->warnings, i, warning)
		fprintf(stderr, "egress-sidecar check: %s: warning: %s\n",
			where, json_string_value(warning));
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
	print_warnings(file, rules);
	if (check->always_dir)
		ret = always_read(&always, check->always_dir, &err);
	if (ret < 0) {
		status = fail("--always",
			      err.message[0] ? err.message : strerror(-ret));
		goto cleanup;
	}
	if (always) {
		print_warnings("deny.always", always->deny);
		print_warnings("allow.always", always->allow);
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
		check_print_policy(policy);
	}
	for (size_t i = 0; i < check->n_queries && status == STATUS_VALID; i++)
		status = check_query(policy, &check->gate, check->query[i]);
	policy_unref(policy);
	return status;
}

static int add_nat64(struct check *check, const char *text)
{
	struct address_range prefix;
	const char *why = "too many";
	int ret = check->n_nat64 < NAT64_MAX
			  ? address_range_from_text(&prefix, text, &why)
			  : -E2BIG;

	if (ret == 0) {
		why = nat64_check(&prefix);
		ret = why ? -EINVAL : 0;
	}
	if (ret == 0) {
		check->nat64[check->n_nat64++] = prefix;
		ret = nat64_set(check->nat64, check->n_nat64);
		why = "two of them overlap";
	}
	if (ret == 0)
		return 0;
	fprintf(stderr, "egress-sidecar check: --nat64-prefix %s: %s\n", text,
		why);
	return -EINVAL;
}

static int read_gate_ports(struct check *check, const char *text)
{
	char why[OPTION_WHY_MAX];
	int err = gate_ports_read(check->gate.port, &check->gate.n, text, why);

	if (err)
		fprintf(stderr,
			"egress-sidecar check: --gate-ports %s: expected %s\n",
			text, why);
	return err;
}

int check_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"query", required_argument, NULL, 'q'},
		{"always", required_argument, NULL, 'a'},
		{"nat64-prefix", required_argument, NULL, 'n'},
		{"gate-ports", required_argument, NULL, 'g'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct check check = {.gate = {{443, 80}, 2}};
	int option, status = STATUS_USAGE;

	(void)nat64_set(NULL, 0);
	check.query = calloc((size_t)argc + 1, sizeof(*check.query));
	if (!check.query)
		return STATUS_INVALID;
	opterr = 0;
	optind = 0; /* start anew, whoever has parsed options before */
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case 'q':
			check.query[check.n_queries++] = optarg;
			break;
		case 'a':
			check.always_dir = optarg;
			break;
		case 'n':
			if (add_nat64(&check, optarg) < 0)
				goto out;
			break;
		case 'g':
			if (read_gate_ports(&check, optarg) < 0)
				goto out;
			break;
		case 'h':
			fputs(usage, stdout);
			status = STATUS_VALID;
			goto out;
		default:
			fprintf(stderr, "egress-sidecar check: %s: %s\n",
				argv[optind - 1],
				option == ':' ? "expected a value"
					      : "unknown option");
			fputs(usage, stderr);
			goto out;
		}
	}
	if (optind != argc - 1) {
		fprintf(stderr, "egress-sidecar check: expected one FILE\n");
		fputs(usage, stderr);
		goto out;
	}
	check.file = argv[optind];
	status = run(&check);
out:
	free(check.query);
	return status;
}
