/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reply_text(struct reply *reply, unsigned status, const char *format, ...)
{
	va_list args;
	char *text = NULL, *line = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	*reply = (struct reply){.status = status,
				.type = "text/plain; charset=utf-8",
				.body = line};
}

void reply_json(struct reply *reply, unsigned status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text) {
		reply_text(reply, 500, "out of memory");
		return;
	}
	*reply = (struct reply){
		.status = status, .type = "application/json", .body = text};
}

void reply_method(struct reply *reply, const char *allow)
{
	reply_text(reply, 405, "method not allowed");
	reply->allow = allow;
}

bool method_reads(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}
