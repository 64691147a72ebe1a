/* SPDX-License-Identifier: Apache-2.0 */
/* Options: the environment, the command line, and what is wrong with them. */
#include "settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings settings;
static char engine[32];

/* A provider's table, of one option that may stand alone. */
static int read_engine(const struct option_to *to, const char *value, char *why)
{
	if (strcmp(value, "bad") == 0)
		return option_expected(why, "a good value");
	return option_text(to, value[0] ? value : "the default", why);
}

static const struct option_row engine_table[] = {
	{"engine", OPTION_ENV("ENGINE"), "URL", "its socket", "an engine",
	 .read = read_engine, .size = sizeof(engine), .optional = true},
	{.name = NULL},
};

/* Read words, separated by blanks. Returns what options_arguments() does. */
static int take(const char *words)
{
	const struct option_table tables[] = {{option_table, &settings, NULL},
					      {engine_table, engine, NULL}};
	const struct options options = {"", tables, 2, NULL, NULL};
	char *copy = strdup(words), *rest = copy, *word;
	char *argv[16] = {(char *)"opensandbox-discovery"};
	int argc = 1, ret;

	settings = (struct settings){.allow_loopback = true};
	engine[0] = '\0';
	while ((word = strsep(&rest, " ")))
		if (word[0])
			argv[argc++] = word;
	ret = options_defaults(&options);
	if (ret == 0)
		ret = options_environment(&options);
	if (ret == 0)
		ret = options_arguments(&options, argc, argv);
	free(copy);
	return ret;
}

static void test_command_line(void **state)
{
	(void)state;
	assert_int_equal(take("--gateway http://127.0.0.1:8080 --once "
			      "--agent=/run/a.sock --log-level debug"),
			 0);
	assert_string_equal(settings.gateway, "http://127.0.0.1:8080");
	assert_string_equal(settings.agent, "/run/a.sock");
	assert_int_equal(settings.log_level, LOG_DEBUG);
	assert_true(settings.once);
	assert_false(settings.allow_loopback);
	assert_int_equal(take("--gateway unix:/run/gateway.sock"), 0);
	assert_string_equal(settings.gateway, "unix:/run/gateway.sock");
}

static void test_optional(void **state)
{
	(void)state;
	assert_int_equal(take("--engine"), 0);
	assert_string_equal(engine, "the default");
	assert_int_equal(take("--engine unix:///x --once"), 0);
	assert_string_equal(engine, "unix:///x");
	assert_int_equal(take("--engine --once"), 0);
	assert_string_equal(engine, "the default");
	assert_true(settings.once);
	assert_int_equal(take("--engine=unix:///y"), 0);
	assert_string_equal(engine, "unix:///y");
	assert_int_equal(take(""), 0);
	assert_string_equal(engine, "");
}

static void test_environment(void **state)
{
	(void)state;
	setenv(OPTION_ENV("ENGINE"), "true", 1);
	setenv(OPTION_ENV("GATEWAY"), " http://a:1\n", 1);
	setenv(OPTION_ENV("ONCE"), "yes", 1);
	setenv(OPTION_ENV("ALLOW_LOOPBACK"), "false", 1);
	assert_int_equal(take(""), 0);
	assert_string_equal(engine, "the default");
	assert_string_equal(settings.gateway, "http://a:1");
	assert_true(settings.once);
	assert_false(settings.allow_loopback);
	assert_int_equal(take("--gateway http://b:2 --engine c"), 0);
	assert_string_equal(settings.gateway, "http://b:2");
	assert_string_equal(engine, "c");
	setenv(OPTION_ENV("ENGINE"), "off", 1);
	assert_int_equal(take(""), 0);
	assert_string_equal(engine, "");
	setenv(OPTION_ENV("ENGINE"), "unix:///z", 1);
	assert_int_equal(take(""), 0);
	assert_string_equal(engine, "unix:///z");
	setenv(OPTION_ENV("ONCE"), "perhaps", 1);
	assert_int_equal(take(""), -22);
	unsetenv(OPTION_ENV("ENGINE"));
	unsetenv(OPTION_ENV("GATEWAY"));
	unsetenv(OPTION_ENV("ONCE"));
	unsetenv(OPTION_ENV("ALLOW_LOOPBACK"));
}

static void test_mistakes(void **state)
{
	static const char *const mistakes[] = {
		"--gateway",
		"--gateway ftp://x",
		"--gateway http://",
		"--gateway unix:relative",
		"--gate http://x",
		"--agent run/a.sock",
		"--log-level loud",
		"--engine=bad",
		"--http-addr 80",
		"--once=maybe",
		"once",
		"-o",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++)
		if (take(mistakes[i]) != -22)
			fail_msg("%s is taken", mistakes[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_optional),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
