/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <string.h>

#define UNIX "unix:"
#define HTTP "http://"

static int read_gateway(const struct option_to *to, const char *value,
			char *why)
{
	const char *path = value + strlen(UNIX);

	if (strncmp(value, UNIX, strlen(UNIX)) == 0
		    ? path[0] != '/' || strlen(path) >= UNIX_PATH_MAX
		    : strncmp(value, HTTP, strlen(HTTP)) != 0 ||
			      !value[strlen(HTTP)])
		return option_expected(why, "http://HOST:PORT or unix:/PATH");
	return option_text(to, value, why);
}

static int read_http_addr(const struct option_to *to, const char *value,
			  char *why)
{
	if (!strchr(value, ':'))
		return option_expected(why, "[ADDRESS]:PORT");
	return option_text(to, value, why);
}

#define INTO(reader, field) OPTION_INTO(reader, struct settings, field, 0)

const struct option_row option_table[] = {
	{"gateway", OPTION_ENV("GATEWAY"), "http://HOST:PORT|unix:/PATH", NULL,
	 "the management API of the gateway to feed",
	 INTO(read_gateway, gateway)},
	{"gateway-token-file", OPTION_ENV("GATEWAY_TOKEN_FILE"), "FILE", NULL,
	 "its bearer token, the first line; read again when it changes",
	 INTO(option_text, token_file)},
	{"agent", OPTION_ENV("AGENT"), "SOCKET", NULL,
	 "the socket of this node's egress agent, to feed policies to",
	 INTO(option_path, agent)},
	{"node-name", OPTION_ENV("NODE_NAME"), "NAME", NULL,
	 "this node's name in the cluster, for --agent",
	 INTO(option_text, node_name)},
	{"allow-loopback", OPTION_ENV("ALLOW_LOOPBACK"), NULL, "off",
	 "take sandboxes whose endpoint is a loopback address",
	 INTO(option_switch, allow_loopback)},
	{"once", OPTION_ENV("ONCE"), NULL, "off",
	 "list, feed and end; status 1 where something failed",
	 INTO(option_switch, once)},
	{"http-addr", OPTION_ENV("HTTP_ADDR"), "[ADDRESS]:PORT", NULL,
	 "where to serve /healthz and /metrics",
	 INTO(read_http_addr, http_addr)},
	{"log-level", OPTION_ENV("LOG_LEVEL"), "LEVEL", "info",
	 "debug, info, warn or error", INTO(option_log_level, log_level)},
	{.name = NULL},
};
