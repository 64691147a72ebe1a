/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	TEXT_SIZE = 400
};

static void help(const struct options *options)
{
	puts("usage: egress-sidecar status [ID] [OPTION...]\n"
	     "Say what is guarded here: policy, leases, what was denied in the "
	     "last minute,\nresolvers, gate, kernel. Of several sandboxes a "
	     "line each; with an id, all of one.\n");
	options_help(options);
	puts("\nExit status: 0 all is in force, 1 something guarded is not, or "
	     "the API refused,\n2 wrong usage, 3 nobody to be reached.");
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key, char *out)
{
	return cli_string(json_object_get(object, key), out, TEXT_SIZE);
}

static void print_denied(const json_t *denied)
{
	const json_t *d;
	char name[TEXT_SIZE];
	size_t i;

	printf("denied     names %lld, connections %lld, packets %lld (in the "
	       "last minute)\n",
	       number(denied, "names"), number(denied, "connections"),
	       number(denied, "packets"));
	json_array_foreach(json_object_get(denied, "latest"), i, d) printf(
		"           %s (%lld, last %s)\n", text(d, "name", name),
		number(d, "count"), text(d, "at", (char[TEXT_SIZE]){""}));
}

static void print_resolvers(const json_t *list)
{
	char address[TEXT_SIZE], state[TEXT_SIZE];
	const json_t *r;
	size_t i;

	if (json_array_size(list) == 0)
		puts("resolvers  none");
	json_array_foreach(list, i, r)
	{
		printf("%-11s%s %s", i ? "" : "resolvers",
		       text(r, "address", address), text(r, "state", state));
		if (json_is_integer(json_object_get(r, "latencyMs")))
			printf(", %lld ms", number(r, "latencyMs"));
		putchar('\n');
	}
}

static void print_gate(const json_t *gate)
{
	const json_t *port;
	size_t i;

	if (!json_is_object(gate)) {
		puts("gate       off");
		return;
	}
	printf("gate       ports");
	json_array_foreach(json_object_get(gate, "ports"), i, port) printf(
		"%s%lld", i ? "," : " ", (long long)json_integer_value(port));
	printf(": %lld open, %lld allowed, %lld refused, %lld dropped, %lld "
	       "failed\n",
	       number(gate, "open"), number(gate, "allowed"),
	       number(gate, "refused"), number(gate, "dropped"),
	       number(gate, "failed"));
}

static void print_kernel(const json_t *kernel)
{
	char release[TEXT_SIZE], line[TEXT_SIZE];
	const json_t *value;
	const char *name;
	size_t i;

	printf("kernel     %s:", text(kernel, "release", release));
	json_object_foreach((json_t *)json_object_get(kernel, "features"), name,
			    value) if (json_is_boolean(value))
		printf(" %s%s", json_is_true(value) ? "+" : "-",
		       cli_printable(name, line, sizeof(line)));
	putchar('\n');
	json_array_foreach(json_object_get(kernel, "missing"), i, value) printf(
		"           %s\n", cli_string(value, line, sizeof(line)));
}

static void print_one(const json_t *status)
{
	struct sandbox_row row;
	char mode[TEXT_SIZE], lost[TEXT_SIZE];

	sandbox_row_read(&row, status);
	text(status, "lost", lost);
	printf("sandbox    %s\n"
	       "policy     %s, %s, rules %lld\n"
	       "health     %s%s%s\n"
	       "leases     %lld\n"
	       "open       connections %lld\n"
	       "DNS        queries %lld, waiting for approval %lld\n",
	       row.id, row.mode, text(status, "enforcementMode", mode),
	       (long long)row.rules, row.health, lost[0] ? ": " : "", lost,
	       (long long)row.leases, (long long)row.open,
	       (long long)row.queries, number(status, "pending"));
	print_denied(json_object_get(status, "deniedLastMinute"));
	print_resolvers(json_object_get(status, "resolvers"));
	print_gate(json_object_get(status, "gate"));
	print_kernel(json_object_get(status, "kernel"));
}

static void print_table(const json_t *list)
{
	const json_t *status;
	size_t i;

	if (json_array_size(list) == 0) {
		puts("no sandbox is guarded");
		return;
	}
	printf("%-32s %-10s %-6s %6s %6s %6s %7s\n", "ID", "POLICY", "HEALTH",
	       "RULES", "LEASES", "OPEN", "DENIED");
	json_array_foreach(list, i, status)
	{
		struct sandbox_row r;

		sandbox_row_read(&r, status);
		printf("%-32s %-10s %-6s %6lld %6lld %6lld %7lld\n", r.id,
		       r.mode, r.health, (long long)r.rules,
		       (long long)r.leases, (long long)r.open,
		       (long long)r.denied);
	}
}

static int print_all(const struct cli_options *o, const json_t *list)
{
	const json_t *status;
	int ret = CLI_DONE;
	size_t i;

	if (o->json)
		json_array_foreach(list, i, status) cli_print_json(status);
	else if (json_array_size(list) == 1)
		print_one(json_array_get(list, 0));
	else
		print_table(list);
	json_array_foreach(list, i, status) if (!json_is_null(json_object_get(
							status, "lost"))) ret =
		CLI_REFUSED;
	return ret;
}

/* ID, as --sandbox says it. 0 or -EINVAL. */
static int read_operands(struct cli_options *o, int argc, char **argv)
{
	int n = argc - o->operands;
	const char *first = n > 0 ? argv[o->operands] : NULL;

	if (n == 0 || (n == 1 && cli_id_read(o->id, first) == 0))
		return 0;
	log_fatal("%s: expected the id of one sandbox; see --help",
		  n > 1 ? argv[o->operands + 1] : first);
	return -EINVAL;
}

int status_main(int argc, char **argv)
{
	struct cli_options o;
	struct client client;
	json_t *list = NULL;
	int ret;

	log_set_program("egress-sidecar status");
	ret = cli_options_read(&o, help, false, argc, argv);
	if (ret)
		return ret > 0 ? CLI_DONE : CLI_USAGE;
	ret = read_operands(&o, argc, argv) ? CLI_USAGE : CLI_DONE;
	if (!ret && client_open(&client, &o)) {
		log_fatal("%s", client.message[0] ? client.message
						  : strerror(ENOMEM));
		ret = CLI_USAGE;
	} else if (!ret) {
		ret = sandboxes_read(&client, &list);
		if (ret)
			log_fatal("%s", client.message);
		else
			ret = print_all(&o, list);
		json_decref(list);
		client_close(&client);
	}
	cli_options_free(&o);
	return cli_flush(ret);
}
