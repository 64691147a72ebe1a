/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"
#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV(name)      "OPENSANDBOX_EGRESS_" name
#define URL_DEFAULT    "http://127.0.0.1:18080"
#define SOCKET_DEFAULT "/run/opensandbox/egress.sock"
#define WHERE          "http://HOST:PORT, https://HOST:PORT or [ADDRESS]:PORT"

/* As --http-addr has it; what listens on every address does so on loopback. */
static int address_url(const struct option_to *to, const char *value, char *why)
{
	static const char *const every[] = {"", "*", "0.0.0.0", "[::]", "::"};
	const char *colon = strrchr(value, ':');
	struct cli_options *o = to->settings;
	unsigned long port;
	size_t len;
	bool bare;

	if (!colon || option_number(colon + 1, 65535, &port) || port == 0)
		return option_expected(why, WHERE);
	len = (size_t)(colon - value);
	for (size_t i = 0; i < sizeof(every) / sizeof(*every); i++)
		if (strlen(every[i]) == len && !memcmp(every[i], value, len)) {
			snprintf(o->url, sizeof(o->url), "http://127.0.0.1:%lu",
				 port);
			return 0;
		}
	bare = value[0] != '[' && memchr(value, ':', len);
	if (len > 255 || memchr(value, '/', len) || memchr(value, '@', len))
		return option_expected(why, WHERE);
	snprintf(o->url, sizeof(o->url), "http://%s%.*s%s:%lu", bare ? "[" : "",
		 (int)len, value, bare ? "]" : "", port);
	return 0;
}

static int read_url(const struct option_to *to, const char *value, char *why)
{
	struct cli_options *o = to->settings;
	size_t len = strlen(value);
	int err;

	if (strncmp(value, "http://", 7) && strncmp(value, "https://", 8))
		err = address_url(to, value, why);
	else
		err = option_text(to, value, why);
	while (!err && len > 0 && o->url[0] && len == strlen(o->url) &&
	       o->url[len - 1] == '/')
		o->url[--len] = '\0';
	o->socket[0] = '\0';
	return err;
}

static int read_socket(const struct option_to *to, const char *value, char *why)
{
	struct cli_options *o = to->settings;

	o->url[0] = '\0';
	return option_path(to, value, why);
}

int cli_id_read(char id[CLI_ID_SIZE], const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= CLI_ID_SIZE ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-."
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != len)
		return -EINVAL;
	memcpy(id, text, len + 1);
	return 0;
}

static int read_id(const struct option_to *to, const char *value, char *why)
{
	return cli_id_read(to->field, value)
		       ? option_expected(why,
					 "1 to 63 of a-z, 0-9, \".\" and \"-\"")
		       : 0;
}

static int read_interval(const struct option_to *to, const char *value,
			 char *why)
{
	unsigned long n;

	if (option_number(value, 3600, &n) || n == 0)
		return option_expected(why, "seconds, 1 to 3600");
	*(unsigned *)to->field = (unsigned)n;
	return 0;
}

#define INTO(reader, field) OPTION_INTO(reader, struct cli_options, field, 0)

static const struct option_row rows[] = {
	{"url", ENV("HTTP_ADDR"), "URL|[ADDRESS]:PORT", NULL,
	 "the sidecar's API (default: the agent's socket if it is there, else "
	 "127.0.0.1:18080)",
	 INTO(read_url, url)},
	{"socket", ENV("AGENT_SOCKET"), "PATH", NULL,
	 "the agent's socket (default: " SOCKET_DEFAULT ")",
	 INTO(read_socket, socket)},
	{"token", ENV("TOKEN"), "TOKEN", NULL,
	 "sent in OPENSANDBOX-EGRESS-AUTH; others of this host see a command "
	 "line",
	 INTO(option_heap_text, token)},
	{"token-file", ENV("TOKEN_FILE"), "FILE", NULL,
	 "the same, from a file's first line", INTO(option_token_file, token)},
	{"sandbox", NULL, "ID", NULL, "that sandbox of the agent's alone",
	 INTO(read_id, id)},
	{"json", NULL, NULL, "off", "print the API's answer, a line each",
	 INTO(option_switch, json)},
	{.name = NULL},
};

static const struct option_row top_rows[] = {
	{"interval", NULL, "SECONDS", "2", "between looks, 1 to 3600",
	 INTO(read_interval, interval_s)},
	{"once", NULL, NULL, "off", "look once, and print lines",
	 INTO(option_switch, once)},
	{.name = NULL},
};

int cli_options_read(struct cli_options *o,
		     void (*help)(const struct options *options), bool top,
		     int argc, char **argv)
{
	const struct option_table tables[] = {{rows, o, NULL},
					      {top_rows, o, NULL}};
	const struct options options = {
		.program = "egress-sidecar",
		.tables = tables,
		.n = top ? 2 : 1,
		.help = help,
		.operands = &o->operands,
	};
	int err;

	*o = (struct cli_options){.url = ""};
	err = options_defaults(&options);
	if (!err)
		err = options_environment(&options);
	if (!err)
		err = options_arguments(&options, argc, argv);
	if (err) {
		cli_options_free(o);
		return err;
	}
	if (o->url[0] || o->socket[0])
		return 0;
	if (access(SOCKET_DEFAULT, F_OK) == 0)
		memcpy(o->socket, SOCKET_DEFAULT, sizeof(SOCKET_DEFAULT));
	else
		memcpy(o->url, URL_DEFAULT, sizeof(URL_DEFAULT));
	return 0;
}

void cli_options_free(struct cli_options *o)
{
	free(o->token);
	o->token = NULL;
}
