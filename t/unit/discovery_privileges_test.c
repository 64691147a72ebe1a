/* SPDX-License-Identifier: Apache-2.0 */
/* What the program may do no more once it runs. */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

/* The number of the first call that is not refused, or -1. */
static int first_allowed(void)
{
	static char *const words[] = {(char *)"true", NULL};
	int n = 0;

	if (open(path, O_WRONLY) >= 0 || errno != EPERM)
		return n;
	n++;
	if (open(path, O_RDWR | O_CLOEXEC) >= 0 || errno != EPERM)
		return n;
	n++;
	if (openat(AT_FDCWD, path, O_RDONLY | O_CREAT, 0600) >= 0 ||
	    errno != EPERM)
		return n;
	n++;
	if (open(path, O_RDONLY | O_TRUNC) >= 0 || errno != EPERM)
		return n;
	n++;
	if (unlink(path) == 0 || errno != EPERM)
		return n;
	n++;
	if (rename(path, path) == 0 || errno != EPERM)
		return n;
	n++;
	if (chmod(path, 0644) == 0 || errno != EPERM)
		return n;
	n++;
	if (truncate(path, 0) == 0 || errno != EPERM)
		return n;
	n++;
	if (execv("/bin/true", words) == 0 || errno != EPERM)
		return n;
	return -1;
}

/* Run check in a child that has dropped its privileges; its exit status. */
static int in_child(int (*check)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(privileges_drop(false) ? 100 : check() + 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int cannot_read(void)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || read(fd, &byte, 1) != 1 ||
	       socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static void test_writes_are_refused(void **state)
{
	(void)state;
	assert_int_equal(in_child(first_allowed), 0);
}

static void test_reads_are_not(void **state)
{
	(void)state;
	assert_int_equal(in_child(cannot_read), 1);
}

static int make_file(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/discovery-privileges-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || write(fd, "x", 1) != 1 || close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_are_refused),
		cmocka_unit_test(test_reads_are_not),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
