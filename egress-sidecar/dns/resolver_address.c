/* SPDX-License-Identifier: Apache-2.0 */
#include "dns.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_from_text(const char *text, unsigned long *port)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*port = strtoul(text, &end, 10);
	return !errno && !*end && *port > 0 && *port <= UINT16_MAX;
}

int resolver_from_text(struct resolver_address *r, const char *text)
{
	char host[128];
	const char *port = NULL;
	char *zone, *close;
	unsigned long n = 53;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text[0] == '[' ? text + 1 : text,
	       strlen(text) + (text[0] != '['));
	if (text[0] == '[') {
		close = strchr(host, ']');
		if (!close || (close[1] && close[1] != ':'))
			return -EINVAL;
		port = close[1] ? close + 2 : NULL;
		*close = '\0';
	} else if (strchr(host, ':') &&
		   strchr(host, ':') == strrchr(host, ':')) {
		close = strchr(host, ':');
		port = close + 1;
		*close = '\0';
	}
	if (port && !port_from_text(port, &n))
		return -EINVAL;
	zone = strchr(host, '%');
	if (zone)
		*zone++ = '\0';
	*r = (struct resolver_address){.port = (uint16_t)n};
	if (zone && !(r->scope_id = if_nametoindex(zone)))
		return -EINVAL;
	return address_from_text(&r->a, host);
}

char *resolver_to_text(const struct resolver_address *r, char *out)
{
	char host[ADDRESS_TEXT_MAX], zone[IF_NAMESIZE];
	const char *name =
		r->scope_id ? if_indextoname(r->scope_id, zone) : NULL;
	bool is_ipv6 = r->a.family == AF_INET6;

	address_to_text(&r->a, host);
	snprintf(out, RESOLVER_TEXT_MAX, "%s%s%s%s%s:%u", is_ipv6 ? "[" : "",
		 host, name ? "%" : "", name ? name : "", is_ipv6 ? "]" : "",
		 r->port);
	return out;
}

bool resolver_addresses_same(const struct resolver_address *a, size_t n_a,
			     const struct resolver_address *b, size_t n_b)
{
	for (size_t i = 0; i < n_a && i < n_b; i++)
		if (address_compare(&a[i].a, &b[i].a) ||
		    a[i].port != b[i].port || a[i].scope_id != b[i].scope_id)
			return false;
	return n_a == n_b;
}
