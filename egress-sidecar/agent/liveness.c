/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PATH_SIZE = 4096 + 16
};

/* A folder with names of namespaces in it, and who is named there. */
struct folder {
	struct folder *next, **link;
	struct liveness *owner;
	struct folder_watch *watch;
	struct liveness_watch *first;
	char path[PATH_SIZE];
};

struct liveness {
	uv_loop_t *loop;
	void (*gone)(void *arg, void *what);
	void *arg;
	struct folder *folders;
};

struct liveness_watch {
	struct liveness *owner;
	void *what;
	uint64_t identity[2];
	char path[PATH_SIZE]; /* of the namespace */
	/* Named in a folder ... */
	struct folder *folder;
	struct liveness_watch *next, **link;
	/* ... or of a process. */
	uv_poll_t poll;
	int pidfd;
};

static bool is_there(const struct liveness_watch *p)
{
	struct stat st;

	return stat(p->path, &st) == 0 &&
	       (uint64_t)st.st_dev == p->identity[0] &&
	       (uint64_t)st.st_ino == p->identity[1];
}

/* Names in folders */

static void on_folder(void *arg)
{
	struct folder *folder = arg;
	struct liveness *owner = folder->owner;
	struct liveness_watch *p = folder->first, *next;

	/* The folder goes with the last of its liveness. */
	for (; p; p = next) {
		next = p->next;
		if (!is_there(p))
			owner->gone(owner->arg, p->what);
	}
}

static void folder_drop(struct folder *folder)
{
	if (folder->first)
		return;
	folder_watch_close(folder->watch);
	*folder->link = folder->next;
	if (folder->next)
		folder->next->link = folder->link;
	free(folder);
}

static int folder_get(struct folder **out, struct liveness *owner,
		      const char *path, size_t len)
{
	struct folder *folder = owner->folders;
	int err;

	while (folder && (strncmp(folder->path, path, len) != 0 ||
			  folder->path[len] != '\0'))
		folder = folder->next;
	*out = folder;
	if (folder)
		return 0;
	folder = calloc(1, sizeof(*folder));
	if (!folder)
		return -ENOMEM;
	memcpy(folder->path, path, len);
	folder->owner = owner;
	err = folder_watch_open(&folder->watch, owner->loop, folder->path,
				on_folder, folder);
	if (err) {
		free(folder);
		return err;
	}
	folder->next = owner->folders;
	folder->link = &owner->folders;
	if (folder->next)
		folder->next->link = &folder->next;
	owner->folders = folder;
	*out = folder;
	return 0;
}

static int watch_name(struct liveness_watch *p)
{
	const char *slash = strrchr(p->path, '/');
	size_t len = slash == p->path ? 1 : (size_t)(slash - p->path);
	struct folder *folder;
	int err = folder_get(&folder, p->owner, p->path, len);

	if (err)
		return err;
	p->folder = folder;
	p->next = folder->first;
	p->link = &folder->first;
	if (p->next)
		p->next->link = &p->next;
	folder->first = p;
	/* It may have gone before anybody watched. */
	return is_there(p) ? 0 : -ESRCH;
}

/* Processes */

static void on_exit_of(uv_poll_t *poll, int status, int events)
{
	struct liveness_watch *p = poll->data;

	(void)status;
	(void)events;
	uv_poll_stop(poll);
	p->owner->gone(p->owner->arg, p->what);
}

static void on_closed(uv_handle_t *handle)
{
	struct liveness_watch *p = handle->data;

	close(p->pidfd);
	free(p);
}

static int watch_process(struct liveness_watch *p, pid_t pid)
{
	int err;

	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p->pidfd < 0)
		return -errno;
	/* The number may have come to name another process. */
	if (!is_there(p)) {
		close(p->pidfd);
		p->pidfd = -1;
		return -ESRCH;
	}
	err = uv_poll_init(p->owner->loop, &p->poll, p->pidfd);
	if (err) {
		close(p->pidfd);
		p->pidfd = -1;
		return err;
	}
	p->poll.data = p;
	return uv_poll_start(&p->poll, UV_READABLE, on_exit_of);
}

/* The process of /proc/PID/ns/net, 0: it is no such path. */
static pid_t process_of(const char *path)
{
	int pid = 0, end = 0;

	if (sscanf(path, "/proc/%d/ns/net%n", &pid, &end) == 1 && end > 0 &&
	    path[end] == '\0' && pid > 0)
		return pid;
	return 0;
}

int liveness_open(struct liveness **out, uv_loop_t *loop,
		  void (*gone)(void *arg, void *what), void *arg)
{
	struct liveness *liveness = calloc(1, sizeof(*liveness));

	if (!liveness)
		return -ENOMEM;
	liveness->loop = loop;
	liveness->gone = gone;
	liveness->arg = arg;
	*out = liveness;
	return 0;
}

void liveness_close(struct liveness *liveness)
{
	free(liveness);
}

int liveness_add(struct liveness_watch **out, struct liveness *liveness,
		 const struct agent_place *place, const uint64_t identity[2],
		 void *what)
{
	struct liveness_watch *p = calloc(1, sizeof(*p));
	pid_t pid = place->pid;
	int err;

	if (!p)
		return -ENOMEM;
	p->owner = liveness;
	p->what = what;
	p->identity[0] = identity[0];
	p->identity[1] = identity[1];
	p->pidfd = -1;
	if (!place->netns[0])
		snprintf(p->path, sizeof(p->path), "/proc/%d/ns/net", (int)pid);
	else
		snprintf(p->path, sizeof(p->path), "%s%s",
			 place->netns[0] == '/' ? "" : "/run/netns/",
			 place->netns);
	if (pid == 0)
		pid = process_of(p->path);
	err = pid ? watch_process(p, pid) : watch_name(p);
	if (err)
		liveness_remove(p);
	else
		*out = p;
	return err;
}

void liveness_remove(struct liveness_watch *p)
{
	if (!p)
		return;
	if (p->folder) {
		*p->link = p->next;
		if (p->next)
			p->next->link = p->link;
		folder_drop(p->folder);
	}
	if (p->pidfd >= 0)
		uv_close((uv_handle_t *)&p->poll, on_closed);
	else
		free(p);
}
