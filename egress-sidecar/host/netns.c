/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NETNS_FOLDER "/run/netns"
#define NETNS_OWN    "/proc/thread-self/ns/net"
#define USERNS_OWN   "/proc/thread-self/ns/user"

enum {
	OVERFLOW_USER = 65534 /* /proc/sys/kernel/overflowuid */
};

/* ioctl_ns(2): only a file of nsfs answers NS_GET_NSTYPE. */
static int open_checked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int netns_open(const char *name_or_path)
{
	char path[PATH_MAX];
	int len;

	if (name_or_path[0] == '/')
		return open_checked(name_or_path);
	if (name_or_path[0] == '\0' || strchr(name_or_path, '/') ||
	    strcmp(name_or_path, ".") == 0 || strcmp(name_or_path, "..") == 0)
		return -EINVAL;
	len = snprintf(path, sizeof(path), "%s/%s", NETNS_FOLDER, name_or_path);
	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;
	return open_checked(path);
}

int netns_open_pid(pid_t pid)
{
	char path[64];

	if (pid <= 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/%ld/ns/net", (long)pid);
	return open_checked(path);
}

int netns_identity(int ns, uint64_t identity[2])
{
	struct stat st;

	if (fstat(ns, &st) < 0)
		return -errno;
	identity[0] = (uint64_t)st.st_dev;
	identity[1] = (uint64_t)st.st_ino;
	return 0;
}

bool netns_is_current(int ns)
{
	struct stat theirs, own;

	return fstat(ns, &theirs) == 0 && stat(NETNS_OWN, &own) == 0 &&
	       theirs.st_dev == own.st_dev && theirs.st_ino == own.st_ino;
}

int netns_run(int ns, int (*work)(void *arg), void *arg)
{
	int own, ret;

	if (ns < 0 || netns_is_current(ns))
		return work(arg);
	own = open_checked(NETNS_OWN);
	if (own < 0)
		return own;
	if (setns(ns, CLONE_NEWNET) < 0) {
		ret = -errno;
		goto cleanup;
	}
	ret = work(arg);
	if (setns(own, CLONE_NEWNET) < 0) {
		log_fatal("cannot leave a network namespace: %s",
			  strerror(errno));
		abort();
	}
cleanup:
	close(own);
	return ret;
}

/* Only a process of its own may go there, setns(2). */
static uint32_t user_within(int user_ns)
{
	int told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint32_t uid = OVERFLOW_USER;
	eventfd_t seen;
	pid_t child;

	if (told < 0)
		return uid;
	child = fork();
	if (child == 0) {
		if (setns(user_ns, CLONE_NEWUSER) == 0)
			(void)eventfd_write(told, (eventfd_t)geteuid() + 1);
		_exit(0);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (eventfd_read(told, &seen) == 0)
		uid = (uint32_t)(seen - 1);
	close(told);
	return uid;
}

uint32_t netns_user(int ns, uint32_t uid)
{
	int own = ns < 0 ? open_checked(NETNS_OWN) : -1;
	int user = ioctl(ns < 0 ? own : ns, NS_GET_USERNS);
	struct stat theirs, ours;

	if (user >= 0 && fstat(user, &theirs) == 0 &&
	    stat(USERNS_OWN, &ours) == 0 &&
	    (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino))
		uid = user_within(user);
	if (user >= 0)
		close(user);
	if (own >= 0)
		close(own);
	return uid;
}

struct socket_wish {
	int domain, type, protocol;
};

static int make_socket(void *arg)
{
	const struct socket_wish *wish = arg;
	int fd = socket(wish->domain, wish->type | SOCK_CLOEXEC | SOCK_NONBLOCK,
			wish->protocol);

	return fd < 0 ? -errno : fd;
}

int netns_socket(int ns, int domain, int type, int protocol)
{
	struct socket_wish wish = {domain, type, protocol};

	return netns_run(ns, make_socket, &wish);
}
