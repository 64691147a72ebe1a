/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BatchSandbox of OpenSandbox:
 *
 *   metadata: {name: sb-1, annotations: {
 *     sandbox.opensandbox.io/endpoints: '["10.88.0.5"]',
 *     opensandbox.io/secure-access-token: "..."}}
 *   status: {replicas: 1, ready: 1}
 */
#include "inner.h"

#include <string.h>

static int is_ready(struct translation *t, const json_t *object, bool *ready)
{
	const json_t *status, *count;
	int err = object_member(t, object, "", "status", JSON_OBJECT, &status);

	if (err)
		return err;
	count = json_object_get(status, "ready");
	if (count && !json_is_null(count) && !json_is_number(count))
		return translation_refuse(t, "status.ready: expected a number");
	*ready = json_number_value(count) >= 1;
	return 0;
}

/* The first of the addresses; the others are further replicas'. */
static int read_endpoints(struct translation *t, const char *text, bool ready)
{
	static const char what[] = "the annotation " ANNOTATION_ENDPOINTS;
	json_t *all =
		text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *first = json_array_get(all, 0);
	int err;

	if (text && (!json_is_array(all) || (first && !json_is_string(first))))
		err = translation_refuse(
			t, "%s: expected a JSON array of addresses", what);
	else
		err = object_place(t, what, json_string_value(first), ready,
				   translate_address);
	json_decref(all);
	return err;
}

int translate_batchsandbox(struct translation *t, const json_t *object)
{
	const char *name, *endpoints = NULL;
	bool ready = false;
	int err = object_name(t, object, &name);

	if (!err)
		err = translate_id(t, "metadata.name", name);
	if (!err)
		err = is_ready(t, object, &ready);
	if (!err)
		err = object_annotation(t, object, ANNOTATION_ENDPOINTS,
					&endpoints);
	if (!err)
		err = read_endpoints(t, endpoints, ready);
	return err ? err : object_access(t, object);
}
