/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every file of conf/policies/ holds actions and targets that a policy takes,
 * and deny-internal.conf leaves no address open that an answer may not hold.
 */
#include "policy/policy.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The words of a file up to each ';', comments left out. */
static void read_words(const char *path, struct rules *rules)
{
	enum policy_action action = POLICY_DENY;
	struct policy_error err;
	bool started = false;
	FILE *file = fopen(path, "r");
	char line[512], *word, *save;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "#\n")] = '\0';
		for (word = strtok_r(line, " ", &save); word;
		     word = strtok_r(NULL, " ", &save)) {
			size_t len = strlen(word);
			bool ends = word[len - 1] == ';';

			word[len - ends] = '\0';
			if (!started) {
				action = strcmp(word, "allow") ? POLICY_DENY
							       : POLICY_ALLOW;
				if (action == POLICY_DENY)
					assert_string_equal(word, "deny");
				started = true;
				continue;
			}
			if (rules_append(rules, action, word, &err) < 0)
				fail_msg("%s: %s", path, err.message);
			started = !ends;
		}
	}
	assert_false(started);
	fclose(file);
}

static void every_file_is_a_policy(void **state)
{
	struct policy *policy;
	struct rules *rules;
	glob_t files;

	(void)state;
	assert_int_equal(glob("conf/policies/*.conf", 0, NULL, &files), 0);
	assert_int_equal(rules_new(&rules, POLICY_DENY), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		size_t before = rules->n_rules;

		read_words(files.gl_pathv[i], rules);
		assert_true(rules->n_rules > before);
	}
	assert_true(files.gl_pathc > 10);
	globfree(&files);
	assert_int_equal(policy_compile(&policy, rules, NULL), 0);
	policy_unref(policy);
	rules_free(rules);
}

/* Hosts change: each file tells when they were checked, and against what. */
static void files_say_when_they_were_checked(void **state)
{
	glob_t files;

	(void)state;
	assert_int_equal(glob("conf/policies/*.conf", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char text[4096], *at;
		FILE *file = fopen(files.gl_pathv[i], "r");
		unsigned int year, month, day;
		size_t len;

		if (strstr(files.gl_pathv[i], "deny-internal")) {
			fclose(file);
			continue; /* addresses alone */
		}
		len = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
		text[len] = '\0';
		at = strstr(text, "Checked");
		if (!at || sscanf(at + 7, "%*[# \n]%4u-%2u-%2u", &year, &month,
				  &day) != 3)
			fail_msg("%s: no date", files.gl_pathv[i]);
	}
	globfree(&files);
}

/* What the tools ask for, redirections included. */
static void downloads_find_their_hosts(void **state)
{
	static const char *const names[][2] = {
		{"docker-hub", "registry-1.docker.io"},
		{"docker-hub", "auth.docker.io"},
		{"docker-hub", "production.cloudfront.docker.com"},
		{"docker-hub", "production.cloudflare.docker.com"},
		{"go", "proxy.golang.org"},
		{"go", "sum.golang.org"},
		{"go", "storage.googleapis.com"},
		{"maven", "repo.maven.apache.org"},
		{"maven", "plugins.gradle.org"},
		{"maven", "plugins-artifacts.gradle.org"},
		{"maven", "services.gradle.org"},
		{"maven", "github.com"},
		{"maven", "release-assets.githubusercontent.com"},
		{"huggingface", "huggingface.co"},
		{"huggingface", "cdn-lfs-us-1.hf.co"},
		{"huggingface", "transfer.xethub.hf.co"},
		{"huggingface", "us.gcp.cdn.hf.co"},
		{"github", "release-assets.githubusercontent.com"},
		{"pypi", "files.pythonhosted.org"},
		{"crates", "index.crates.io"},
		{"crates", "static.crates.io"},
		{"bitbucket", "ssh.bitbucket.org"},
		{"gitlab", "cdn.registry.gitlab-static.net"},
		{"conda", "conda.anaconda.org"},
		{"dashscope", "dashscope-us.aliyuncs.com"},
		{"dashscope", "cn-hongkong.dashscope.aliyuncs.com"},
		{"github", "lfs.github.com"},
		{"github", "github-cloud.githubusercontent.com"},
		{"nuget", "api.nuget.org"},
		{"rubygems", "rubygems.org"},
		{"rust-toolchain", "static.rust-lang.org"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct domain_name name;
		struct policy *policy;
		struct rules *rules;
		struct decision d;
		const char *why;
		char path[64];

		snprintf(path, sizeof(path), "conf/policies/%s.conf",
			 names[i][0]);
		assert_int_equal(rules_new(&rules, POLICY_DENY), 0);
		read_words(path, rules);
		assert_int_equal(policy_compile(&policy, rules, NULL), 0);
		assert_int_equal(
			domain_name_from_text(&name, names[i][1], &why), 0);
		policy_match_name(policy, &name, &d);
		if (d.action != POLICY_ALLOW)
			fail_msg("%s: %s is denied", path, names[i][1]);
		policy_unref(policy);
		rules_free(rules);
	}
}

static void nothing_internal_is_left_open(void **state)
{
	static const char *const internal[] = {"127.0.0.1",
					       "10.1.2.3",
					       "172.31.255.255",
					       "192.168.1.1",
					       "100.64.0.1",
					       "100.100.100.200",
					       "169.254.169.254",
					       "168.63.129.16",
					       "192.0.0.192",
					       "0.0.0.0",
					       "224.0.0.1",
					       "255.255.255.255",
					       "240.0.0.1",
					       "198.18.0.1",
					       "::",
					       "::1",
					       "fe80::1",
					       "fd00:ec2::254",
					       "fd20:ce::254",
					       "fd00:42::42",
					       "ff02::1",
					       "64:ff9b::7f00:1",
					       "64:ff9b:1::a00:1",
					       "2002:a9fe:a9fe::",
					       "2001:0:a00:1::",
					       "::10.0.0.1",
					       "fec0::1",
					       "fd00:c1::a9fe:a9fe"};
	static const char *const open[] = {"8.8.8.8", "192.0.2.1",
					   "2606:4700::1111"};
	struct policy *policy;
	struct rules *rules;
	struct decision d;
	struct address a;

	(void)state;
	assert_int_equal(rules_new(&rules, POLICY_ALLOW), 0);
	read_words("conf/policies/deny-internal.conf", rules);
	assert_int_equal(policy_compile(&policy, rules, NULL), 0);
	for (size_t i = 0; i < sizeof(internal) / sizeof(internal[0]); i++) {
		assert_int_equal(address_from_text(&a, internal[i]), 0);
		policy_match_address(policy, &a, 0, 0, &d);
		if (d.action != POLICY_DENY)
			fail_msg("%s is open", internal[i]);
	}
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		assert_int_equal(address_from_text(&a, open[i]), 0);
		policy_match_address(policy, &a, 0, 0, &d);
		assert_int_equal(d.action, POLICY_ALLOW);
	}
	policy_unref(policy);
	rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_file_is_a_policy),
		cmocka_unit_test(files_say_when_they_were_checked),
		cmocka_unit_test(downloads_find_their_hosts),
		cmocka_unit_test(nothing_internal_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
