/* SPDX-License-Identifier: Apache-2.0 */
#include "life.h"

#include <errno.h>
#include <stdio.h>

enum {
	PORT_DNS = 53,
	PORT_DOT = 853
};

static int add_port(const struct option_to *to, const char *item, char *why)
{
	uint16_t *ports = to->settings;
	size_t *n = to->field;
	unsigned long port;

	if (*n == GATE_PORTS_MAX)
		return option_expected(why, "at most 16 ports");
	if (option_number(item, UINT16_MAX, &port) || port == 0)
		return option_expected(why, "ports, 1 to 65535");
	if (port == PORT_DNS || port == PORT_DOT)
		return option_expected(why, "ports other than 53 and 853, "
					    "which are DNS's");
	for (size_t i = 0; i < *n; i++)
		if (ports[i] == port)
			return option_expected(why, "each port once");
	ports[(*n)++] = (uint16_t)port;
	return 0;
}

int gate_ports_read(uint16_t *ports, size_t *n, const char *text, char *why)
{
	const struct option_to to = {.settings = ports, .field = n};
	int err = option_list(&to, n, text, why, add_port);

	if (!err && *n == 0)
		err = option_expected(why, "at least one port");
	return err;
}
