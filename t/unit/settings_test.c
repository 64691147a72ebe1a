/* SPDX-License-Identifier: Apache-2.0 */
#include "life/inner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define VAR(name) "OPENSANDBOX_EGRESS_" name

/* What was said on standard error. */
static char said[4096];

static void forget_environment(void)
{
	for (const struct option_row *o = option_table; o->name; o++)
		if (o->variable)
			unsetenv(o->variable);
	setenv(VAR("DNS_UPSTREAM"), "192.0.2.53", 1);
}

/* settings_read() with these arguments; fills said. */
static int read_with(struct settings *s, char **argv)
{
	int argc = 0, kept = dup(STDERR_FILENO), rc;
	FILE *f = tmpfile();
	size_t n;

	while (argv[argc])
		argc++;
	fflush(stderr);
	dup2(fileno(f), STDERR_FILENO);
	rc = settings_read(s, argc, argv);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	fclose(f);
	return rc;
}

#define READ(s, ...) \
	read_with(s, (char *[]){(char *)"egress-sidecar", __VA_ARGS__, NULL})
#define READ_NONE(s) read_with(s, (char *[]){(char *)"egress-sidecar", NULL})

static void defaults(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	assert_int_equal(READ_NONE(&s), 0);
	assert_int_equal(s.run, RUN_SIDECAR);
	assert_true(s.nft);
	assert_false(s.audit);
	assert_false(s.drop);
	assert_null(s.rules);
	assert_null(s.token);
	assert_int_equal(s.max_rules, 4096);
	assert_string_equal(s.http_host, "");
	assert_int_equal(s.http_port, 18080);
	assert_int_equal(s.resolvers.n, 1);
	assert_int_equal(s.resolvers.address[0].port, 53);
	assert_int_equal(s.resolvers.timeout_ms, 5000);
	assert_false(s.private_ok);
	assert_string_equal(s.always_dir, "/var/egress/rules");
	settings_free(&s);
}

/* What nobody says is what the rows say: there is no second place. */
static void defaults_are_the_rows(void **state)
{
	static struct settings s, rows;
	const struct option_table table = {option_table, &rows, NULL};
	const struct options options = {"", &table, 1, NULL, NULL};
	char *argv[] = {(char *)"egress-sidecar", NULL};

	(void)state;
	forget_environment();
	unsetenv(VAR("DNS_UPSTREAM"));
	memset(&rows, 0, sizeof(rows));
	assert_int_equal(options_defaults(&options), 0);
	rows.private_given = false; /* by nobody */
	rows.follow_resolv_conf = true;
	assert_int_equal(settings_read(&s, 1, argv), 0);
	assert_memory_equal(&s, &rows, sizeof(s));
	assert_int_equal(s.lease_min_s, LEASE_FLOOR_S);
	assert_int_equal(s.lease_max_s, LEASE_CAP_S);
	settings_free(&s);
}

/* Each of these, in the environment and on the command line, is right; the
 * next value is wrong, and the line names where it stood and the value. */
struct pair {
	const char *variable, *option, *right, *wrong;
};

