/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include "client.h"

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
	CNI_LIMITED = 51, /* STATUS: nor are those served who are there */
	CNI_REFUSED = 100,
	CNI_NOT_GUARDED = 101,
};

static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0",
				       "1.1.0"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct cni {
	json_t *config;
	const char *version;   /* of the configuration */
	const char *network;   /* its name */
	const char *socket;    /* the agent's */
	const char *container; /* CNI_CONTAINERID */
	const char *interface; /* CNI_IFNAME */
	const char *netns;     /* CNI_NETNS, "": none */
	/* Of CNI_ARGS, "": not said. The cluster's API knows the pod by its
	 * uid; the container's id is the runtime's alone. */
	char pod[AGENT_ID_SIZE], pod_namespace[AGENT_ID_SIZE];
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
			  cni->version ? cni->version : "1.1.0", "code", code,
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
			   cni->version ? cni->version : "1.1.0",
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

/* The pod's annotation, which containerd passes to those who declare the
 * capability. NULL: it has none. */
static const json_t *annotation_of(const struct cni *cni)
{
	const json_t *runtime = json_object_get(cni->config, "runtimeConfig");

	return json_object_get(
		json_object_get(runtime, "io.kubernetes.cri.pod-annotations"),
		POLICY_ANNOTATION);
}

/* Does the configuration leave the pod alone? With "namespaces", those of other
 * namespaces that have no policy of their own. */
static bool is_left_alone(const struct cni *cni)
{
	const json_t *list = json_object_get(cni->config, "namespaces"), *one;
	size_t i;

	if (!list || !cni->pod_namespace[0] || annotation_of(cni))
		return false;
	json_array_foreach(list, i, one)
	{
		if (strcmp(json_string_value(one), cni->pod_namespace) == 0)
			return false;
	}
	return true;
}

/* Its policy. A new reference; NULL with *err 0: it has none. */
static json_t *policy_of(const struct cni *cni, int *err)
{
	const json_t *text = annotation_of(cni);
	json_t *policy;

	*err = 0;
	if (!text)
		return NULL;
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

/* What the plugins before have made. */
static int hand_on(const json_t *previous)
{
	json_dumpf(previous, stdout, 0);
	putchar('\n');
	return 0;
}

/* Guard it, and hand on what the plugins before have made. */
static int add(struct cni *cni)
{
	json_t *previous = json_object_get(cni->config, "prevResult");
	json_t *policy, *place;
	int err;

	if (!json_is_object(previous))
		return fail(cni, CNI_BAD_CONFIG,
			    "prevResult: expected that of the plugins before; "
			    "this one stands behind another in the list");
	if (!cni->netns[0])
		return fail(cni, CNI_BAD_ENVIRONMENT, "CNI_NETNS is missing");
	if (is_left_alone(cni))
		return hand_on(previous);
	policy = policy_of(cni, &err);
	if (err)
		return fail(cni, CNI_BAD_CONFIG, "annotation %s: not JSON",
			    POLICY_ANNOTATION);
	place = json_pack("{ss ss*}", "netns", cni->netns, "pod",
			  cni->pod[0] ? cni->pod : NULL);
	err = agent_put(&cni->agent, place, policy,
			json_object_get(cni->config, "policy"));
	json_decref(policy);
	return err ? agent_fail(cni, err) : hand_on(previous);
}

/* The namespace may be named in more ways than one. */
static bool same_place(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The attachment in a sandbox's record, NULL: there is none. */
static const json_t *attachment_of(const struct cni *cni, const json_t *record)
{
	const json_t *list = json_object_get(record, "attachments"), *a;
	size_t i;

	json_array_foreach(list, i, a)
	{
		const char *id = json_string_value(json_object_get(a, "id"));
		const char *name =
			json_string_value(json_object_get(a, "attachment"));

		if (id && name && strcmp(id, cni->agent.id) == 0 &&
		    strcmp(name, cni->agent.attachment) == 0)
			return a;
	}
	return NULL;
}

static int check(struct cni *cni)
{
	const char *netns;
	json_t *record;
	const json_t *a;
	int status = 0, err;

	if (is_left_alone(cni))
		return 0;
	err = agent_get(&cni->agent, &record);
	a = attachment_of(cni, record);
	if (err == -ENOENT || (!err && !a))
		status = fail(cni, CNI_UNKNOWN_CONTAINER,
			      "the agent does not know %s of %s",
			      cni->agent.attachment, cni->agent.id);
	else if (err)
		status = agent_fail(cni, err);
	netns = json_string_value(json_object_get(a, "netns"));
	if (!status && (!netns || !same_place(netns, cni->netns)))
		status = fail(cni, CNI_NOT_GUARDED,
			      "%s: another namespace is guarded: %s",
			      cni->agent.id, netns ? netns : "none");
	json_decref(record);
	return status;
}

/* A container that goes is not held up by an agent that is away, which forgets
 * by itself what has gone. */
static int del(struct cni *cni)
{
	int err = is_left_alone(cni) ? 0 : agent_detach(&cni->agent);

	if (err == -EAGAIN) {
		fprintf(stderr, "%s\n", cni->agent.message);
		return 0;
	}
	return err ? agent_fail(cni, err) : 0;
}

/* Without the agent nobody is added, and no name resolves for those who are
 * there; but those who are left alone need none. */
static int status(struct cni *cni)
{
	json_t *list;
	int err;

	if (json_object_get(cni->config, "namespaces"))
		return 0;
	err = agent_list(&cni->agent, "", &list);
	json_decref(list);
	return err ? fail(cni, CNI_LIMITED, "%s", cni->agent.message) : 0;
}

/* Of CNI_ARGS, "K8S_POD_NAMESPACE=default;K8S_POD_UID=...", the value of a key
 * that is a name of Kubernetes' ("": there is none). */
static void read_argument(const char *args, const char *key, char *value,
			  size_t size)
{
	size_t key_len = strlen(key), len;

	for (; *args; args += len + (args[len] == ';')) {
		len = strcspn(args, ";");
		if (len < key_len || strncmp(args, key, key_len) != 0 ||
		    len - key_len >= size ||
		    strspn(args + key_len,
			   "0123456789abcdefghijklmnopqrstuvwxyz-") <
			    len - key_len)
			continue;
		memcpy(value, args + key_len, len - key_len);
		value[len - key_len] = '\0';
	}
}

/* Whom the agent is asked about: one interface of a container in one
 * network. */
static int attachment_init(struct cni *cni)
{
	char name[AGENT_ATTACHMENT_SIZE + 1];

	snprintf(name, sizeof(name), "%s/%s", cni->network, cni->interface);
	return agent_call_init(&cni->agent, cni->socket, cni->container, name);
}

/* Is the attachment among those that the runtime knows? libcni leaves an empty
 * list out. */
static bool is_valid(const struct cni *cni, const char *id, const char *name)
{
	const json_t *list = json_object_get(cni->config,
					     "cni.dev/valid-attachments"),
		     *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		struct cni known = *cni;

		known.container =
			json_string_value(json_object_get(one, "containerID"));
		known.interface =
			json_string_value(json_object_get(one, "ifname"));
		if (known.container && known.interface &&
		    attachment_init(&known) == 0 &&
		    strcmp(known.agent.id, id) == 0 &&
		    strcmp(known.agent.attachment, name) == 0)
			return true;
	}
	return false;
}

/* Detach what this network has no more. */
static int sweep(struct cni *cni, const json_t *record)
{
	const json_t *list = json_object_get(record, "attachments"), *a;
	size_t len = strlen(cni->network), i;
	struct agent_call call;
	int err = 0;

	json_array_foreach(list, i, a)
	{
		const char *id = json_string_value(json_object_get(a, "id"));
		const char *name =
			json_string_value(json_object_get(a, "attachment"));

		if (err || !id || !name ||
		    strncmp(name, cni->network, len) != 0 || name[len] != '/' ||
		    is_valid(cni, id, name))
			continue;
		err = agent_call_init(&call, cni->socket, id, name);
		if (!err)
			err = agent_detach(&call);
		if (err)
			cni->agent = call;
	}
	return err;
}

static int gc(struct cni *cni)
{
	char after[AGENT_ID_SIZE] = "";
	const char *next;
	json_t *list;
	int err;

	do {
		const json_t *record;
		size_t i;

		err = agent_list(&cni->agent, after, &list);
		json_array_foreach(json_object_get(list, "sandboxes"), i,
				   record)
		{
			if (!err)
				err = sweep(cni, record);
		}
		next = json_string_value(json_object_get(list, "next"));
		snprintf(after, sizeof(after), "%s", next ? next : "");
		json_decref(list);
	} while (!err && after[0]);
	return err ? agent_fail(cni, err) : 0;
}

static const struct {
	const char *name;
	int (*run)(struct cni *cni);
	bool whole; /* of the network, not of one attachment */
} commands[] = {
	{"ADD", add, false},      {"CHECK", check, false}, {"DEL", del, false},
	{"STATUS", status, true}, {"GC", gc, true},
};

static bool namespaces_known(const struct cni *cni)
{
	const json_t *list = json_object_get(cni->config, "namespaces"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (!json_is_string(one))
			return false;
	}
	return !list || json_is_array(list);
}

/* What every command needs: an error's code, and 0 where all is well. */
static int read_config(struct cni *cni, bool whole)
{
	const json_t *socket = json_object_get(cni->config, "agentSocket");

	cni->network = json_string_value(json_object_get(cni->config, "name"));
	cni->socket = socket ? json_string_value(socket) : AGENT_SOCKET_DEFAULT;
	if (!version_known(cni->version))
		return fail(cni, CNI_INCOMPATIBLE_VERSION,
			    "cniVersion: expected 0.3.0 to 1.1.0");
	if (!cni->socket)
		return fail(cni, CNI_BAD_CONFIG,
			    "agentSocket: expected a path");
	if (!cni->network)
		return fail(cni, CNI_BAD_CONFIG,
			    "name: expected that of the network");
	if (!namespaces_known(cni))
		return fail(cni, CNI_BAD_CONFIG,
			    "namespaces: expected an array of names");
	cni->agent.socket = cni->socket;
	if (whole)
		return 0;
	if (!cni->container)
		return fail(cni, CNI_BAD_ENVIRONMENT,
			    "CNI_CONTAINERID is missing");
	if (!cni->interface)
		return fail(cni, CNI_BAD_ENVIRONMENT, "CNI_IFNAME is missing");
	if (attachment_init(cni))
		return fail(cni, CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID: %s",
			    cni->agent.message);
	return 0;
}

static int run(struct cni *cni, const char *command)
{
	size_t i = 0;
	int status;

	while (i < COUNT(commands) && strcmp(commands[i].name, command) != 0)
		i++;
	if (i == COUNT(commands))
		return fail(cni, CNI_BAD_ENVIRONMENT,
			    "CNI_COMMAND: \"%.20s\": expected ADD, CHECK, DEL, "
			    "STATUS, GC or VERSION",
			    command);
	status = read_config(cni, commands[i].whole);
	return status ? status : commands[i].run(cni);
}

int cni_main(int argc, char **argv)
{
	const char *command = getenv("CNI_COMMAND");
	const char *netns = getenv("CNI_NETNS");
	const char *args = getenv("CNI_ARGS");
	struct cni cni = {.container = getenv("CNI_CONTAINERID"),
			  .interface = getenv("CNI_IFNAME"),
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
	if (args) {
		read_argument(args, "K8S_POD_UID=", cni.pod, sizeof(cni.pod));
		read_argument(args, "K8S_POD_NAMESPACE=", cni.pod_namespace,
			      sizeof(cni.pod_namespace));
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
