/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LIMIT_MAX = 1000, /* flows in one answer */
	LIMIT = 100
};

#define ID_MAX                                                        \
	((1ULL << 53) - 1) /* what every reader of JSON holds exactly \
			    */

/* A decimal number from least to most; false, with the reply, where the
 * argument is another. */
static bool number(const struct server_request *request, const char *name,
		   unsigned long long least, unsigned long long most,
		   unsigned long long *out, struct reply *reply)
{
	const char *text = server_argument(request, name);
	size_t len = text ? strlen(text) : 0;
	unsigned long long n = 0;

	if (!text)
		return true;
	/* As many digits as cannot overflow. */
	if (len > 0 && len < 18 && strspn(text, "0123456789") == len)
		n = strtoull(text, NULL, 10);
	else
		n = most + 1;
	if (n >= least && n <= most) {
		*out = n;
		return true;
	}
	reply_text(reply, 400,
		   "%s: \"%.40s\": expected a number from %llu to "
		   "%llu",
		   name, text, least, most);
	return false;
}

void flows_api(struct sandbox *sandbox, const struct server_request *request,
	       struct reply *reply)
{
	unsigned long long limit = LIMIT, after = 0;

	if (!method_reads(request->method))
		reply_method(reply, "GET, HEAD");
	else if (number(request, "limit", 1, LIMIT_MAX, &limit, reply) &&
		 number(request, "after", 0, ID_MAX, &after, reply))
		reply_json(reply, 200, sandbox_flows(sandbox, after, limit));
}
