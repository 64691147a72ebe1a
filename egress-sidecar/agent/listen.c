/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 128
};

static int serves_already(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)sun, sizeof(*sun));
	rc = rc == 0 || errno == EAGAIN ? -EADDRINUSE : 0;
	close(fd);
	return rc;
}

int agent_listen(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char folder[sizeof(sun.sun_path)];
	struct stat st;
	mode_t mask;
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	memcpy(folder, path, strlen(path) + 1);
	*strrchr(folder, '/') = '\0';
	if (folder[0] && mkdir(folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		err = serves_already(&sun);
		if (err)
			return err;
		unlink(path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
			      listen(fd, BACKLOG) < 0
		      ? -errno
		      : 0;
	umask(mask);
	if (err)
		close(fd);
	return err ? err : fd;
}
