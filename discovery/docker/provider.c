/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <string.h>

#define UNIX         "unix:"
#define SOCKET       "/var/run/docker.sock"
#define SOCKET_WORDS "unix:///PATH"

/* "unix:///path", "unix:/path"; "": the usual one */
static int read_docker(const struct option_to *to, const char *value, char *why)
{
	struct docker_settings *s = to->settings;
	const char *path = value[0] ? value : UNIX SOCKET;

	if (strncmp(path, UNIX, strlen(UNIX)) != 0)
		return option_expected(why, SOCKET_WORDS);
	path += strlen(UNIX);
	if (strncmp(path, "//", 2) == 0)
		path += 2;
	if (path[0] != '/')
		return option_expected(why, SOCKET_WORDS);
	s->wanted = true;
	return option_text(to, path, why);
}

#define INTO(reader, field) \
	OPTION_INTO(reader, struct docker_settings, field, 0)

static const struct option_row options[] = {
	{"docker", OPTION_ENV("DOCKER"), SOCKET_WORDS, "unix://" SOCKET,
	 "watch Docker or Podman, by its API on this socket",
	 INTO(read_docker, socket), .optional = true},
	{"docker-network", OPTION_ENV("DOCKER_NETWORK"), "NAME", NULL,
	 "the network in which containers of several are reached "
	 "(default: the container's own)",
	 INTO(option_text, network)},
	{"docker-published", OPTION_ENV("DOCKER_PUBLISHED"), NULL, "off",
	 "reach containers by the ports that they publish on this host alone",
	 INTO(option_switch, published)},
	{.name = NULL},
};

static bool docker_wanted(const void *settings)
{
	return ((const struct docker_settings *)settings)->wanted;
}

static const char *docker_socket(const void *settings)
{
	return ((const struct docker_settings *)settings)->socket;
}

static int docker_open(void **state, const struct provider_host *host,
		       const void *settings)
{
	struct engine *engine = NULL;
	int err = engine_open(&engine, host, settings);

	if (err)
		log_fatal("--docker: %s", strerror(-err));
	*state = engine;
	return err;
}

static void docker_close(void *state)
{
	engine_close(state);
}

const struct provider docker_provider = {
	.name = "docker",
	.options = options,
	.settings_size = sizeof(struct docker_settings),
	.wanted = docker_wanted,
	.socket = docker_socket,
	.open = docker_open,
	.close = docker_close,
};
