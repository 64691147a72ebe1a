/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

void status_api(struct sandbox *sandbox, const char *method,
		struct reply *reply)
{
	if (method_reads(method))
		reply_json(reply, 200, sandbox_status(sandbox));
	else
		reply_method(reply, "GET, HEAD");
}
