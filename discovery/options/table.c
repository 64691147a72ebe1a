/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <string.h>

#define UNIX "unix:"
#define HTTP "http://"

static int read_gateway(void *settings, const char *value, char *why)
{
	struct settings *s = settings;
	const char *path = value + strlen(UNIX);

	if (strncmp(value, UNIX, strlen(UNIX)) == 0
		    ? path[0] != '/' || strlen(path) >= sizeof(s->agent)
		    : strncmp(value, HTTP, strlen(HTTP)) != 0 ||
			      !value[strlen(HTTP)])
		return option_expected(why, "http://HOST:PORT or unix:/path");
	return option_text(s->gateway, sizeof(s->gateway), value, why);
}

static int read_token_file(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	return option_text(s->token_file, sizeof(s->token_file), value, why);
}

static int read_agent(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	if (value[0] != '/')
		return option_expected(why, "an absolute path");
	return option_text(s->agent, sizeof(s->agent), value, why);
}

static int read_node_name(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	return option_text(s->node_name, sizeof(s->node_name), value, why);
}

static int read_allow_loopback(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	return option_switch(&s->allow_loopback, value, why);
}

static int read_once(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	return option_switch(&s->once, value, why);
}

static int read_http_addr(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	if (!strchr(value, ':'))
		return option_expected(why, "[ADDRESS]:PORT");
	return option_text(s->http_addr, sizeof(s->http_addr), value, why);
}

static int read_log_level(void *settings, const char *value, char *why)
{
	struct settings *s = settings;

	return log_level_from_text(&s->log_level, value)
		       ? option_expected(why, "debug, info, warn or error")
		       : 0;
}

const struct option_row option_table[] = {
	{"gateway", OPTION_ENV("GATEWAY"), OPTION_VALUE,
	 "http://HOST:PORT|unix:PATH", NULL,
	 "the management API of the gateway to feed", read_gateway},
	{"gateway-token-file", OPTION_ENV("GATEWAY_TOKEN_FILE"), OPTION_VALUE,
	 "FILE", NULL,
	 "its bearer token, the first line; read again when it changes",
	 read_token_file},
	{"agent", OPTION_ENV("AGENT"), OPTION_VALUE, "PATH", NULL,
	 "the socket of this node's egress agent, to feed policies to",
	 read_agent},
	{"node-name", OPTION_ENV("NODE_NAME"), OPTION_VALUE, "NAME", NULL,
	 "this node's name in the cluster, for --agent", read_node_name},
	{"allow-loopback", OPTION_ENV("ALLOW_LOOPBACK"), OPTION_SWITCH, NULL,
	 "off", "take sandboxes whose endpoint is a loopback address",
	 read_allow_loopback},
	{"once", OPTION_ENV("ONCE"), OPTION_SWITCH, NULL, "off",
	 "list, feed and end; status 1 where something failed", read_once},
	{"http-addr", OPTION_ENV("HTTP_ADDR"), OPTION_VALUE, "[ADDRESS]:PORT",
	 NULL, "where to serve /healthz and /metrics", read_http_addr},
	{"log-level", OPTION_ENV("LOG_LEVEL"), OPTION_VALUE, "LEVEL", "info",
	 "debug, info, warn or error", read_log_level},
	{.name = NULL},
};