static const struct pair pairs[] = {
	{VAR("MODE"), "--mode", "dns", "foo"},
	{VAR("MODE"), "--mode", "dns+nft", "nft"},
	{VAR("MODE"), "--mode", "NFT+DNS", "dns+nft+dns"},
	{VAR("MODE"), "--mode", "dns", "forward"},
	{VAR("COMPAT"), "--compat", "OpenSandbox", "docker"},
	{VAR("MAX_RULES"), "--max-rules", "0", "-1"},
	{VAR("MAX_RULES"), "--max-rules", "17", "1x"},
	{VAR("MAX_RULES"), "--max-rules", "17", "99999999999999999999"},
	{VAR("HTTP_ADDR"), "--http-addr", ":1234", "nonsense"},
	{VAR("HTTP_ADDR"), "--http-addr", "127.0.0.1:1234", "127.0.0.1"},
	{VAR("HTTP_ADDR"), "--http-addr", "[::1]:1234", "[::1]:123456"},
	{VAR("HTTP_ADDR"), "--http-addr", "[::1]:1234", "host.test:80"},
	{VAR("HTTP_ADDR"), "--http-addr", "[::1]:1234", "127.0.0.1:"},
	{VAR("DNS_UPSTREAM"), "--dns-upstream", "192.0.2.1", "dns.example.com"},
	{VAR("DNS_UPSTREAM"), "--dns-upstream", "192.0.2.1:5353, 2001:db8::1",
	 "192.0.2.1:99999"},
	{VAR("DNS_UPSTREAM"), "--dns-upstream", "[2001:db8::1]:53",
	 "[2001:db8::1"},
	{VAR("DNS_UPSTREAM"), "--dns-upstream", "fe80::1%lo",
	 "fe80::1%nowhere0"},
	{VAR("DNS_UPSTREAM"), "--dns-upstream", "192.0.2.1", "192.0.2.1:0"},
	{VAR("DNS_UPSTREAM_TIMEOUT"), "--dns-upstream-timeout", "120", "121"},
	{VAR("DNS_UPSTREAM_TIMEOUT"), "--dns-upstream-timeout", "1", "0"},
	{VAR("DNS_UPSTREAM_PROBE"), "--dns-upstream-probe", ".", "no name"},
	{VAR("DNS_UPSTREAM_PROBE"), "--dns-upstream-probe", "up.test.", "a..b"},
	{VAR("DNS_UPSTREAM_PROBE_INTERVAL_SEC"),
	 "--dns-upstream-probe-interval-sec", "0", "often"},
	{VAR("NAMESERVER_EXEMPT"), "--nameserver-exempt",
	 "192.0.2.1,2001:db8::1", "192.0.2.0/24"},
	{VAR("BLOCK_DOH_443"), "--block-doh-443", "true", "maybe"},
	{VAR("DOH_BLOCKLIST"), "--doh-blocklist", "192.0.2.0/24, 2001:db8::1",
	 "192.0.2.1/24"},
	{VAR("INBOUND"), "--inbound", "10.0.0.0/8", "10.0.0.0/33"},
	{VAR("INBOUND"), "--inbound", "only:10.0.0.0/8", "none:10.0.0.0/8"},
	{VAR("PRIVATE_ANSWERS"), "--private-answers", "allow", "yes"},
	{VAR("NAT64_PREFIX"), "--nat64-prefix", "64:ff9b::/96, 2001:db8::/32",
	 "2001:db8::/33"},
	{VAR("NAT64_PREFIX"), "--nat64-prefix", "2001:db8:1::/48",
	 "2001:db8::/32,2001:db8:1::/48"},
	{VAR("FOLLOW"), "--follow", "false", "maybe"},
	{VAR("LEASE_MIN"), "--lease-min", "30", "29"},
	{VAR("LEASE_MIN"), "--lease-min", "3600", "86401"},
	{VAR("LEASE_MAX"), "--lease-max", "60", "59"},
	{VAR("LEASE_MAX"), "--lease-max", "86400", "1h"},
	{VAR("DENY_WEBHOOK"), "--deny-webhook", "https://hook.test/x",
	 "ftp://hook.test/"},
	{VAR("POLICY_URL"), "--policy-url", "http://gw.test/x", "gw.test/x"},
	{VAR("POLICY_URL"), "--policy-url", "http://[::1]:80/x", "http://"},
	{VAR("POLICY_URL"), "--policy-url", "https://gw.test:8443",
	 "https://gw.test:99999/"},
	{VAR("DENY_WEBHOOK"), "--deny-webhook", "http://u:p@h.test/x?y=z",
	 "http://[::1/"},
	{VAR("DENY_WEBHOOK"), "--deny-webhook", "http://192.0.2.1/",
	 "http://a b/"},
	{VAR("DENY_ACTION"), "--deny-action", "drop", "Drop"},
	{VAR("LOG_LEVEL"), "--log-level", "debug", "loud"},
	{VAR("LOG_LEVEL"), "--log-level", "fatal", "quiet"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "sandbox=b",
	 "sandbox_id=b"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "a=b,A=b",
	 "a=b,a=c"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "a.b=c",
	 "a.b=c,a-b=d"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "level1=a",
	 "level=a"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "opensandbox=a",
	 "opensandbox.event=a"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "_name=a",
	 "__name__=a"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "1a=b",
	 "1a=b,_1a=c"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "lee=1", "le=1"},
	{VAR("METRICS_EXTRA_ATTRS"), "--metrics-extra-attrs", "a=b,c=d=e",
	 "novalue"},
};

