/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_MAX       64
#define TIME_TEXT_MAX 48

static const char *program = "egress-sidecar";
static enum log_level least = LOG_INFO;
static json_t *common;
static unsigned long dropped;

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

void log_set_program(const char *name)
{
	program = name;
}

void log_set_level(enum log_level level)
{
	least = level;
}

int log_level_from_text(enum log_level *level, const char *text)
{
	if (!strcasecmp(text, "warning"))
		text = "warn";
	else if (!strcasecmp(text, "fatal"))
		text = "error";
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (!strcasecmp(text, level_names[i])) {
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
	return level >= least;
}

unsigned long log_dropped(void)
{
	return dropped;
}

void time_to_text(time_t time, char out[TIME_TEXT_SIZE])
{
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(out, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* RFC 3339, UTC, microseconds */
static void write_time(char out[TIME_TEXT_MAX])
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + len, TIME_TEXT_MAX - len, ".%06ldZ", now.tv_nsec / 1000);
}

/* Bytes from outside need not be UTF-8, which JSON is; what is not becomes
 * '?', so that no line is lost for it. */
static json_t *string_value(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	value = json_string(copy);
	free(copy);
	return value;
}

/* A field that is JSON already. */
struct raw_field {
	const char *key, *text; /* NULL: none */
};

static void set_fields(json_t *line, struct raw_field *raw, va_list fields)
{
	const char *key;

	while ((key = va_arg(fields, const char *))) {
		const char *text;
		json_t *value = NULL;

		switch (key[0]) {
		case 's':
			text = va_arg(fields, const char *);
			if (text)
				value = string_value(text);
			break;
		case 'i':
			value = json_integer(va_arg(fields, long long));
			break;
		case 'j':
			value = json_incref(va_arg(fields, json_t *));
			break;
		case 'r':
			*raw = (struct raw_field){key + 1,
						  va_arg(fields, const char *)};
			break;
		default:
			/* without its type the value cannot be skipped */
			return;
		}
		if (value)
			json_object_set_new(line, key + 1, value);
	}
}

/*
 * A line that a pipe or terminal may not take in one piece goes through a
 * descriptor of its own, since O_NONBLOCK on standard output itself would be
 * set for everyone who shares it.
 */
static ssize_t write_long(const char *text, size_t len)
{
	struct stat st;
	ssize_t wrote;
	int fd;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return write(STDOUT_FILENO, text, len);
	fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	wrote = write(fd, text, len);
	close(fd);
	return wrote;
}

/* One write that does not wait: a pipe that polls writable takes PIPE_BUF
 * bytes at once (pipe(7)). */
static ssize_t write_now(const char *text, size_t len)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	ssize_t wrote =
		send(STDOUT_FILENO, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (wrote >= 0 || errno != ENOTSOCK)
		return wrote;
	if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT))
		return -1;
	return len <= PIPE_BUF ? write(STDOUT_FILENO, text, len)
			       : write_long(text, len);
}

static void write_line(json_t *line, const struct raw_field *raw)
{
	static bool cut; /* a line cut short must not swallow the next */
	char *text = json_dumps(line, JSON_COMPACT);
	char *whole = NULL;
	ssize_t wrote;
	int len = -1;

	if (text && raw->text)
		len = asprintf(&whole, "%s%.*s,\"%s\":%s}\n", cut ? "\n" : "",
			       (int)strlen(text) - 1, text, raw->key,
			       raw->text);
	else if (text)
		len = asprintf(&whole, "%s%s\n", cut ? "\n" : "", text);
	free(text);
	if (len < 0) {
		dropped++;
		return;
	}
	wrote = write_now(whole, (size_t)len);
	if (wrote != len)
		dropped++;
	if (wrote > 0)
		cut = wrote < len;
	free(whole);
}

void log_event(enum log_level level, const char *event, const char *msg, ...)
{
	struct raw_field raw = {NULL, NULL};
	char now[TIME_TEXT_MAX];
	int before = errno;
	va_list fields;
	json_t *line;

	if (!log_enabled(level))
		return;
	line = json_object();
	write_time(now);
	json_object_set_new(line, "time", json_string(now));
	json_object_set_new(line, "level", json_string(level_names[level]));
	if (event) {
		json_object_set_new(line, "event", json_string(event));
		json_object_set_new(line, "opensandbox.event",
				    json_string(event));
	}
	json_object_set_new(line, "msg", string_value(msg));
	if (common)
		json_object_update(line, common);
	va_start(fields, msg);
	set_fields(line, &raw, fields);
	va_end(fields);
	write_line(line, &raw);
	json_decref(line);
	errno = before;
}

void log_fatal(const char *format, ...)
{
	int before = errno, len;
	char *message;
	va_list args;

	va_start(args, format);
	len = vasprintf(&message, format, args);
	va_end(args);
	if (len >= 0) {
		fprintf(stderr, "%s: %s\n", program, message);
		free(message);
	}
	errno = before;
}
