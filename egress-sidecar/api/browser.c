/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A browser on a trusted host asks for whatever page it shows. What it says of
 * that page it says in headers that the page cannot leave out: Sec-Fetch-Site
 * (W3C Fetch Metadata) over TLS and at localhost, Origin (RFC 6454) with
 * whatever changes something. A page whose own name has been made to lead here
 * (DNS rebinding) is of our origin; it is known by its host, for neither an
 * address nor a name without a dot is an outsider's to give.
 */
#include "inner.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum {
	HOST_MAX = 256
};

/* The host of a Host field, without its port; cut where it is too long. */
static void host_of(char host[HOST_MAX], const char *field)
{
	size_t len =
		field[0] == '[' ? strcspn(field, "]") + 1 : strcspn(field, ":");

	len = strnlen(field, len < HOST_MAX ? len : HOST_MAX - 1);
	memcpy(host, field, len);
	host[len] = '\0';
}

static bool own_host(const char *field)
{
	static const char localhost[] = ".localhost";
	char host[HOST_MAX];
	struct in_addr a;
	size_t len;

	host_of(host, field);
	len = strlen(host);
	return host[0] == '[' || !strchr(host, '.') ||
	       inet_pton(AF_INET, host, &a) == 1 ||
	       (len >= sizeof(localhost) &&
		strcasecmp(host + len - (sizeof(localhost) - 1), localhost) ==
			0);
}

const char *foreign_page(const struct server_request *request)
{
	const char *site = server_header(request, "Sec-Fetch-Site");
	const char *origin = server_header(request, "Origin");
	const char *host = server_header(request, "Host");
	const char *at = origin ? strstr(origin, "://") : NULL;

	if (site)
		return strcmp(site, "same-origin") && strcmp(site, "none")
			       ? "a page of another origin"
			       : NULL;
	if (origin && !(at && host && strcasecmp(at + 3, host) == 0))
		return "a page of another origin";
	/* Node.js's fetch() names a mode without a site, which no page can. */
	if (server_header(request, "Sec-Fetch-Mode"))
		return NULL;
	if ((origin || server_header(request, "Accept-Language")) && host &&
	    !own_host(host))
		return "a page under this host's name";
	return NULL;
}