static void right_and_wrong(void **state)
{
	struct settings s;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const struct pair *p = &pairs[i];

		forget_environment();
		setenv(p->variable, p->right, 1);
		assert_int_equal(READ_NONE(&s), 0);
		assert_string_equal(said, "");
		settings_free(&s);
		setenv(p->variable, p->wrong, 1);
		assert_int_equal(READ_NONE(&s), -EINVAL);
		assert_non_null(strstr(said, p->variable));
		assert_non_null(strstr(said, p->wrong));
		assert_non_null(strstr(said, ": expected "));
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);

		forget_environment();
		assert_int_equal(READ(&s, (char *)p->option, (char *)p->right),
				 0);
		settings_free(&s);
		assert_int_equal(READ(&s, (char *)p->option, (char *)p->wrong),
				 -EINVAL);
		assert_non_null(strstr(said, p->option));
		assert_null(strstr(said, p->variable));
		assert_non_null(strstr(said, p->wrong));
	}
}

static void compat_gives_way_to_options(void **state)
{
	struct address outside;
	struct settings s;

	(void)state;
	assert_int_equal(address_from_text(&outside, "203.0.113.1"), 0);
	forget_environment();
	assert_int_equal(READ_NONE(&s), 0);
	assert_false(s.private_ok);
	assert_int_equal(s.n_inbound, 0);
	settings_free(&s);
	setenv(VAR("COMPAT"), "opensandbox", 1);
	assert_int_equal(READ_NONE(&s), 0);
	assert_true(s.private_ok);
	assert_true(s.nft);
	assert_int_equal(s.n_inbound, 2);
	assert_true(address_range_holds(&s.inbound[0], &outside));
	settings_free(&s);
	setenv(VAR("INBOUND"), "10.0.0.0/8", 1);
	assert_int_equal(READ(&s, "--private-answers", "deny"), 0);
	assert_false(s.private_ok);
	assert_int_equal(s.n_inbound, 1);
	settings_free(&s);
	forget_environment();
	setenv(VAR("MODE"), "forward", 1);
	assert_int_equal(READ_NONE(&s), -EINVAL);
	assert_non_null(strstr(said, "\"forward\": expected dns+nft"));
	forget_environment();
}

static void values(void **state)
{
	struct settings s;
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	forget_environment();
	setenv(VAR("DNS_UPSTREAM"),
	       "192.0.2.1, 192.0.2.2:5353,2001:db8::1,[2001:db8::2]:5353", 1);
	setenv(VAR("HTTP_ADDR"), "[::1]:81", 1);
	setenv(VAR("METRICS_EXTRA_ATTRS"), "team=a,url=http://x/?a=b", 1);
	setenv(VAR("RULES"), "{}", 1);
	setenv(VAR("TOKEN"), "t", 1);
	setenv(VAR("DNS_UPSTREAM_TIMEOUT"), "7", 1);
	assert_int_equal(READ_NONE(&s), 0);
	assert_int_equal(s.resolvers.n, 4);
	assert_string_equal(address_to_text(&s.resolvers.address[1].a, text),
			    "192.0.2.2");
	assert_int_equal(s.resolvers.address[1].port, 5353);
	assert_int_equal(s.resolvers.address[2].port, 53);
	assert_string_equal(address_to_text(&s.resolvers.address[3].a, text),
			    "2001:db8::2");
	assert_int_equal(s.resolvers.address[3].port, 5353);
	assert_int_equal(s.resolvers.timeout_ms, 7000);
	assert_string_equal(s.http_host, "::1");
	assert_int_equal(s.http_port, 81);
	assert_int_equal(s.n_attrs, 2);
	assert_string_equal(s.attrs[1].key, "url");
	assert_string_equal(s.attrs[1].value, "http://x/?a=b");
	assert_string_equal(s.rules_from, VAR("RULES"));
	assert_string_equal(s.token, "t");
	settings_free(&s);
}

static void command_line_wins(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	setenv(VAR("MODE"), "dns", 1);
	setenv(VAR("RULES"), "{\"a\":1}", 1);
	setenv(VAR("DNS_UPSTREAM"), "192.0.2.1,192.0.2.2", 1);
	assert_int_equal(READ(&s, (char *)"--mode=dns+nft", (char *)"--rules",
			      (char *)"{}", (char *)"--dns-upstream",
			      (char *)"192.0.2.3"),
			 0);
	assert_true(s.nft);
	assert_string_equal(s.rules, "{}");
	assert_string_equal(s.rules_from, "--rules");
	assert_int_equal(s.resolvers.n, 1);
	settings_free(&s);
}

