/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "Authorization: Bearer "

enum {
	TOKEN_MAX = 4096
};

struct token {
	struct stat read; /* the file when it was read */
	bool doubted;
	char header[sizeof(HEADER) + TOKEN_MAX];
	char path[];
};

static bool has_changed(const struct token *token, const struct stat *now)
{
	const struct stat *then = &token->read;

	return token->doubted || now->st_ino != then->st_ino ||
	       now->st_dev != then->st_dev || now->st_size != then->st_size ||
	       now->st_mtim.tv_sec != then->st_mtim.tv_sec ||
	       now->st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

/* The first line. 0 or -errno; the old token stays then. */
static int token_read(struct token *token)
{
	int fd = open(token->path, O_RDONLY | O_CLOEXEC);
	char text[TOKEN_MAX + 1];
	struct stat now;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fstat(fd, &now) < 0 ? -1 : read(fd, text, TOKEN_MAX);
	if (n < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	close(fd);
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (!text[0])
		return -ENODATA;
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return -EINVAL;
	snprintf(token->header, sizeof(token->header), "%s%s", HEADER, text);
	token->read = now;
	token->doubted = false;
	return 0;
}

int token_open(struct token **out, const char *path)
{
	size_t len = strlen(path) + 1;
	struct token *token = calloc(1, sizeof(*token) + len);
	int err;

	if (!token)
		return -ENOMEM;
	memcpy(token->path, path, len);
	err = token_read(token);
	if (err)
		free(token);
	else
		*out = token;
	return err;
}

void token_close(struct token *token)
{
	free(token);
}

const char *token_header(struct token *token)
{
	struct stat now;

	if (stat(token->path, &now) == 0 && has_changed(token, &now))
		(void)token_read(token);
	return token->header;
}

void token_doubt(struct token *token)
{
	token->doubted = true;
}
