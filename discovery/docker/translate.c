/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_HTTP_PORT  "opensandbox.io/http-port"
#define LABEL_PROXY_PORT "opensandbox.io/embedding-proxy-port"
#define CONTAINER        "container:"

enum {
	HTTP_PORT = 8080,
	PROXY_PORT = 44772, /* of OpenSandbox's execd, in the container */
	WHAT_MAX = 64,
};

static const json_t *member(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}

/* "": there is none */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(member(object, key));

	return text ? text : "";
}

static const char *network_mode(const json_t *container)
{
	return text_of(member(container, "HostConfig"), "NetworkMode");
}

const char *docker_network_of(const json_t *container)
{
	const char *mode = network_mode(container);

	return strncmp(mode, CONTAINER, strlen(CONTAINER)) == 0
		       ? mode + strlen(CONTAINER)
		       : NULL;
}

/* Labels */

static int read_labels(struct translation *t, const json_t *labels)
{
	static const struct {
		const char *name;
		int (*read)(struct translation *t, const char *what,
			    const char *text);
	} rows[] = {
		{LABEL_ID, translate_id},
		{LABEL_EXPOSE, translate_expose},
		{LABEL_ACCESS_TOKEN, translate_token},
		{LABEL_EXPIRES_AT, translate_expires},
		{LABEL_POLICY, translate_policy},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && !err; i++) {
		const json_t *label = member(labels, rows[i].name);
		char what[WHAT_MAX];

		snprintf(what, sizeof(what), "the label %s", rows[i].name);
		if (!label)
			continue;
		err = json_is_string(label)
			      ? rows[i].read(t, what, json_string_value(label))
			      : translation_refuse(t, "%s: expected a text",
						   what);
	}
	return err;
}

/* Ports published on this host */

/* 0: it is none */
static unsigned port_of(const char *text, const char *end)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port;

	if (digits == 0 || digits > 5 || strcmp(text + digits, end) != 0)
		return 0;
	port = strtoul(text, NULL, 10);
	return port <= 65535 ? (unsigned)port : 0;
}

/* A published port listens on this host: it may be loopback, whoever asks. */
static int map_port(struct translation *t, unsigned port, const json_t *binding)
{
	const char *address = text_of(binding, "HostIp");
	bool allowed = t->allow_loopback;
	int err;

	if (!address[0] || strcmp(address, "0.0.0.0") == 0)
		address = "127.0.0.1";
	else if (strcmp(address, "::") == 0)
		address = "::1";
	t->allow_loopback = true;
	err = translate_port(t, "a published port", port, address,
			     port_of(text_of(binding, "HostPort"), ""));
	t->allow_loopback = allowed;
	return err;
}

/* Of the places where a port is published, the first of IPv4 if there is one.
 */
static const json_t *best_binding(const json_t *bindings)
{
	for (size_t i = 0; i < json_array_size(bindings); i++) {
		const json_t *binding = json_array_get(bindings, i);

		if (!strchr(text_of(binding, "HostIp"), ':'))
			return binding;
	}
	return json_array_get(bindings, 0);
}

/* "Ports": {"8080/tcp": [{"HostIp": "", "HostPort": "49153"}]} */
static int map_published(struct translation *t, const json_t *network)
{
	json_t *ports =
		json_object_get(member(network, "NetworkSettings"), "Ports");
	const char *name;
	json_t *bindings;
	int err;

	json_object_foreach(ports, name, bindings)
	{
		const json_t *binding = best_binding(bindings);
		unsigned port = port_of(name, "/tcp");

		if (!port || !binding)
			continue;
		err = map_port(t, port, binding);
		if (err)
			return err;
	}
	return 0;
}

/* Ports of this host that labels name: those that the engine does not say are
 * the container's need --allow-loopback, since labels may be a stranger's. */
static int map_labelled(struct translation *t, const json_t *labels)
{
	static const struct {
		const char *name;
		const char *port;
		unsigned number;
	} rows[] = {
		{LABEL_HTTP_PORT, "8080", HTTP_PORT},
		{LABEL_PROXY_PORT, "44772", PROXY_PORT},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && !err; i++) {
		const json_t *label = member(labels, rows[i].name);
		char what[WHAT_MAX];

		if (!label ||
		    member(member(t->record, "portMap"), rows[i].port))
			continue;
		snprintf(what, sizeof(what), "the label %s", rows[i].name);
		err = translate_port(
			t, what, rows[i].number, "127.0.0.1",
			port_of(text_of(labels, rows[i].name), ""));
	}
	return err;
}

