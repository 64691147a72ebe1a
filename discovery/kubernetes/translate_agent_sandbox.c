/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Sandbox of agents.x-k8s.io:
 *
 *   metadata: {name: sandbox-7f, labels: {opensandbox.io/id: 7f}}
 *   status: {podIPs: [10.88.0.5], serviceFQDN: sandbox-7f.ns.svc.cluster.local,
 *     conditions: [{type: Ready, status: "True"}]}
 */
#include "inner.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "sandbox-"

static bool has_prefix(const char *id)
{
	return strncmp(id, PREFIX, strlen(PREFIX)) == 0;
}

/* An alias, where it can be an id. */
static int add_alias(struct translation *t, const char *prefix, const char *id)
{
	char alias[FEED_ID_MAX + 1];
	int len = snprintf(alias, sizeof(alias), "%s%s", prefix, id);

	if (len <= 0 || len > FEED_ID_MAX)
		return 0;
	return translate_id(t, "metadata.name", alias);
}

/*
 * Its name, the id that it was made for, that with the prefix. A label that
 * says another sandbox's id is not believed: OpenSandbox would not find this
 * one by that either.
 */
static int read_ids(struct translation *t, const json_t *object)
{
	const char *name, *id, *bare;
	int err = object_name(t, object, &name);

	if (!err)
		err = translate_id(t, "metadata.name", name);
	if (!err)
		err = object_label(t, object, LABEL_ID, &id);
	if (err)
		return err;
	bare = has_prefix(name) ? name + strlen(PREFIX) : name;
	if (!id || !name_is_of(name, id))
		id = bare;
	err = add_alias(t, "", id);
	if (!err)
		err = add_alias(t, has_prefix(id) ? "" : PREFIX, id);
	return err ? err : add_alias(t, "", bare);
}

/* Of a pod as status.podIPs or as a pod's status has it. */
static const char *address_of(const json_t *one)
{
	return json_string_value(
		json_is_object(one) ? json_object_get(one, "ip") : one);
}

static int read_place(struct translation *t, const json_t *object)
{
	const json_t *status, *addresses = NULL, *first;
	const char *service = NULL;
	bool ready;
	int err = object_ready(t, object, &ready);

	if (!err)
		err = object_member(t, object, "", "status", JSON_OBJECT,
				    &status);
	if (!err)
		err = object_member(t, status, "status.", "podIPs", JSON_ARRAY,
				    &addresses);
	if (!err)
		err = object_text(t, status, "status.", "serviceFQDN",
				  &service);
	if (err)
		return err;
	first = json_array_get(addresses, 0);
	if (!first)
		return object_place(t, "status.serviceFQDN", service, ready,
				    translate_endpoint);
	if (!address_of(first))
		return translation_refuse(t, "status.podIPs: expected "
					     "addresses");
	return object_place(t, "status.podIPs", address_of(first), ready,
			    translate_address);
}

int translate_agent_sandbox(struct translation *t, const json_t *object)
{
	int err = read_ids(t, object);

	if (!err)
		err = read_place(t, object);
	return err ? err : object_access(t, object);
}
