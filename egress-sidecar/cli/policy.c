/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void help(const struct options *options)
{
	puts("usage: egress-sidecar policy get [OPTION...]\n"
	     "       egress-sidecar policy set FILE|- [OPTION...]\n"
	     "       egress-sidecar policy allow|deny|remove TARGET... "
	     "[OPTION...]\n"
	     "Show the policy in force, replace it, put rules before its "
	     "others, or take the\nrules of targets away (names, *.names, "
	     "addresses, ranges). It says what has\nchanged; the kernel has "
	     "taken it then. Warnings are on standard error.\n");
	options_help(options);
	puts("\nExit status: 0 done, 1 the policy is invalid or the API "
	     "refused, 2 wrong usage,\n3 nobody to be reached.");
}

/* A request's body; the caller's to free. */
struct body {
	char *text;
	size_t len;
};

static int read_stream(FILE *in, struct body *body)
{
	/* One byte too many is the API's to refuse. */
	body->text = malloc(POLICY_BODY_MAX + 1);
	if (!body->text)
		return -ENOMEM;
	body->len = fread(body->text, 1, POLICY_BODY_MAX + 1, in);
	return ferror(in) ? (errno ? -errno : -EIO) : 0;
}

static int body_of_file(struct body *body, char **operands, size_t n)
{
	bool standard = strcmp(operands[0], "-") == 0;
	FILE *in = standard ? stdin : fopen(operands[0], "re");
	int err;

	(void)n;
	errno = 0;
	err = in ? read_stream(in, body) : -errno;
	if (!in)
		err = -ENOENT;
	if (in && !standard)
		fclose(in);
	if (err)
		log_fatal("%s: %s", operands[0], strerror(-err));
	return err;
}

static int body_of_json(struct body *body, json_t *json)
{
	body->text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!body->text) {
		log_fatal("a target is not UTF-8, or too long");
		return -EINVAL;
	}
	body->len = strlen(body->text);
	return 0;
}

static int body_of_rules(struct body *body, const char *action, char **targets,
			 size_t n)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(rules,
					  json_pack("{ss ss}", "action", action,
						    "target", targets[i]))) {
			json_decref(rules);
			return body_of_json(body, NULL);
		}
	return body_of_json(body, rules);
}

static int body_of_allow(struct body *body, char **targets, size_t n)
{
	return body_of_rules(body, "allow", targets, n);
}

static int body_of_deny(struct body *body, char **targets, size_t n)
{
	return body_of_rules(body, "deny", targets, n);
}

static int body_of_targets(struct body *body, char **targets, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_string(targets[i]))) {
			json_decref(list);
			return body_of_json(body, NULL);
		}
	return body_of_json(body, list);
}

static const struct verb {
	const char *name;
	const char *method;
	size_t min, max;      /* operands */
	const char *expected; /* what they are */
	int (*body)(struct body *body, char **operands, size_t n);
} verbs[] = {
	{"get", "GET", 0, 0, "no argument", NULL},
	{"set", "PUT", 1, 1, "one FILE, or -", body_of_file},
	{"allow", "PATCH", 1, SIZE_MAX, "a TARGET", body_of_allow},
	{"deny", "PATCH", 1, SIZE_MAX, "a TARGET", body_of_deny},
	{"remove", "DELETE", 1, SIZE_MAX, "a TARGET", body_of_targets},
};

static const struct verb *verb_of(int argc, char **argv, int first)
{
	size_t n = (size_t)(argc - first);

	for (size_t i = 0; n > 0 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(argv[first], v->name) != 0)
			continue;
		if (n - 1 >= v->min && n - 1 <= v->max)
			return v;
		log_fatal("%s: expected %s; see --help", v->name, v->expected);
		return NULL;
	}
	log_fatal("%s: expected get, set, allow, deny or remove; see --help",
		  n > 0 ? argv[first] : "policy");
	return NULL;
}

/* Whose policy: that of the options, or the only one that there is. */
static int whose(struct client *c, char id[CLI_ID_SIZE])
{
	json_t *ids;
	size_t n;
	int ret;

	memcpy(id, c->options->id, CLI_ID_SIZE);
	if (id[0] || !client_is_agent(c))
		return CLI_DONE;
	ret = client_ids(c, &ids);
	n = json_array_size(ids);
	if (ret == CLI_DONE && n == 1) {
		(void)cli_id_read(id,
				  json_string_value(json_array_get(ids, 0)));
	} else if (ret == CLI_DONE) {
		snprintf(c->message, sizeof(c->message),
			 "%.200s: guards %zu sandboxes; expected --sandbox ID "
			 "(egress-sidecar status lists them)",
			 c->options->socket, n);
		ret = CLI_USAGE;
	}
	json_decref(ids);
	return ret;
}

static void print_warnings(const json_t *answer)
{
	const json_t *line;
	char text[CLI_MESSAGE_SIZE];
	size_t i;

	json_array_foreach(json_object_get(answer, "warnings"), i, line)
		fprintf(stderr, "warning: %s\n",
			cli_string(line, text, sizeof(text)));
}

static void print_policy(const json_t *policy)
{
	char *text = json_dumps(policy, JSON_INDENT(2) | JSON_ENSURE_ASCII);

	puts(text ? text : "null");
	free(text);
}

static int act(struct client *c, const struct verb *verb, const char *id,
	       const struct body *body)
{
	json_t *before = NULL, *after = NULL;
	int ret = client_ask(c, id, "/policy", "GET", NULL, 0, &before);

	if (ret == CLI_DONE && verb->body)
		ret = client_ask(c, id, "/policy", verb->method, body->text,
				 body->len, &after);
	else
		after = json_incref(before);
	if (ret == CLI_DONE) {
		print_warnings(after);
		if (c->options->json)
			cli_print_json(after);
		else if (!verb->body)
			print_policy(json_object_get(after, "policy"));
		else
			changes_print(json_object_get(before, "policy"),
				      json_object_get(after, "policy"));
	}
	json_decref(before);
	json_decref(after);
	return ret == -ENOENT ? CLI_REFUSED : ret;
}

static int run(const struct cli_options *o, const struct verb *verb,
	       const struct body *body)
{
	struct client client;
	char id[CLI_ID_SIZE];
	int ret;

	if (client_open(&client, o)) {
		log_fatal("%s", client.message[0] ? client.message
						  : strerror(ENOMEM));
		return CLI_USAGE;
	}
	ret = whose(&client, id);
	if (ret == CLI_DONE)
		ret = act(&client, verb, id, body);
	if (ret)
		log_fatal("%s", client.message);
	client_close(&client);
	return ret;
}

int policy_main(int argc, char **argv)
{
	struct cli_options o;
	struct body body = {NULL, 0};
	const struct verb *verb;
	int ret;

	log_set_program("egress-sidecar policy");
	ret = cli_options_read(&o, help, false, argc, argv);
	if (ret)
		return ret > 0 ? CLI_DONE : CLI_USAGE;
	verb = verb_of(argc, argv, o.operands);
	ret = verb ? CLI_DONE : CLI_USAGE;
	if (verb && verb->body &&
	    verb->body(&body, argv + o.operands + 1,
		       (size_t)(argc - o.operands - 1)))
		ret = CLI_USAGE;
	if (!ret)
		ret = run(&o, verb, &body);
	free(body.text);
	cli_options_free(&o);
	return cli_flush(ret);
}
