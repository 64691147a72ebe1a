/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level threshold = LOG_INFO;
static json_t *common;
static unsigned long dropped;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
	threshold = level;
}

int log_level_from_text(enum log_level *level, const char *text)
{
	if (strcasecmp(text, "warning") == 0)
		text = "warn";
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (strcasecmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_common(json_t *fields)
{
	json_decref(common);
	common = fields;
}

int log_enabled(enum log_level level)
{
	return level >= threshold;
}

unsigned long log_dropped(void)
{
	return dropped;
}

static void set_time(json_t *line)
{
	struct timespec now;
	struct tm tm;
	char text[48];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%06ldZ", now.tv_nsec / 1000);
	json_object_set_new(line, "time", json_string(text));
}

static void set_fields(json_t *line, va_list args)
{
	const char *key, *text;
	json_t *value;

	while ((key = va_arg(args, const char *))) {
		switch (key[0]) {
		case 's':
			text = va_arg(args, const char *);
			value = text ? json_string(text) : NULL;
			break;
		case 'i':
			value = json_integer(va_arg(args, long long));
			break;
		default:
			value = json_incref(va_arg(args, json_t *));
			break;
		}
		if (value)
			json_object_set_new(line, key + 1, value);
	}
}

/*
 * One write a line, so that lines of several processes do not mix. A reader
 * that has stopped must not stop us: what does not fit is dropped, and a line
 * cut short is ended with the next write's newline.
 */
static void emit(char *text)
{
	static int torn;
	size_t len = strlen(text);
	ssize_t n;

	text[len++] = '\n';
	if (torn && write(STDOUT_FILENO, "\n", 1) != 1) {
		dropped++;
		return;
	}
	torn = 0;
	n = write(STDOUT_FILENO, text, len);
	if (n == (ssize_t)len)
		return;
	dropped++;
	torn = n > 0;
}

void log_event(enum log_level level, const char *event, const char *msg, ...)
{
	json_t *line;
	va_list args;
	char *text;

	if (!log_enabled(level))
		return;
	line = json_object();
	if (!line)
		return;
	set_time(line);
	json_object_set_new(line, "level", json_string(level_names[level]));
	if (event) {
		json_object_set_new(line, "event", json_string(event));
		json_object_set_new(line, "opensandbox.event",
				    json_string(event));
	}
	json_object_set_new(line, "msg", json_string(msg));
	if (common)
		json_object_update(line, common);
	va_start(args, msg);
	set_fields(line, args);
	va_end(args);
	/* The NUL's place is where emit() puts the newline. */
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (!text)
		return;
	emit(text);
	free(text);
}

void log_fatal(const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = snprintf(text, sizeof(text), "egress-sidecar: ");
	vsnprintf(text + n, sizeof(text) - (size_t)n - 1, format, args);
	va_end(args);
	n = (int)strlen(text);
	text[n++] = '\n';
	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		return;
}