/* Addresses */

static const char *address_in(const json_t *network)
{
	const char *address = text_of(network, "IPAddress");

	return address[0] ? address : text_of(network, "GlobalIPv6Address");
}

/* In the network of that name, else in the one that it was begun in, else in
 * the first by name that gives it one. "": it has none. */
static const char *address_of(const json_t *container, const char *wanted)
{
	json_t *networks = json_object_get(member(container, "NetworkSettings"),
					   "Networks");
	const char *address, *name, *first = NULL;
	json_t *network;

	if (wanted[0])
		return address_in(member(networks, wanted));
	address = address_in(member(networks, network_mode(container)));
	if (address[0])
		return address;
	json_object_foreach(networks, name, network)
	{
		if (address_in(network)[0] &&
		    (!first || strcmp(name, first) < 0))
			first = name;
	}
	return first ? address_in(member(networks, first)) : "";
}

/* What is served there is this host's: that a container is in its network is
 * the engine's word, not a label's. */
static int read_own_host(struct translation *t)
{
	bool allowed = t->allow_loopback;
	int err;

	if (t->policy)
		return translation_refuse(
			t, "the label " LABEL_POLICY
			   ": there is none for the host's network, which the "
			   "container uses");
	t->allow_loopback = true;
	err = translate_address(t, "the host's network", "127.0.0.1");
	t->allow_loopback = allowed;
	return err;
}

static int read_place(struct translation *t, const json_t *labels,
		      const json_t *network,
		      const struct docker_settings *settings)
{
	const char *address;
	int err;

	if (strcmp(network_mode(network), "host") == 0)
		return read_own_host(t);
	address = settings->published ? ""
				      : address_of(network, settings->network);
	if (address[0])
		return translate_address(t, "its address", address);
	err = map_published(t, network);
	if (!err)
		err = map_labelled(t, labels);
	if (!err && !member(t->record, "portMap"))
		return translation_refuse(
			t, "it publishes no port%s%s",
			settings->published ? "" : ", and has no address in ",
			settings->published    ? ""
			: settings->network[0] ? settings->network
					       : "any network");
	return err;
}

/* State */

static bool is_true(const json_t *state, const char *key)
{
	return json_is_true(member(state, key));
}

/* One that is being restarted runs by the engine's word, without a network. */
static bool is_up(const json_t *container)
{
	const json_t *state = member(container, "State");

	return is_true(state, "Running") && !is_true(state, "Restarting") &&
	       !is_true(state, "Dead");
}

static bool has_check(const json_t *container)
{
	const json_t *test = member(
		member(member(container, "Config"), "Healthcheck"), "Test");
	const char *first = json_string_value(json_array_get(test, 0));

	return first && strcmp(first, "NONE") != 0;
}

/* Without a health check, it has no health; with one, none yet at first. */
static bool is_healthy(const json_t *container)
{
	const char *health =
		text_of(member(member(container, "State"), "Health"), "Status");

	return health[0] && strcmp(health, "none") != 0
		       ? strcmp(health, "healthy") == 0
		       : !has_check(container);
}

bool docker_has_health(const json_t *container)
{
	return has_check(container) && is_up(container);
}

static int read_state(struct translation *t, const json_t *container)
{
	const json_t *state = member(container, "State");
	bool paused = is_true(state, "Paused");
	bool ready = is_up(container) && !paused && is_healthy(container);
	json_int_t pid = json_integer_value(member(state, "Pid"));
	int err = translation_set(t, "ready", json_boolean(ready));

	if (!err && paused)
		err = translation_set(t, "state", json_string("paused"));
	if (pid > 0 && pid <= INT32_MAX)
		t->pid = (pid_t)pid;
	return err;
}

/* As the OCI hook calls it: cut at FEED_ID_MAX. */
static void name_for_agent(struct translation *t, const json_t *container)
{
	snprintf(t->agent_id, sizeof(t->agent_id), "%s",
		 text_of(container, "Id"));
}

int docker_translate(struct translation *t, const json_t *container,
		     const json_t *network,
		     const struct docker_settings *settings)
{
	const json_t *labels = member(member(container, "Config"), "Labels");
	int err;

	if (!member(labels, LABEL_ID))
		return 0;
	err = read_labels(t, labels);
	if (!err)
		err = read_state(t, container);
	if (!err && is_up(container)) {
		name_for_agent(t, container);
		err = read_place(t, labels, network, settings);
	}
	return err;
}
