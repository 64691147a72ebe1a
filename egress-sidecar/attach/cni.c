/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include "agent_client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Error codes of the specification, and ours from 100 on. */
enum {
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_UNKNOWN_CONTAINER = 3,
	CNI_BAD_ENVIRONMENT = 4,
	CNI_BAD_JSON = 6,
	CNI_BAD_CONFIG = 7,
	CNI_TRY_LATER = 11,
	CNI_REFUSED = 100,
	CNI_NOT_GUARDED = 101,
};

static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct cni {
	json_t *config;
	const char *version;   /* of the configuration */
	const char *container; /* CNI_CONTAINERID */
	const char *netns;     /* CNI_NETNS, "": none */
	struct agent_call agent;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct cni *cni, int code, const char *format, ...)
{
	char message[AGENT_MESSAGE_MAX + 128];
	va_list args;
	json_t *error;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	error = json_pack("{ss si ss}", "cniVersion",
			  cni->version ? cni->version : "1.0.0", "code", code,
			  "msg", message);
	json_dumpf(error, stdout, 0);
	putchar('\n');
	json_decref(error);
	return 1;
}

static int print_versions(const struct cni *cni)
{
	json_t *list = json_array(), *answer;

	for (size_t i = 0; i < COUNT(versions); i++)
		json_array_append_new(list, json_string(versions[i]));
	answer = json_pack("{ss so}", "cniVersion",
			   cni->version ? cni->version : "1.0.0",
			   "supportedVersions", list);
	json_dumpf(answer, stdout, 0);
	putchar('\n');
	json_decref(answer);
	return 0;
}

static bool version_known(const char *version)
{
	for (size_t i = 0; version && i < COUNT(versions); i++)
		if (strcmp(versions[i], version) == 0)
			return true;
	return false;
}

/* The policy of the pod's annotation, which containerd passes to those who
 * declare the capability, else that of the configuration. A new reference;
 * NULL with *err 0: none, deny all. */
static json_t *policy_of(const struct cni *cni, int *err)
{
	const json_t *runtime = json_object_get(cni->config, "runtimeConfig");
	const json_t *annotations =
		json_object_get(runtime, "io.kubernetes.cri.pod-annotations");
	const json_t *text = json_object_get(annotations, POLICY_ANNOTATION);
	json_t *policy;

	*err = 0;
	if (!text)
		return json_incref(json_object_get(cni->config, "policy"));
	policy = policy_from_annotation(text);
	if (!policy)
		*err = -EINVAL;
	return policy;
}

static int agent_fail(const struct cni *cni, int err)
{
	return fail(cni, err == -EAGAIN ? CNI_TRY_LATER : CNI_REFUSED, "%s",
		    cni->agent.message[0] ? cni->agent.message
					  : strerror(-err));
}

/* Guard it, and hand on what the plugins before have made. */
static int add(struct cni *cni)
{
	json_t *previous = json_object_get(cni->config, "prevResult"), *policy;
	int err;

	if (!json_is_object(previous))
		return fail(cni, CNI_BAD_CONFIG,
			    "prevResult: expected that of the plugins before; "
			    "this one stands behind another in the list");
	if (!cni->netns[0])
		return fail(cni, CNI_BAD_ENVIRONMENT, "CNI_NETNS is missing");
	policy = policy_of(cni, &err);
	if (err)
		return fail(cni, CNI_BAD_CONFIG, "annotation %s: not JSON",
			    POLICY_ANNOTATION);
	err = agent_put(&cni->agent, json_pack("{ss}", "netns", cni->netns),
			policy);
	json_decref(policy);
	if (err)
		return agent_fail(cni, err);
	json_dumpf(previous, stdout, 0);
	putchar('\n');
	return 0;
}

/* The namespace may be named in more ways than one. */
static bool same_place(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static int check(struct cni *cni)
{
	const char *netns;
	json_t *record;
	int status = 0;
	int err = agent_get(&cni->agent, &record);

	if (err == -ENOENT)
		return fail(cni, CNI_UNKNOWN_CONTAINER,
			    "the agent does not guard %s", cni->agent.id);
	if (err)
		return agent_fail(cni, err);
	netns = json_string_value(json_object_get(record, "netns"));
	if (!netns || !same_place(netns, cni->netns))
		status = fail(cni, CNI_NOT_GUARDED,
			      "%s: another namespace is guarded: %s",
			      cni->agent.id, netns ? netns : "none");
	json_decref(record);
	return status;
}

/* A container that goes is not held up: the rules went with its namespace,
 * and the agent forgets what has gone. */
static int del(struct cni *cni)
{
	int err = agent_delete(&cni->agent);

	if (err == -EAGAIN) {
		fprintf(stderr, "%s\n", cni->agent.message);
		return 0;
	}
	return err ? agent_fail(cni, err) : 0;
}

static const struct {
	const char *name;
	int (*run)(struct cni *cni);
} commands[] = {
	{"ADD", add},
	{"CHECK", check},
	{"DEL", del},
};

static int run(struct cni *cni, const char *command)
{
	const json_t *named = json_object_get(cni->config, "agentSocket");
	const char *socket = json_string_value(named);
	size_t i = 0;

	while (i < COUNT(commands) && strcmp(commands[i].name, command) != 0)
		i++;
	if (i == COUNT(commands))
		return fail(cni, CNI_BAD_ENVIRONMENT,
			    "CNI_COMMAND: \"%.20s\": expected ADD, CHECK, DEL "
			    "or VERSION",
			    command);
	if (!version_known(cni->version))
		return fail(cni, CNI_INCOMPATIBLE_VERSION,
			    "cniVersion: expected 0.3.0 to 1.0.0");
	if (named && !socket)
		return fail(cni, CNI_BAD_CONFIG,
			    "agentSocket: expected a path");
	if (!cni->container)
		return fail(cni, CNI_BAD_ENVIRONMENT,
			    "CNI_CONTAINERID is missing");
	if (agent_call_init(&cni->agent, socket ? socket : AGENT_SOCKET_DEFAULT,
			    cni->container))
		return fail(cni, CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID: %s",
			    cni->agent.message);
	return commands[i].run(cni);
}

int cni_main(int argc, char **argv)
{
	const char *command = getenv("CNI_COMMAND");
	const char *netns = getenv("CNI_NETNS");
	struct cni cni = {.container = getenv("CNI_CONTAINERID"),
			  .netns = netns ? netns : ""};
	json_error_t error;
	int status;

	if (argc > 1 || !command) {
		fprintf(stderr,
			"egress-sidecar cni: %s: a container runtime runs "
			"this, with CNI_ variables and its configuration on "
			"standard input\n",
			argc > 1 ? argv[1] : "CNI_COMMAND is missing");
		return 2;
	}
	cni.config = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
	cni.version =
		json_string_value(json_object_get(cni.config, "cniVersion"));
	if (strcmp(command, "VERSION") == 0)
		status = print_versions(&cni);
	else if (!json_is_object(cni.config))
		status = fail(&cni, CNI_BAD_JSON,
			      "network configuration: line %d: %s", error.line,
			      error.text);
	else
		status = run(&cni, command);
	json_decref(cni.config);
	return status;
}
