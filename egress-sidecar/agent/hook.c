/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include "client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* A container is attached as a whole. */
#define ATTACHMENT "oci"

static const char usage[] =
	"usage: egress-sidecar hook [OPTION...] <STATE\n"
	"An OCI hook: has the agent guard a container that is being created, "
	"and forget\none that has stopped, whose namespace stays closed.\n\n"
	"  --agent-socket PATH  default: " AGENT_SOCKET_DEFAULT "\n"
	"  --policy-file FILE   for containers without the annotation\n"
	"                       " POLICY_ANNOTATION "; default: deny all\n"
	"  --help               this text\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

struct hook {
	const char *socket;
	const char *policy_file; /* NULL: none */
	json_t *state;
	struct agent_call agent;
};

static int fail(const char *where, const char *why)
{
	fprintf(stderr, "egress-sidecar hook: %s: %s\n", where, why);
	return 1;
}

/* The container's own, and that of who has none; each NULL: there is none. */
static int read_policies(const struct hook *hook, json_t **policy,
			 json_t **otherwise)
{
	const json_t *annotations = json_object_get(hook->state, "annotations");
	const json_t *text = json_object_get(annotations, POLICY_ANNOTATION);
	json_error_t error;

	*policy = text ? policy_from_annotation(text) : NULL;
	*otherwise = NULL;
	if (text && !*policy)
		return fail("annotation " POLICY_ANNOTATION, "not JSON");
	if (!hook->policy_file)
		return 0;
	*otherwise = json_load_file(hook->policy_file, JSON_REJECT_DUPLICATES,
				    &error);
	if (*otherwise)
		return 0;
	json_decref(*policy);
	return fail(hook->policy_file, error.text);
}

static int guard(struct hook *hook)
{
	json_int_t pid =
		json_integer_value(json_object_get(hook->state, "pid"));
	json_t *policy, *otherwise;
	int err;

	if (pid <= 0)
		return fail("state", "pid: expected the container's process");
	if (read_policies(hook, &policy, &otherwise))
		return 1;
	err = agent_put(&hook->agent, json_pack("{sI}", "pid", pid), policy,
			otherwise);
	json_decref(policy);
	json_decref(otherwise);
	return err ? fail(hook->agent.id, hook->agent.message) : 0;
}

/* As with CNI, a container that is gone is not held up by an agent that is. */
static int detach(struct hook *hook)
{
	int err = agent_detach(&hook->agent);

	if (!err)
		return 0;
	fail(hook->agent.id, hook->agent.message);
	return err != -EAGAIN;
}

static int run(struct hook *hook)
{
	const char *id = json_string_value(json_object_get(hook->state, "id"));
	const char *status =
		json_string_value(json_object_get(hook->state, "status"));

	if (!id || !status)
		return fail("state", "expected id and status");
	if (agent_call_init(&hook->agent, hook->socket, id, ATTACHMENT))
		return fail("state", hook->agent.message);
	if (strcmp(status, "creating") == 0 || strcmp(status, "created") == 0)
		return guard(hook);
	if (strcmp(status, "stopped") == 0)
		return detach(hook);
	return fail("state",
		    "status: expected creating, created or stopped: run it as "
		    "createRuntime and poststop");
}

int hook_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"agent-socket", required_argument, NULL, 's'},
		{"policy-file", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct hook hook = {.socket = AGENT_SOCKET_DEFAULT};
	json_error_t error;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case 's':
			hook.socket = optarg;
			break;
		case 'p':
			hook.policy_file = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fail(argv[optind - 1], option == ':'
						       ? "expected a value"
						       : "unknown option");
			return 2;
		}
	}
	if (optind < argc) {
		fail(argv[optind], "unexpected argument");
		return 2;
	}
	hook.state = json_loadf(stdin, 0, &error);
	if (!hook.state)
		return fail("state", error.text);
	status = run(&hook);
	json_decref(hook.state);
	return status;
}
