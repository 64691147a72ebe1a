/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"tcp", IPPROTO_TCP},   {"udp", IPPROTO_UDP},
	{"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6},
	{"sctp", IPPROTO_SCTP}, {"udplite", IPPROTO_UDPLITE},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *protocol_to_text(uint8_t protocol, char *out)
{
	for (size_t i = 0; i < COUNT(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	snprintf(out, PROTOCOL_TEXT_MAX, "%u", protocol);
	return out;
}

int protocol_from_text(uint8_t *protocol, const char *text)
{
	unsigned long number;
	char *end;

	for (size_t i = 0; i < COUNT(protocols); i++) {
		if (strcmp(protocols[i].name, text) == 0) {
			*protocol = protocols[i].number;
			return 0;
		}
	}
	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	number = strtoul(text, &end, 10);
	if (*end || number > UINT8_MAX)
		return -EINVAL;
	*protocol = (uint8_t)number;
	return 0;
}
