/* SPDX-License-Identifier: Apache-2.0 */
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Standard output goes to where each test reads it; cmocka's own lines stay
 * on the descriptor kept. */
static int kept, reader;

static void redirect(int from, int to)
{
	fflush(stdout);
	kept = dup(STDOUT_FILENO);
	assert_true(dup2(to, STDOUT_FILENO) >= 0);
	close(to);
	reader = from;
}

static void to_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	redirect(ends[0], ends[1]);
}

static void restore(void)
{
	assert_true(dup2(kept, STDOUT_FILENO) >= 0);
	close(kept);
	close(reader);
}

/* What was written since, NUL-ended. */
static const char *written(void)
{
	static char text[1 << 17];
	size_t len = 0;
	ssize_t got;

	while ((got = read(reader, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	return text;
}

static json_t *written_line(void)
{
	const char *text = written();
	json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(line);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	return line;
}

static const char *field(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

static void a_line_is_one_object(void **state)
{
	json_t *ips = json_pack("[s]", "192.0.2.1"), *line;
	const char *now;

	(void)state;
	to_pipe();
	log_event(LOG_WARN, "egress.denied", "denied", "starget.host",
		  "evil.test", "iport", 443LL, "jtarget.ips", ips, "sempty",
		  (const char *)NULL, "jnone", (json_t *)NULL, NULL);
	line = written_line();
	restore();
	assert_int_equal(json_object_size(line), 8);
	assert_string_equal(field(line, "level"), "warn");
	assert_string_equal(field(line, "event"), "egress.denied");
	assert_string_equal(field(line, "opensandbox.event"), "egress.denied");
	assert_string_equal(field(line, "msg"), "denied");
	assert_string_equal(field(line, "target.host"), "evil.test");
	assert_int_equal(json_integer_value(json_object_get(line, "port")),
			 443);
	assert_true(json_equal(json_object_get(line, "target.ips"), ips));
	now = field(line, "time");
	assert_int_equal(strlen(now), strlen("2026-01-01T00:00:00.000000Z"));
	assert_int_equal(now[10], 'T');
	assert_int_equal(now[19], '.');
	assert_int_equal(now[26], 'Z');
	json_decref(line);
	json_decref(ips);
}

static void common_fields_are_on_every_line(void **state)
{
	json_t *line;

	(void)state;
	log_set_common(json_pack("{s:s}", "sandbox_id", "sb-1"));
	to_pipe();
	log_event(LOG_INFO, NULL, "hello", NULL);
	line = written_line();
	restore();
	log_set_common(NULL);
	assert_string_equal(field(line, "sandbox_id"), "sb-1");
	assert_null(json_object_get(line, "event"));
	json_decref(line);
}

static void bytes_that_are_no_text_lose_no_line(void **state)
{
	json_t *line;

	(void)state;
	to_pipe();
	log_event(LOG_INFO, "egress.outbound", "odd", "shost", "a\xff\n\"b",
		  NULL);
	line = written_line();
	restore();
	assert_string_equal(field(line, "host"), "a?\n\"b");
	json_decref(line);
}

static void levels_below_are_silent(void **state)
{
	enum log_level level;

	(void)state;
	assert_int_equal(log_level_from_text(&level, "Warning"), 0);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log_level_from_text(&level, "debug"), 0);
	assert_int_equal(level, LOG_DEBUG);
	assert_int_equal(log_level_from_text(&level, "loud"), -EINVAL);
	assert_int_equal(log_level_from_text(&level, ""), -EINVAL);
	log_set_level(LOG_WARN);
	assert_false(log_enabled(LOG_INFO));
	assert_true(log_enabled(LOG_ERROR));
	to_pipe();
	log_event(LOG_INFO, "egress.loaded", "not seen", NULL);
	assert_string_equal(written(), "");
	restore();
	log_set_level(LOG_INFO);
}

/* Write until lines are dropped; returns how many. */
static unsigned long fill(const char *text)
{
	unsigned long before = log_dropped();

	for (int i = 0; i < 2000; i++)
		log_event(LOG_INFO, "egress.loaded", "full", "stext", text,
			  NULL);
	return log_dropped() - before;
}

static void a_full_pipe_is_never_waited_for(void **state)
{
	char text[6000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[200] = '\0';
	to_pipe();
	alarm(20);
	assert_int_not_equal(fill(text), 0);
	text[200] = 'a';
	text[sizeof(text) - 1] = '\0';
	assert_int_not_equal(fill(text), 0);
	alarm(0);
	restore();
}

static void a_full_socket_is_never_waited_for(void **state)
{
	char text[6000];
	int ends[2];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	redirect(ends[0], ends[1]);
	alarm(20);
	assert_int_not_equal(fill(text), 0);
	alarm(0);
	restore();
}

/* A line longer than the pipe is cut; what comes after is whole again. */
static void a_cut_line_does_not_swallow_the_next(void **state)
{
	size_t len = 1 << 18;
	char *text = calloc(1, len), *last;
	const char *all;
	json_t *line;

	(void)state;
	memset(text, 'a', len - 1);
	to_pipe();
	log_event(LOG_INFO, "egress.loaded", "long", "stext", text, NULL);
	(void)written();
	log_event(LOG_INFO, "egress.loaded", "short", NULL);
	all = written();
	restore();
	assert_int_equal(all[0], '\n');
	last = strdup(all + 1);
	line = json_loads(last, 0, NULL);
	assert_string_equal(field(line, "msg"), "short");
	json_decref(line);
	free(last);
	free(text);
}

static void long_lines_reach_a_file_whole(void **state)
{
	char name[] = "/tmp/log_test.XXXXXX", text[6000];
	int fd = mkstemp(name);
	json_t *line;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_true(fd >= 0);
	redirect(open(name, O_RDONLY), fd);
	log_event(LOG_INFO, NULL, "first", "stext", "x", NULL);
	(void)written();
	log_event(LOG_INFO, NULL, "second", "stext", text, NULL);
	line = written_line();
	restore();
	unlink(name);
	assert_int_equal(strlen(field(line, "text")), sizeof(text) - 1);
	json_decref(line);
}

/* Who logs a failure and then hands on errno hands on the failure. */
static void errno_is_left_alone(void **state)
{
	int after[2];

	(void)state;
	fflush(stdout);
	kept = dup(STDOUT_FILENO);
	reader = dup(STDOUT_FILENO);
	close(STDOUT_FILENO);
	errno = EXDEV;
	log_event(LOG_ERROR, "e", "it failed", "sx", "y", NULL);
	after[0] = errno;
	restore();
	kept = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	errno = EXDEV;
	log_fatal("it failed");
	after[1] = errno;
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	assert_int_equal(after[0], EXDEV);
	assert_int_equal(after[1], EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_one_object),
		cmocka_unit_test(common_fields_are_on_every_line),
		cmocka_unit_test(bytes_that_are_no_text_lose_no_line),
		cmocka_unit_test(levels_below_are_silent),
		cmocka_unit_test(a_full_pipe_is_never_waited_for),
		cmocka_unit_test(a_full_socket_is_never_waited_for),
		cmocka_unit_test(a_cut_line_does_not_swallow_the_next),
		cmocka_unit_test(long_lines_reach_a_file_whole),
		cmocka_unit_test(errno_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