/* An empty variable is one that is not set. */
static void empty_is_unset(void **state)
{
	struct settings s;

	(void)state;
	for (const struct option_row *o = option_table; o->name; o++)
		if (o->variable)
			setenv(o->variable, "", 1);
	setenv(VAR("DNS_UPSTREAM"), "192.0.2.1", 1);
	assert_int_equal(READ_NONE(&s), 0);
	assert_int_equal(s.run, RUN_SIDECAR);
	assert_true(s.nft);
	assert_int_equal(s.max_rules, 4096);
	settings_free(&s);
}

/* Blanks around a value are none of it, but for a secret's. */
static void blanks_are_trimmed(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	setenv(VAR("MODE"), " dns\n", 1);
	setenv(VAR("MAX_RULES"), "\t12 ", 1);
	setenv(VAR("SANDBOX_ID"), " sb-1 ", 1);
	setenv(VAR("RULES"), "  ", 1);
	setenv(VAR("TOKEN"), " t ", 1);
	assert_int_equal(READ_NONE(&s), 0);
	assert_false(s.nft);
	assert_int_equal(s.max_rules, 12);
	assert_string_equal(s.sandbox_id, "sb-1");
	assert_null(s.rules);
	assert_string_equal(s.token, " t ");
	settings_free(&s);
	forget_environment();
}

static void unknown_variables(void **state)
{
	struct option_table table = {option_table, NULL, NULL};
	const struct options options = {.tables = &table, .n = 1};
	const char *name;
	size_t len, n = 0;

	(void)state;
	forget_environment();
	assert_null(options_unknown(&options, OPTIONS_PREFIX, 0, &len));
	setenv(VAR("MAX_RULE"), "1", 1);
	setenv(VAR("MAX_RULES"), "1", 1);
	setenv(VAR("MAX_RULES_2"), "1", 1);
	setenv("OPENSANDBOX_LOG_OUTPUT", "stdout", 1);
	for (; (name = options_unknown(&options, OPTIONS_PREFIX, n, &len)); n++)
		assert_true((len == strlen(VAR("MAX_RULE")) &&
			     !strncmp(name, VAR("MAX_RULE"), len)) ||
			    (len == strlen(VAR("MAX_RULES_2")) &&
			     !strncmp(name, VAR("MAX_RULES_2"), len)));
	assert_int_equal(n, 2);
	unsetenv(VAR("MAX_RULE"));
	unsetenv(VAR("MAX_RULES_2"));
	forget_environment();
}

/* DoH is blocked where the list says; without one, everywhere. */
static void doh_without_a_list(void **state)
{
	char text[ADDRESS_TEXT_MAX];
	struct settings s;

	(void)state;
	forget_environment();
	assert_int_equal(READ(&s, (char *)"--block-doh-443", (char *)"1"), 0);
	assert_int_equal(s.n_doh, 2);
	assert_string_equal(address_to_text(&s.doh[0].last, text),
			    "255.255.255.255");
	assert_string_equal(address_to_text(&s.doh[1].first, text), "::");
	settings_free(&s);
	assert_int_equal(READ(&s, (char *)"--block-doh-443", (char *)"1",
			      (char *)"--doh-blocklist", (char *)"192.0.2.1"),
			 0);
	assert_int_equal(s.n_doh, 1);
	settings_free(&s);
	assert_int_equal(READ_NONE(&s), 0);
	assert_int_equal(s.n_doh, 0);
	settings_free(&s);
}

/* Who may connect inward: besides the default, or in its place. */
static void inbound_besides_or_alone(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	assert_int_equal(READ(&s, (char *)"--inbound", (char *)"192.0.2.1"), 0);
	assert_int_equal(s.n_inbound, 1);
	assert_false(s.inbound_only);
	settings_free(&s);
	assert_int_equal(READ(&s, (char *)"--inbound",
			      (char *)"only:192.0.2.1, 2001:db8::/32"),
			 0);
	assert_int_equal(s.n_inbound, 2);
	assert_true(s.inbound_only);
	settings_free(&s);
	/* Nobody. */
	assert_int_equal(READ(&s, (char *)"--inbound", (char *)"only:"), 0);
	assert_int_equal(s.n_inbound, 0);
	assert_true(s.inbound_only);
	settings_free(&s);
}

static void missing_token_file(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	assert_int_equal(
		READ(&s, (char *)"--token-file", (char *)"/nonexistent/secret"),
		-EINVAL);
	assert_non_null(strstr(said, "--token-file"));
	assert_non_null(strstr(said, "/nonexistent/secret"));
	assert_non_null(strstr(said, "No such file"));
}

