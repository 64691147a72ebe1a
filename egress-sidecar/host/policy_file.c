/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	OLD_MAX = 16 << 20 /* bytes of a file that is written over */
};

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

/* The file itself where path is a link to it; path's own text where there is
 * none yet. 0 or -ENAMETOOLONG. */
static int real_path(char *out, size_t size, const char *path)
{
	char *real = realpath(path, NULL);
	size_t len = strlen(real ? real : path);

	if (len < size)
		memcpy(out, real ? real : path, len + 1);
	free(real);
	return len < size ? 0 : -ENAMETOOLONG;
}

/* Who may read the old file may read the new one. Without CAP_CHOWN it is
 * ours; the mode comes first, while it is. */
static void keep_mode(int fd, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	(void)fchmod(fd, st.st_mode & 0777);
	(void)!fchown(fd, st.st_uid, st.st_gid);
}

/* A folder that cannot be opened or synced is known before anything is
 * renamed in it. */
static int open_folder(struct policy_file *file)
{
	char copy[sizeof(file->path)];

	memcpy(copy, file->path, strlen(file->path) + 1);
	file->folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file->folder < 0 || fsync(file->folder) < 0 ? -errno : 0;
}

/* text in a temporary file beside its place, on the disk. */
static int write_beside(struct policy_file *file)
{
	int fd, err;

	snprintf(file->temporary, sizeof(file->temporary), "%s.XXXXXX",
		 file->path);
	fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		file->temporary[0] = '\0';
		return err;
	}
	keep_mode(fd, file->path);
	err = write_all(fd, file->text, file->len);
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	return err ? err : open_folder(file);
}

/* Is there a file to write into where nothing can be put beside it? */
static bool only_in_place(const struct policy_file *file, int err)
{
	return (err == -EROFS || err == -EACCES) && !file->temporary[0] &&
	       access(file->path, W_OK) == 0;
}

int policy_file_prepare(struct policy_file *file, const char *path,
			const char *text, size_t len)
{
	int err;

	*file = (struct policy_file)POLICY_FILE_NONE;
	err = real_path(file->path, sizeof(file->path), path);
	if (!err && asprintf(&file->text, "%.*s\n", (int)len, text) < 0) {
		file->text = NULL;
		err = -ENOMEM;
	}
	if (!err) {
		file->len = len + 1;
		err = write_beside(file);
	}
	if (err && only_in_place(file, err))
		return 0;
	if (err)
		policy_file_abandon(file);
	return err;
}

static int overwrite(int fd, const char *text, size_t len)
{
	int err =
		lseek(fd, 0, SEEK_SET) < 0 ? -errno : write_all(fd, text, len);

	if (!err && ftruncate(fd, (off_t)len) < 0)
		err = -errno;
	if (!err && fsync(fd) < 0)
		err = -errno;
	return err;
}

/* A file that is a mount of its own, as containers are given one, cannot be
 * replaced; what it held is put back where the new text does not fit. */
static int write_in_place(const struct policy_file *file)
{
	char *old = NULL;
	size_t old_len = 0;
	int fd, err;

	err = policy_file_read(file->path, OLD_MAX, &old, &old_len);
	if (err)
		return err;
	fd = open(file->path, O_WRONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : overwrite(fd, file->text, file->len);
	if (fd >= 0 && err)
		(void)overwrite(fd, old, old_len);
	if (fd >= 0)
		close(fd);
	free(old);
	return err;
}

/* The rename is to outlive a power cut too. */
static void sync_renamed(const struct policy_file *file)
{
	if (fsync(file->folder) < 0)
		log_event(LOG_WARN, NULL,
			  "a file's folder cannot be synced: after a power cut "
			  "the old file may be there",
			  "sfile", file->path, "serror", strerror(errno), NULL);
}

int policy_file_commit(struct policy_file *file)
{
	int err;

	if (!file->path[0])
		return 0;
	err = file->temporary[0] && rename(file->temporary, file->path) < 0
		      ? -errno
		      : 0;
	if (!file->temporary[0] || err == -EBUSY) {
		err = write_in_place(file);
	} else if (!err) {
		file->temporary[0] = '\0';
		sync_renamed(file);
	}
	policy_file_abandon(file);
	return err;
}

void policy_file_abandon(struct policy_file *file)
{
	if (file->temporary[0])
		unlink(file->temporary);
	if (file->folder >= 0)
		close(file->folder);
	free(file->text);
	*file = (struct policy_file)POLICY_FILE_NONE;
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
