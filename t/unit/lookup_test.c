/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts(5) and resolv.conf(5), as far as our own names need them.
 */
#include "outlets/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static size_t hosts(const char *text, const char *host)
{
	struct lookup_result result = {.n = 0};
	char line[256];

	snprintf(line, sizeof(line), "%s", text);
	lookup_hosts_line(&result, line, host);
	return result.n;
}

static void a_line_of_hosts_names_an_address(void **state)
{
	(void)state;
	assert_int_equal(hosts("192.0.2.1 collector\n", "collector"), 1);
	assert_int_equal(hosts("192.0.2.1\tone two Collector", "collector"), 1);
	assert_int_equal(hosts("2001:db8::1 collector", "collector"), 1);
	assert_int_equal(hosts("192.0.2.1 collectors", "collector"), 0);
	assert_int_equal(hosts("192.0.2.1 one # collector", "collector"), 0);
	assert_int_equal(hosts("# 192.0.2.1 collector", "collector"), 0);
	assert_int_equal(hosts("collector 192.0.2.1", "collector"), 0);
	assert_int_equal(hosts("0.0.0.0 collector", "collector"), 0);
	assert_int_equal(hosts("", "collector"), 0);
}

static struct lookup_search search_of(const char *const *lines)
{
	struct lookup_search search = {.ndots = 1};
	char line[1024];

	for (; *lines; lines++) {
		snprintf(line, sizeof(line), "%s", *lines);
		lookup_search_line(&search, line);
	}
	return search;
}

/* The names that are tried, one after the other with a blank. */
static const char *tried(const struct lookup_search *search, const char *host)
{
	static char all[4096];
	char one[512];

	all[0] = '\0';
	for (size_t i = 0; lookup_candidate(search, host, i, one); i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
			 i ? " " : "", one);
	return all;
}

static void short_names_are_searched_for(void **state)
{
	const char *lines[] = {"nameserver 192.0.2.1",
			       "search ns.svc.local svc.local",
			       "options edns0 ndots:2", NULL};
	const char *none[] = {"nameserver 192.0.2.1", NULL};
	struct lookup_search search = search_of(lines);

	(void)state;
	assert_string_equal(tried(&search, "hook"),
			    "hook.ns.svc.local hook.svc.local hook");
	assert_string_equal(tried(&search, "a.b"),
			    "a.b.ns.svc.local a.b.svc.local a.b");
	assert_string_equal(tried(&search, "a.b.c"),
			    "a.b.c a.b.c.ns.svc.local a.b.c.svc.local");
	assert_string_equal(tried(&search, "a.b."), "a.b.");
	search = search_of(none);
	assert_string_equal(tried(&search, "hook"), "hook");
}

static void the_last_list_counts(void **state)
{
	const char *lines[] = {"search one two", "domain three four", NULL};
	const char *many[] = {"search a b c d e f g h", NULL};
	const char *odd[] = {"options ndots:99999999", "search", NULL};
	struct lookup_search search = search_of(lines);

	(void)state;
	assert_int_equal(search.n, 1);
	assert_string_equal(search.suffix[0], "three");
	search = search_of(many);
	assert_int_equal(search.n, SEARCH_MAX);
	search = search_of(odd);
	assert_int_equal(search.n, 0);
	assert_int_equal(search.ndots, 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_hosts_names_an_address),
		cmocka_unit_test(short_names_are_searched_for),
		cmocka_unit_test(the_last_list_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