static void token_file(void **state)
{
	char path[] = "/tmp/settings-test-XXXXXX";
	int fd = mkstemp(path);
	struct settings s;

	(void)state;
	forget_environment();
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret\r\nmore\n", 13), 13);
	close(fd);
	assert_int_equal(READ(&s, (char *)"--token-file", path), 0);
	assert_string_equal(s.token, "secret");
	settings_free(&s);
	setenv(VAR("TOKEN_FILE"), path, 1);
	assert_int_equal(READ_NONE(&s), 0);
	assert_string_equal(s.token, "secret");
	settings_free(&s);
	unsetenv(VAR("TOKEN_FILE"));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(READ(&s, (char *)"--token-file", path), -EINVAL);
	unlink(path);
}

static void one_place(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	assert_int_equal(READ(&s, (char *)"--netns", (char *)"x"), 0);
	assert_int_equal(s.run, RUN_JOIN);
	settings_free(&s);
	assert_int_equal(READ(&s, (char *)"--pid", (char *)"12"), 0);
	assert_int_equal(s.run, RUN_JOIN);
	assert_int_equal(s.pid, 12);
	settings_free(&s);
	assert_int_equal(READ(&s, (char *)"--agent"), 0);
	assert_int_equal(s.run, RUN_AGENT);
	settings_free(&s);
	assert_int_equal(READ(&s, (char *)"--netns", (char *)"x",
			      (char *)"--pid", (char *)"12"),
			 -EINVAL);
	assert_int_equal(
		READ(&s, (char *)"--agent", (char *)"--netns", (char *)"x"),
		-EINVAL);
	assert_int_equal(
		READ(&s, (char *)"--netns", (char *)"x", (char *)"--agent"),
		-EINVAL);
	assert_int_equal(
		READ(&s, (char *)"--agent", (char *)"--rules", (char *)"{}"),
		-EINVAL);
	assert_non_null(strstr(said, "--rules"));
	assert_int_equal(READ(&s, (char *)"--agent", (char *)"--metrics-addr",
			      (char *)"[::1]:9101"),
			 0);
	assert_string_equal(s.metrics_host, "::1");
	assert_int_equal(s.metrics_port, 9101);
	settings_free(&s);
	assert_int_equal(READ(&s, (char *)"--agent", (char *)"--metrics-addr",
			      (char *)"127.0.0.1:0"),
			 -EINVAL);
	assert_int_equal(READ(&s, (char *)"--metrics-addr", (char *)":9101"),
			 -EINVAL);
	assert_non_null(strstr(said, "--metrics-addr"));
}

static void unknown(void **state)
{
	struct settings s;

	(void)state;
	forget_environment();
	assert_int_equal(READ(&s, (char *)"--frobnicate"), -EINVAL);
	assert_non_null(strstr(said, "--frobnicate"));
	assert_int_equal(READ(&s, (char *)"--mode"), -EINVAL);
	assert_non_null(strstr(said, "--mode"));
	assert_int_equal(READ(&s, (char *)"stray"), -EINVAL);
	assert_non_null(strstr(said, "stray"));
}

/* --help names every option, every variable and every default. */
static void help(void **state)
{
	static char text[32768];
	char shown[256];
	int kept = dup(STDOUT_FILENO);
	FILE *f = tmpfile();
	struct settings s;
	size_t n;

	(void)state;
	forget_environment();
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	assert_int_equal(READ(&s, (char *)"--help"), 1);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	for (const struct option_row *o = option_table; o->name; o++) {
		assert_non_null(strstr(text, o->name));
		if (o->variable)
			assert_non_null(strstr(text, o->variable));
		snprintf(shown, sizeof(shown), "%s%s%s%s\n", o->help,
			 o->otherwise ? " (default: " : "",
			 o->otherwise ? o->otherwise : "",
			 o->otherwise ? ")" : "");
		assert_non_null(strstr(text, shown));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(defaults_are_the_rows),
		cmocka_unit_test(right_and_wrong),
		cmocka_unit_test(compat_gives_way_to_options),
		cmocka_unit_test(values),
		cmocka_unit_test(command_line_wins),
		cmocka_unit_test(empty_is_unset),
		cmocka_unit_test(blanks_are_trimmed),
		cmocka_unit_test(unknown_variables),
		cmocka_unit_test(doh_without_a_list),
		cmocka_unit_test(inbound_besides_or_alone),
		cmocka_unit_test(missing_token_file),
		cmocka_unit_test(token_file),
		cmocka_unit_test(one_place),
		cmocka_unit_test(unknown),
		cmocka_unit_test(help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
