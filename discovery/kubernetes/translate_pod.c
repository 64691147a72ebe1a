/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod with a sandbox's label:
 *
 *   metadata: {name: web-0, labels: {opensandbox.io/id: sb-1},
 *     annotations: {opensandbox.io/expose: "8000,8080-8090"}}
 *   status: {phase: Running, podIP: 10.88.0.5,
 *     conditions: [{type: Ready, status: "True"}]}
 */
#include "inner.h"

#include <string.h>

/* One that has ended keeps its address, which may be another's by now. */
static int has_ended(struct translation *t, const json_t *object, bool *ended)
{
	const json_t *status;
	const char *phase;
	int err = object_member(t, object, "", "status", JSON_OBJECT, &status);

	if (!err)
		err = object_text(t, status, "status.", "phase", &phase);
	*ended = !err && phase &&
		 (strcmp(phase, "Succeeded") == 0 ||
		  strcmp(phase, "Failed") == 0);
	return err;
}

static int read_place(struct translation *t, const json_t *object)
{
	const json_t *status;
	const char *address = NULL;
	bool ready;
	int err = object_ready(t, object, &ready);

	if (!err)
		err = object_member(t, object, "", "status", JSON_OBJECT,
				    &status);
	if (!err)
		err = object_text(t, status, "status.", "podIP", &address);
	return err ? err
		   : object_place(t, "status.podIP", address, ready,
				  translate_address);
}

static int read_rest(struct translation *t, const json_t *object)
{
	const char *expires, *policy;
	int err = object_access(t, object);

	if (!err)
		err = object_annotation(t, object, LABEL_EXPIRES_AT, &expires);
	if (!err && expires)
		err = translate_expires(t, "the annotation " LABEL_EXPIRES_AT,
					expires);
	if (!err)
		err = object_annotation(t, object, LABEL_POLICY, &policy);
	if (!err && policy)
		err = translate_policy(t, "the annotation " LABEL_POLICY,
				       policy);
	return err;
}

int translate_pod(struct translation *t, const json_t *object)
{
	const char *name, *id = NULL;
	bool ended;
	int err = object_name(t, object, &name);

	if (!err)
		err = object_label(t, object, LABEL_ID, &id);
	if (!err)
		err = has_ended(t, object, &ended);
	if (err)
		return err;
	if (!id || ended)
		return 1;
	err = translate_id(t, "the label " LABEL_ID, id);
	if (!err)
		err = read_place(t, object);
	return err ? err : read_rest(t, object);
}

/* The agent knows it by its uid, which the CNI plugin is told as well. */
static int read_uid(struct translation *t, const json_t *object)
{
	const json_t *metadata;
	const char *uid;
	int err = object_member(t, object, "", "metadata", JSON_OBJECT,
				&metadata);

	if (!err)
		err = object_text(t, metadata, "metadata.", "uid", &uid);
	if (err)
		return err;
	if (!uid || !uid[0] || strlen(uid) >= sizeof(t->agent_id) ||
	    uid[strspn(uid, "0123456789abcdefghijklmnopqrstuvwxyz-")])
		return translation_refuse(t, "metadata.uid: expected a UUID");
	memcpy(t->agent_id, uid, strlen(uid) + 1);
	return 0;
}

static int refuse_host(struct translation *t)
{
	return translation_refuse(
		t,
		"the annotation " LABEL_POLICY
		": there is none for the node's network, which the pod uses");
}

int translate_node_pod(struct translation *t, const json_t *object)
{
	const json_t *spec;
	const char *policy;
	bool ended, host;
	int err = has_ended(t, object, &ended);

	if (!err)
		err = object_member(t, object, "", "spec", JSON_OBJECT, &spec);
	if (!err)
		err = object_annotation(t, object, LABEL_POLICY, &policy);
	if (err)
		return err;
	host = json_is_true(json_object_get(spec, "hostNetwork"));
	if (ended || (host && !policy))
		return 1;
	if (host)
		return refuse_host(t);
	err = read_uid(t, object);
	if (!err && policy)
		return translate_policy(t, "the annotation " LABEL_POLICY,
					policy);
	/* Without one, that which the node has for such pods. */
	t->policy = json_null();
	return err;
}
