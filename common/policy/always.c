/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without NUL, no longer than the longest name with "*." before it and a dot
 * behind it. */
#define TARGET_TEXT_MAX 258

#define FILE_MAX (2ul << 20) /* bytes */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The line without its comment and the blanks around it, into target. */
static int trim_line(char target[TARGET_TEXT_MAX], const char *line, size_t len,
		     const char **why)
{
	const char *hash = memchr(line, '#', len);

	if (hash)
		len = (size_t)(hash - line);
	while (len > 0 && is_blank(line[0])) {
		line++;
		len--;
	}
	while (len > 0 && is_blank(line[len - 1]))
		len--;
	*why = "longer than any target";
	if (len >= TARGET_TEXT_MAX)
		return -EINVAL;
	*why = "a NUL character";
	if (memchr(line, '\0', len))
		return -EINVAL;
	memcpy(target, line, len);
	target[len] = '\0';
	return 0;
}

static int append_line(struct rules *rules, const char *line, size_t len,
		       int number, enum policy_action action,
		       struct policy_error *err)
{
	struct policy_error fault = {.index = -1};
	char target[TARGET_TEXT_MAX];
	const char *why;
	int ret;

	if (trim_line(target, line, len, &why) < 0)
		return policy_error_set(err, (int)rules->n_rules, "line %d: %s",
					number, why);
	if (target[0] == '\0')
		return 0;
	ret = rules_append(rules, action, target, &fault);
	if (ret == -EINVAL)
		policy_error_set(err, fault.index, "line %d: %.200s", number,
				 fault.message);
	return ret;
}

int always_from_text(struct rules **out, const char *text, size_t len,
		     enum policy_action action, struct policy_error *err)
{
	struct rules *rules;
	int ret = rules_new(&rules, POLICY_DENY);

	for (int number = 1; ret == 0 && len > 0; number++) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		ret = append_line(rules, text, line, number, action, err);
		if (ret < 0) {
			rules_free(rules);
			break;
		}
		line += end ? 1 : 0;
		text += line;
		len -= line;
	}
	if (ret == 0)
		*out = rules;
	return ret;
}

/* The whole of a regular file; an absent one is empty. */
static int read_file(const char *path, char **text, size_t *len)
{
	struct stat st;
	size_t room = 4096;
	ssize_t got = 0;
	int ret = -ENOMEM;
	/* a FIFO in place of a file must not hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*text = NULL;
	*len = 0;
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	for (;;) {
		char *grown = NULL;

		if (room <= FILE_MAX)
			grown = realloc(*text, room);
		if (!grown)
			break;
		*text = grown;
		while (*len < room &&
		       (got = read(fd, *text + *len, room - *len)) > 0)
			*len += (size_t)got;
		if (*len < room) {
			ret = got < 0 ? -errno : 0;
			break;
		}
		room *= 2;
	}
	if (ret < 0) {
		free(*text);
		*text = NULL;
	}
	close(fd);
	return ret;
}

static int load_file(struct rules **out, const char *folder, const char *name,
		     enum policy_action action, struct policy_error *err)
{
	struct policy_error fault = {.index = -1};
	char *path, *text;
	size_t len;
	int ret;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	ret = read_file(path, &text, &len);
	if (ret < 0) {
		policy_error_set(err, -1, "%.160s: %s", path,
				 ret == -EINVAL ? "not a regular file"
						: strerror(-ret));
		free(path);
		return ret;
	}
	ret = always_from_text(out, text, len, action, &fault);
	if (ret == -EINVAL)
		policy_error_set(err, fault.index, "%.100s: %s", path,
				 fault.message);
	free(text);
	free(path);
	return ret;
}

int always_load(struct always_rules **out, const char *folder,
		struct policy_error *err)
{
	struct always_rules *always = calloc(1, sizeof(*always));
	int ret;

	if (!always)
		return -ENOMEM;
	ret = load_file(&always->deny, folder, "deny.always", POLICY_DENY, err);
	if (ret == 0)
		ret = load_file(&always->allow, folder, "allow.always",
				POLICY_ALLOW, err);
	if (ret == 0)
		ret = load_file(&always->log_skip, folder, "log_skip.always",
				POLICY_ALLOW, err);
	if (ret < 0) {
		always_free(always);
		return ret;
	}
	*out = always;
	return 0;
}

void always_free(struct always_rules *always)
{
	if (!always)
		return;
	rules_free(always->deny);
	rules_free(always->allow);
	rules_free(always->log_skip);
	free(always);
}
