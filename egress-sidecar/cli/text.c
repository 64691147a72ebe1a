/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cli_printable(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= ' ' && c <= '~';

		if (n + (plain ? 1 : 4) >= size)
			break;
		if (plain) {
			out[n++] = *text;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return out;
}

const char *cli_string(const json_t *value, char *out, size_t size)
{
	const char *text = json_string_value(value);

	return cli_printable(text ? text : "", out, size);
}

int cli_flush(int ret)
{
	if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE)
		return ret;
	log_fatal("standard output: %s", strerror(errno));
	return ret ? ret : CLI_REFUSED;
}

void cli_print_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);

	/* DEL is ASCII, too. */
	for (const char *at = text; at && *at; at++)
		if (*at == 0x7f)
			fputs("\\u007f", stdout);
		else
			putchar(*at);
	putchar('\n');
	free(text);
}
