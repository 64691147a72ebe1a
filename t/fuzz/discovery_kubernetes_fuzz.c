/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server sends, as it arrives: the first byte says in which
 * pieces. However it is cut, the same is told; of an object every kind of
 * sandbox is made that can be, and none has an address where no sandbox is.
 *
 * Counted: discovery/kubernetes/scan.c discovery/kubernetes/object.c
 * discovery/kubernetes/names.c discovery/kubernetes/translate_batchsandbox.c
 * discovery/kubernetes/translate_agent_sandbox.c
 * discovery/kubernetes/translate_pod.c
 */
#include "kubernetes/inner.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct scan_want page[] = {
	{.key = "continue"},
	{.key = NULL},
};

static const struct scan_want wants[] = {
	{.key = "type"},
	{.key = "object", .members = kube_object_wants},
	{.key = "metadata", .members = page},
	{.key = "items", .members = kube_object_wants, .each = true},
	{.key = NULL},
};

/* What was told, one after another. */
struct told {
	FILE *out;
	char *text;
	size_t len;
	bool translate;
};

static void check(const struct translation *t, int ret)
{
	assert(ret == 0 || ret == 1 || ret == -EINVAL);
	if (ret == -EINVAL)
		assert(t->why[0]);
	if (ret)
		return;
	assert(t->ids[0][0]);
	assert(json_is_boolean(json_object_get(t->record, "ready")));
	if (json_is_true(json_object_get(t->record, "ready")))
		assert(json_object_get(t->record, "endpoint"));
}

static void check_node(const struct translation *t, int ret)
{
	assert(ret == 0 || ret == 1 || ret == -EINVAL);
	if (ret == -EINVAL)
		assert(t->why[0]);
	if (ret)
		return;
	assert(t->agent_id[0] && !strpbrk(t->agent_id, "/?#%"));
	assert(json_is_object(t->policy) || json_is_null(t->policy));
	assert(!t->ids[0][0]);
}

static void translate(const json_t *object)
{
	struct translation node = {.record = NULL};

	check_node(&node, translate_node_pod(&node, object));
	translation_free(&node);
	for (size_t i = 0; i < RESOURCES; i++) {
		struct translation t = {.record = NULL};

		check(&t, kube_resources[i].translate(&t, object));
		translation_free(&t);
	}
}

static int keep(struct told *told, const char *json, size_t len, bool element)
{
	json_t *value;

	assert(json[len] == '\0');
	fprintf(told->out, "%d:", element);
	fwrite(json, 1, len, told->out);
	if (!told->translate)
		return 0;
	value = json_loadb(json, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	if (value)
		translate(element ? value : json_object_get(value, "object"));
	json_decref(value);
	return 0;
}

static int on_element(void *arg, const char *json, size_t len, uint64_t size)
{
	(void)size;
	return keep(arg, json, len, true);
}

static int on_rest(void *arg, const char *json, size_t len, uint64_t size)
{
	(void)size;
	return keep(arg, json, len, false);
}

static int feed(struct told *told, const char *data, size_t size, size_t piece)
{
	struct scan scan = {.wants = wants,
			    .arg = told,
			    .element = on_element,
			    .rest = on_rest};
	int err = 0;

	told->out = open_memstream(&told->text, &told->len);
	assert(told->out);
	for (size_t at = 0; at < size && !err; at += piece)
		err = scan_feed(&scan, data + at,
				size - at < piece ? size - at : piece);
	if (!err)
		err = scan_is_between(&scan);
	scan_close(&scan);
	fclose(told->out);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told whole = {.translate = true}, cut = {.translate = false};

	if (size == 0)
		return 0;
	assert(feed(&whole, (const char *)data + 1, size - 1, size) ==
	       feed(&cut, (const char *)data + 1, size - 1, 1 + data[0] % 32));
	assert(whole.len == cut.len && !memcmp(whole.text, cut.text, cut.len));
	free(whole.text);
	free(cut.text);
	return 0;
}
