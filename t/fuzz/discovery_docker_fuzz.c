/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever an engine says: a list in pieces has the ids that it has in one,
 * lines are as they were sent, and no container is fed with an endpoint or a
 * port that its labels or addresses must not have.
 *
 * Counted: discovery/docker/translate.c
 * Counted: discovery/docker/messages.c
 */
#include "docker/inner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ids {
	size_t n, hash;
};

static void note_id(void *arg, const char *id)
{
	struct ids *ids = arg;

	assert(strlen(id) <= CONTAINER_ID_MAX);
	ids->n++;
	while (*id)
		ids->hash = ids->hash * 31 + (unsigned char)*id++;
}

static bool scan(const char *text, size_t size, size_t piece, struct ids *ids)
{
	struct id_scan scan = {.found = note_id, .arg = ids};

	for (size_t at = 0; at < size; at += piece)
		id_scan_add(&scan, text + at,
			    piece < size - at ? piece : size - at);
	return id_scan_complete(&scan);
}

static void take_list(const char *text, size_t size, size_t piece)
{
	struct ids whole = {0}, pieces = {0};

	assert(scan(text, size, size, &whole) ==
	       scan(text, size, piece, &pieces));
	assert(whole.n == pieces.n && whole.hash == pieces.hash);
}

static int take_line(void *arg, const char *line, size_t len)
{
	struct engine_event event;
	size_t *total = arg;

	assert(len > 0 && !memchr(line, '\n', len));
	*total += len;
	if (engine_event_read(&event, line, len) == 0)
		assert(strlen(event.id) <= CONTAINER_ID_MAX);
	return 0;
}

static void take_lines(const char *text, size_t size, size_t piece)
{
	struct lines lines = {.text = NULL};
	size_t total = 0, newlines = 0;

	for (size_t at = 0; at < size; at++)
		newlines += text[at] == '\n';
	for (size_t at = 0; at < size; at += piece)
		assert(lines_add(&lines, text + at,
				 piece < size - at ? piece : size - at,
				 take_line, &total) == 0);
	assert(total + lines.len + newlines == size);
	lines_free(&lines);
}

static void take_container(const char *text, size_t size, uint8_t flags)
{
	struct docker_settings settings = {.published = flags & 1};
	struct translation t = {.allow_loopback = false};
	json_t *container = json_loadb(text, size, 0, NULL);
	const char *endpoint, *mode, *network;

	if (flags & 2)
		memcpy(settings.network, "other", sizeof("other"));
	network = docker_network_of(container);
	docker_has_health(container);
	if (docker_translate(&t, container, container, &settings) == 0 &&
	    t.ids[0][0]) {
		endpoint = json_string_value(
			json_object_get(t.record, "endpoint"));
		mode = json_string_value(json_object_get(
			json_object_get(container, "HostConfig"),
			"NetworkMode"));
		if (endpoint && (!mode || strcmp(mode, "host") != 0))
			assert(strncmp(endpoint, "127.", 4) != 0 &&
			       strncmp(endpoint, "169.254.", 8) != 0);
		assert(!network || strcmp(mode, "host") != 0);
		assert(json_is_boolean(json_object_get(t.record, "ready")));
	}
	translation_free(&t);
	json_decref(container);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 2)
		return 0;
	/* Of its own, so that reading past it is seen. */
	text = malloc(size - 1);
	assert(text);
	memcpy(text, data + 1, size - 1);
	take_list(text, size - 1, (size_t)(data[0] >> 2) + 1);
	take_lines(text, size - 1, (size_t)(data[0] >> 2) + 1);
	take_container(text, size - 1, data[0]);
	free(text);
	return 0;
}
