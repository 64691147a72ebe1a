/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int policy_file_prepare(struct policy_file *file, const char *path,
			const char *text, size_t len)
{
	int fd, err;

	if (strlen(path) >= sizeof(file->path))
		return -ENAMETOOLONG;
	memcpy(file->path, path, strlen(path) + 1);
	snprintf(file->temporary, sizeof(file->temporary), "%s.XXXXXX", path);
	fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		file->path[0] = '\0';
		return err;
	}
	err = write_all(fd, text, len);
	if (!err)
		err = write_all(fd, "\n", 1);
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (err)
		policy_file_abandon(file);
	return err;
}

/* The rename must outlive a power cut too. */
static int sync_folder(const char *path)
{
	char copy[4096];
	int fd, err;

	memcpy(copy, path, strlen(path) + 1);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int policy_file_commit(struct policy_file *file)
{
	int err;

	if (!file->path[0])
		return 0;
	if (rename(file->temporary, file->path) < 0) {
		err = -errno;
		policy_file_abandon(file);
		return err;
	}
	err = sync_folder(file->path);
	file->path[0] = '\0';
	return err;
}

void policy_file_abandon(struct policy_file *file)
{
	if (file->path[0])
		unlink(file->temporary);
	file->path[0] = '\0';
}

int policy_file_read(const char *path, size_t max, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t n = 0;
	ssize_t got;
	int err = 0;

	*text = NULL;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*text = malloc(max + 1);
	if (!*text)
		err = -ENOMEM;
	while (!err && n <= max) {
		got = read(fd, *text + n, max + 1 - n);
		if (got < 0 && errno != EINTR)
			err = -errno;
		if (got == 0)
			break;
		if (got > 0)
			n += (size_t)got;
	}
	close(fd);
	if (!err && n > max)
		err = -EFBIG;
	if (err) {
		free(*text);
		*text = NULL;
		return err;
	}
	(*text)[n] = '\0';
	*len = n;
	return 0;
}
