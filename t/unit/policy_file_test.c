/* SPDX-License-Identifier: Apache-2.0 */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];

static int enter(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/policy-file-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/policy.json", folder);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	unlink(path);
	/* Fails if a temporary file was left behind. */
	return rmdir(folder);
}

static int put(const char *text)
{
	struct policy_file file;
	int err = policy_file_prepare(&file, path, text, strlen(text));

	return err ? err : policy_file_commit(&file);
}

static void holds(const char *expected)
{
	char *text;
	size_t len;

	assert_int_equal(policy_file_read(path, 1000, &text, &len), 0);
	assert_string_equal(text, expected);
	assert_int_equal(len, strlen(expected));
	free(text);
}

static void replaced(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("{\"a\":1}"), 0);
	holds("{\"a\":1}\n");
	assert_int_equal(put("{}"), 0);
	holds("{}\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Whoever could read the old file can read the new one. */
static void keeps_mode_and_owner(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("old"), 0);
	assert_int_equal(chmod(path, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 12, 34), 0);
	assert_int_equal(put("new"), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 12);
		assert_int_equal(st.st_gid, 34);
	}
}

/* A link stays one; the file that it leads to is replaced. */
static void follows_a_link(void **state)
{
	char other[160];
	struct stat st;

	(void)state;
	snprintf(other, sizeof(other), "%s.real", path);
	assert_int_equal(put("old"), 0);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink("policy.json.real", path), 0);
	assert_int_equal(put("new"), 0);
	holds("new\n");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(unlink(other), 0);
}

static void abandoned(void **state)
{
	struct policy_file file;

	(void)state;
	assert_int_equal(put("old"), 0);
	assert_int_equal(policy_file_prepare(&file, path, "new", 3), 0);
	holds("old\n");
	policy_file_abandon(&file);
	holds("old\n");
	/* Once is enough. */
	policy_file_abandon(&file);
	assert_int_equal(policy_file_commit(&file), 0);
	holds("old\n");
}

static void none(void **state)
{
	struct policy_file file = POLICY_FILE_NONE;

	(void)state;
	assert_int_equal(policy_file_commit(&file), 0);
	policy_file_abandon(&file);
}

static void no_folder(void **state)
{
	struct policy_file file;

	(void)state;
	assert_int_equal(policy_file_prepare(&file, "/nonexistent/x", "a", 1),
			 -ENOENT);
	assert_int_equal(policy_file_commit(&file), 0);
}

/* The rename cannot replace a folder. */
static void rename_fails(void **state)
{
	struct policy_file file;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(policy_file_prepare(&file, path, "a", 1), 0);
	assert_int_equal(policy_file_commit(&file), -EISDIR);
	assert_int_equal(rmdir(path), 0);
}

/* No room: a file size limit stands for the full disk. */
static void no_room(void **state)
{
	struct rlimit old, small = {10, 10};
	char text[64];
	int err;

	(void)state;
	assert_int_equal(put("old"), 0);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	err = put(text);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err, -EFBIG);
	holds("old\n");
}

static void reading(void **state)
{
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(policy_file_read(path, 10, &text, &len), -ENOENT);
	assert_null(text);
	assert_int_equal(put("123456789"), 0);
	assert_int_equal(policy_file_read(path, 10, &text, &len), 0);
	assert_int_equal(len, 10);
	free(text);
	assert_int_equal(policy_file_read(path, 9, &text, &len), -EFBIG);
	assert_null(text);
	/* Never a device, a pipe or a folder. */
	assert_int_equal(policy_file_read("/dev/zero", 10, &text, &len),
			 -EINVAL);
	assert_int_equal(policy_file_read(folder, 10, &text, &len), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replaced, enter, leave),
		cmocka_unit_test_setup_teardown(keeps_mode_and_owner, enter,
						leave),
		cmocka_unit_test_setup_teardown(follows_a_link, enter, leave),
		cmocka_unit_test_setup_teardown(abandoned, enter, leave),
		cmocka_unit_test(none),
		cmocka_unit_test(no_folder),
		cmocka_unit_test_setup_teardown(rename_fails, enter, leave),
		cmocka_unit_test_setup_teardown(no_room, enter, leave),
		cmocka_unit_test_setup_teardown(reading, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
