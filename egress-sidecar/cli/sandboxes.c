/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

void sandbox_row_read(struct sandbox_row *r, const json_t *status)
{
	const json_t *denied = json_object_get(status, "deniedLastMinute");
	const json_t *latest = json_object_get(denied, "latest");
	const json_t *gate = json_object_get(status, "gate");

	*r = (struct sandbox_row){.gate = json_is_object(gate)};
	cli_string(json_object_get(status, "id"), r->id, sizeof(r->id));
	if (!r->id[0])
		memcpy(r->id, "-", sizeof("-"));
	cli_string(json_object_get(status, "mode"), r->mode, sizeof(r->mode));
	if (json_is_true(json_object_get(status, "audit")))
		memcpy(r->mode, "audit", sizeof("audit"));
	cli_string(json_object_get(status, "health"), r->health,
		   sizeof(r->health));
	cli_string(json_object_get(json_array_get(latest, 0), "name"), r->last,
		   sizeof(r->last));
	if (!r->last[0])
		memcpy(r->last, "-", sizeof("-"));
	r->rules = number(status, "rules");
	r->leases = number(status, "leases");
	r->open = number(status, "flowsOpen");
	r->queries = number(status, "queries");
	r->denied = number(denied, "names") + number(denied, "connections") +
		    number(denied, "packets");
	r->gate_open = number(gate, "open");
	r->gate_refused = number(gate, "refused");
}

/* A sidecar guards one, which may have a name. */
static int check_id(struct client *c, const json_t *status)
{
	const char *id = json_string_value(json_object_get(status, "id"));
	char text[CLI_ID_SIZE];

	if (client_is_agent(c) || !c->options->id[0] ||
	    (id && strcmp(id, c->options->id) == 0))
		return CLI_DONE;
	snprintf(c->message, sizeof(c->message),
		 "%.200s: guards %s, not sandbox %s", c->options->url,
		 id ? cli_printable(id, text, sizeof(text))
		    : "a sandbox without a name",
		 c->options->id);
	return CLI_REFUSED;
}

int sandboxes_read(struct client *c, json_t **list)
{
	json_t *ids, *id, *status;
	bool one = c->options->id[0] != '\0';
	int ret = CLI_DONE;
	size_t i;

	*list = json_array();
	if (one)
		ids = json_pack("[s]", c->options->id);
	else
		ret = client_ids(c, &ids);
	json_array_foreach(ids, i, id)
	{
		if (ret != CLI_DONE)
			break;
		ret = client_ask(c, json_string_value(id), "/status", "GET",
				 NULL, 0, &status);
		if (ret == -ENOENT && !one && client_is_agent(c)) {
			ret = CLI_DONE; /* it has gone meanwhile */
			continue;
		}
		if (ret == CLI_DONE)
			ret = check_id(c, status);
		if (ret == CLI_DONE)
			json_array_append(*list, status);
		json_decref(status);
	}
	json_decref(ids);
	return ret == -ENOENT ? CLI_REFUSED : ret;
}
