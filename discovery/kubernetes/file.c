/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FILE_MAX = 1 << 20 /* bytes */
};

static bool has_changed(const struct stat *then, const struct stat *now)
{
	return now->st_ino != then->st_ino || now->st_dev != then->st_dev ||
	       now->st_size != then->st_size ||
	       now->st_mtim.tv_sec != then->st_mtim.tv_sec ||
	       now->st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

/* All of it, with a NUL after it. Its length, or -errno. */
static ssize_t read_all(int fd, char *text)
{
	ssize_t len = 0, n = 1;

	while (n > 0 && len < FILE_MAX) {
		n = read(fd, text + len, (size_t)(FILE_MAX - len));
		if (n < 0)
			return -errno;
		len += n;
	}
	text[len] = '\0';
	return len == 0 ? -ENODATA : len == FILE_MAX ? -EFBIG : len;
}

static int file_read(struct kube_file *file)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC);
	char *text, *fitted;
	struct stat now;
	ssize_t len;

	if (fd < 0)
		return -errno;
	text = malloc(FILE_MAX + 1);
	len = !text                 ? -ENOMEM
	      : fstat(fd, &now) < 0 ? -errno
				    : read_all(fd, text);
	close(fd);
	if (len < 0) {
		free(text);
		return (int)len;
	}
	fitted = realloc(text, (size_t)len + 1);
	if (fitted)
		text = fitted;
	free(file->text);
	file->text = text;
	file->read = now;
	return 0;
}

int kube_file_open(struct kube_file *file, const char *path)
{
	int err;

	kube_file_close(file);
	file->path = strdup(path);
	if (!file->path)
		return -ENOMEM;
	err = file_read(file);
	if (err)
		kube_file_close(file);
	return err;
}

int kube_file_give(struct kube_file *file, const char *text, size_t len)
{
	kube_file_close(file);
	file->text = strndup(text, len);
	return file->text ? 0 : -ENOMEM;
}

void kube_file_close(struct kube_file *file)
{
	free(file->path);
	free(file->text);
	file->path = file->text = NULL;
}

const char *kube_file_text(struct kube_file *file)
{
	struct stat now;

	if (file->path && stat(file->path, &now) == 0 &&
	    has_changed(&file->read, &now))
		(void)file_read(file);
	return file->text;
}

void kube_file_doubt(struct kube_file *file)
{
	file->read = (struct stat){.st_size = -1};
}
