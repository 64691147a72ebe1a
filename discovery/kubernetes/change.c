/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	OBJECT_MAX = 4 << 20, /* bytes; etcd takes no more than 1.5 MiB */
};

/* "namespace/name", as far as it has them; false where it has no name. */
static bool key_of(const json_t *object, char key[KEY_MAX])
{
	const json_t *metadata = json_object_get(object, "metadata");
	const char *namespace =
		json_string_value(json_object_get(metadata, "namespace")),
		   *name = json_string_value(json_object_get(metadata, "name"));

	snprintf(key, KEY_MAX, "%.63s/%.253s", namespace ? namespace : "",
		 name && name[0] ? name : "(no name)");
	return name && name[0];
}

static void put(struct feed_list *list, const char *key, struct translation *t)
{
	struct feed_sandbox sandbox = translation_sandbox(t);
	int err = feed_put(list, key, &sandbox);

	if (err)
		feed_refuse(list, key, strerror(-err));
}

void change_tell(struct feed_list *list, const struct kube_resource *resource,
		 bool allow_loopback, const json_t *object, uint64_t size,
		 bool deleted)
{
	struct translation t = {.allow_loopback = allow_loopback};
	char key[KEY_MAX];
	int ret;

	if (!key_of(object, key)) {
		if (!deleted)
			feed_refuse(list, key, "it has no name");
		return;
	}
	if (size > OBJECT_MAX && !deleted) {
		feed_refuse(list, key, "it has more than 4 MiB");
		return;
	}
	ret = deleted ? 1 : resource->translate(&t, object);
	if (ret == 0)
		put(list, key, &t);
	else if (ret == 1)
		feed_delete(list, key);
	else
		feed_refuse(list, key, ret == -EINVAL ? t.why : strerror(-ret));
	translation_free(&t);
}
