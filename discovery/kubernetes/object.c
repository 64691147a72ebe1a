/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <stdio.h>
#include <string.h>

int object_member(struct translation *t, const json_t *parent, const char *what,
		  const char *key, json_type type, const json_t **member)
{
	const json_t *value = json_object_get(parent, key);

	*member = NULL;
	if (!value || json_is_null(value))
		return 0;
	if (json_typeof(value) != type)
		return translation_refuse(t, "%s%s: expected an %s", what, key,
					  type == JSON_ARRAY ? "array"
							     : "object");
	*member = value;
	return 0;
}

int object_text(struct translation *t, const json_t *parent, const char *what,
		const char *key, const char **text)
{
	const json_t *value = json_object_get(parent, key);

	*text = NULL;
	if (!value || json_is_null(value))
		return 0;
	*text = json_string_value(value);
	if (!*text || strlen(*text) != json_string_length(value))
		return translation_refuse(t, "%s%s: expected a text", what,
					  key);
	return 0;
}

static int metadata_text(struct translation *t, const json_t *object,
			 const char *part, const char *key, const char **text)
{
	const json_t *metadata, *all;
	char what[32];
	int err;

	*text = NULL;
	err = object_member(t, object, "", "metadata", JSON_OBJECT, &metadata);
	if (!err)
		err = object_member(t, metadata, "metadata.", part, JSON_OBJECT,
				    &all);
	if (err)
		return err;
	snprintf(what, sizeof(what), "the %.*s ", (int)strlen(part) - 1, part);
	return object_text(t, all, what, key, text);
}

int object_annotation(struct translation *t, const json_t *object,
		      const char *key, const char **text)
{
	return metadata_text(t, object, "annotations", key, text);
}

int object_label(struct translation *t, const json_t *object, const char *key,
		 const char **text)
{
	return metadata_text(t, object, "labels", key, text);
}

int object_name(struct translation *t, const json_t *object, const char **name)
{
	const json_t *metadata;
	int err = object_member(t, object, "", "metadata", JSON_OBJECT,
				&metadata);

	if (!err)
		err = object_text(t, metadata, "metadata.", "name", name);
	if (!err && !*name)
		err = translation_refuse(t, "it has no name");
	return err;
}

int object_ready(struct translation *t, const json_t *object, bool *ready)
{
	const json_t *status, *conditions = NULL;
	int err = object_member(t, object, "", "status", JSON_OBJECT, &status);

	*ready = false;
	if (!err)
		err = object_member(t, status, "status.", "conditions",
				    JSON_ARRAY, &conditions);
	for (size_t i = 0; i < json_array_size(conditions) && !err; i++) {
		const json_t *one = json_array_get(conditions, i);
		const char *type, *is;

		err = object_text(t, one, "status.conditions.", "type", &type);
		if (!err)
			err = object_text(t, one, "status.conditions.",
					  "status", &is);
		if (!err && type && strcmp(type, "Ready") == 0) {
			*ready = is && strcmp(is, "True") == 0;
			break;
		}
	}
	return err;
}

int object_place(struct translation *t, const char *what, const char *endpoint,
		 bool ready,
		 int (*read)(struct translation *t, const char *what,
			     const char *text))
{
	int err = 0;

	if (endpoint && endpoint[0])
		err = read(t, what, endpoint);
	else
		ready = false;
	return err ? err : translation_set(t, "ready", json_boolean(ready));
}

int object_access(struct translation *t, const json_t *object)
{
	const char *token, *expose;
	int err = object_annotation(t, object, LABEL_ACCESS_TOKEN, &token);

	if (!err && token)
		err = translate_token(t, "the annotation " LABEL_ACCESS_TOKEN,
				      token);
	if (!err)
		err = object_annotation(t, object, LABEL_EXPOSE, &expose);
	if (!err && expose)
		err = translate_expose(t, "the annotation " LABEL_EXPOSE,
				       expose);
	return err;
}
