/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEALTH "health_status"

enum {
	EVENT_MAX = 16 << 20, /* bytes; all labels of a container are in it */
	LINE_KEPT = 64 << 10, /* bytes of room that stay for the next line */
	LIST_DEPTH = 2,       /* of a container's members: [ { */
};

/*
 * A list: [{"Id": "48ec...", "Names": ["/web"], "Labels": {...}}, ...]. It is
 * as long as all labels of all containers together.
 */

static void string_ends(struct id_scan *scan)
{
	if (scan->len > CONTAINER_ID_MAX)
		scan->len = 0;
	scan->text[scan->len] = '\0';
	if (!scan->is_value)
		scan->is_id = strcmp(scan->text, "Id") == 0;
	else if (scan->is_id)
		scan->found(scan->arg, scan->text);
}

/* Within a string; those of deeper members are of no interest. */
static void scan_quoted(struct id_scan *scan, char c)
{
	if (scan->escaped) {
		scan->escaped = false;
	} else if (c == '\\') {
		scan->escaped = true;
		scan->len = sizeof(scan->text);
	} else if (c == '"') {
		scan->quoted = false;
		if (scan->depth == LIST_DEPTH)
			string_ends(scan);
	} else if (scan->len < sizeof(scan->text)) {
		scan->text[scan->len++] = c;
	}
}

static void scan_plain(struct id_scan *scan, char c)
{
	if (!scan->begun && !strchr(" \t\r\n", c)) {
		scan->begun = true;
		scan->bad = c != '[';
	}
	if (c == '"') {
		scan->quoted = true;
		scan->len = 0;
	} else if (c == '[' || c == '{') {
		scan->depth++;
		scan->is_value = false;
	} else if (c == ']' || c == '}') {
		scan->bad |= scan->depth == 0;
		scan->depth -= scan->depth > 0;
	} else if (scan->depth == LIST_DEPTH && (c == ':' || c == ',')) {
		scan->is_value = c == ':';
	}
}

void id_scan_add(struct id_scan *scan, const char *piece, size_t len)
{
	for (size_t i = 0; i < len && !scan->bad; i++) {
		if (scan->quoted)
			scan_quoted(scan, piece[i]);
		else
			scan_plain(scan, piece[i]);
	}
}

bool id_scan_complete(const struct id_scan *scan)
{
	return scan->begun && !scan->bad && !scan->quoted && scan->depth == 0;
}

/*
 * Events: {"Type": "container", "Action": "start", "Actor": {"ID": "48ec...",
 * "Attributes": {"name": "web", and all labels}}}. Of a network's events the
 * container is Actor.Attributes.container (Docker) or Actor.ID (Podman).
 */

/* What a container can do without becoming another. */
static bool is_of_interest(const char *action)
{
	static const char *const idle[] = {
		"exec",   "attach", "detach", "commit",       "copy",
		"export", "resize", "top",    "archive-path", "extract-to-dir",
	};

	for (size_t i = 0; i < sizeof(idle) / sizeof(*idle); i++) {
		size_t len = strlen(idle[i]);

		/* "exec_start: sh -c true" */
		if (strncmp(action, idle[i], len) == 0 &&
		    (action[len] == '\0' || action[len] == '_' ||
		     action[len] == ':'))
			return false;
	}
	return true;
}

static const char *container_of(const char *type, const json_t *actor)
{
	const json_t *attributes = json_object_get(actor, "Attributes");
	const char *id = json_string_value(json_object_get(actor, "ID"));

	if (strcmp(type, "container") == 0)
		return json_object_get(attributes, LABEL_ID) ? id : NULL;
	if (strcmp(type, "network") == 0 &&
	    json_object_get(attributes, "container"))
		return json_string_value(
			json_object_get(attributes, "container"));
	return strcmp(type, "network") == 0 ? id : NULL;
}

int engine_event_read(struct engine_event *event, const char *line, size_t len)
{
	json_t *json = json_loadb(line, len, 0, NULL);
	const char *type = json_string_value(json_object_get(json, "Type"));
	const char *action = json_string_value(json_object_get(json, "Action"));
	const char *id = NULL;
	int err = type && action ? 0 : -EINVAL;

	*event = (struct engine_event){.health = false};
	if (!err && is_of_interest(action))
		id = container_of(type, json_object_get(json, "Actor"));
	if (id && strlen(id) <= CONTAINER_ID_MAX)
		memcpy(event->id, id, strlen(id) + 1);
	/* "health_status: healthy" */
	event->health = !err && strncmp(action, HEALTH, strlen(HEALTH)) == 0;
	json_decref(json);
	return err;
}

/* Lines */

void lines_free(struct lines *lines)
{
	free(lines->text);
	*lines = (struct lines){.text = NULL};
}

static int line_keep(struct lines *lines, const char *piece, size_t len)
{
	char *text;

	if (len == 0)
		return 0;
	if (lines->len + len > EVENT_MAX)
		return -EMSGSIZE;
	if (lines->len + len > lines->room) {
		text = realloc(lines->text, lines->len + len);
		if (!text)
			return -ENOMEM;
		lines->text = text;
		lines->room = lines->len + len;
	}
	memcpy(lines->text + lines->len, piece, len);
	lines->len += len;
	return 0;
}

int lines_add(struct lines *lines, const char *piece, size_t len,
	      int (*take)(void *arg, const char *line, size_t len), void *arg)
{
	const char *end;
	int err = 0;

	while (!err && (end = memchr(piece, '\n', len))) {
		size_t n = (size_t)(end - piece);

		err = line_keep(lines, piece, n);
		if (!err && lines->len > 0)
			err = take(arg, lines->text, lines->len);
		lines->len = 0;
		if (lines->room > LINE_KEPT)
			lines_free(lines);
		piece += n + 1;
		len -= n + 1;
	}
	return err ? err : line_keep(lines, piece, len);
}
