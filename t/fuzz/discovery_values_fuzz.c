/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandbox's owner may write: the first byte says which value it is. What
 * is taken is in the record, no address where no sandbox is, and is taken again
 * as it stands there; what is not is told in a line.
 *
 * Counted: discovery/translate/values.c discovery/translate/endpoint.c
 * discovery/translate/time.c
 */
#include "translate/translate.h"

#include "policy/policy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	int (*read)(struct translation *t, const char *what, const char *text);
	const char *key; /* of the record; NULL: none */
} values[] = {
	{translate_id, NULL},
	{translate_expose, "expose"},
	{translate_token, "accessToken"},
	{translate_expires, "expiresAt"},
	{translate_endpoint, "endpoint"},
	{translate_policy, NULL},
	{translate_address, "endpoint"},
};

static void check_endpoint(const char *endpoint)
{
	char bare[ADDRESS_TEXT_MAX] = "";
	struct address a;
	size_t len = strlen(endpoint);

	if (endpoint[0] == '[' && len - 2 < sizeof(bare))
		memcpy(bare, endpoint + 1, len - 2);
	else if (len < sizeof(bare))
		memcpy(bare, endpoint, len);
	if (address_from_text(&a, bare) == 0)
		assert(address_kind(&a) == ADDRESS_PUBLIC ||
		       address_kind(&a) == ADDRESS_PRIVATE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct translation t = {.record = NULL}, again = {.record = NULL};
	const char *taken;
	char *text;
	size_t i;
	int err;

	if (size == 0)
		return 0;
	i = data[0] % (sizeof(values) / sizeof(*values));
	text = strndup((const char *)data + 1, size - 1);
	err = values[i].read(&t, "the label x", text);
	free(text);
	assert(err == 0 || err == -EINVAL);
	if (err) {
		assert(!strncmp(t.why, "the label x: ", 13));
		assert(!t.record && !t.policy && !t.ids[0][0]);
		return 0;
	}
	taken = values[i].read == translate_id
			? t.ids[0]
			: json_string_value(json_object_get(
				  t.record,
				  values[i].key ? values[i].key : ""));
	if (values[i].key && !strcmp(values[i].key, "endpoint"))
		check_endpoint(taken);
	if (taken) {
		assert(!strpbrk(taken, "\r\n"));
		assert(values[i].read(&again, "the label x", taken) == 0);
		assert(json_equal(t.record, again.record) ||
		       (!t.record && !again.record));
	}
	translation_free(&t);
	translation_free(&again);
	return 0;
}
