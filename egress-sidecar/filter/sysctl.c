/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool sysctl_is_set(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char value = '0';
	bool set = fd >= 0 && read(fd, &value, 1) == 1 && value != '0';

	if (fd >= 0)
		close(fd);
	return set;
}

int sysctl_set(const char *path)
{
	int fd, err;

	if (sysctl_is_set(path))
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, "1", 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}
