/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_BYTES = 1 << 16,
	PIPE_BYTES = 1 << 20,
	LAST_MS = 300, /* the kernel gathers packets before it tells of them */
};

/* Lines as they come in pieces. */
struct lines {
	struct traffic *traffic;
	bool live;
	char *text;
	size_t len, size;
	bool overlong; /* passing over the rest of one */
};

static int take_line(struct lines *l, const char *line, size_t len)
{
	bool loaded = l->traffic->loaded;
	int err = traffic_take(l->traffic, line, len);

	if (!l->live)
		return err;
	if (l->traffic->warning)
		fprintf(stderr, "%.*s\n", (int)len, line);
	if (!loaded && l->traffic->loaded)
		fputs("# watching; end with SIGINT or SIGTERM\n", stderr);
	return err;
}

/* Take the whole lines of the buffer; the rest moves to its front. */
static int take_lines(struct lines *l)
{
	size_t from = 0;
	char *end;
	int err = 0;

	while (!err && from < l->len &&
	       (end = memchr(l->text + from, '\n', l->len - from))) {
		size_t len = (size_t)(end - l->text) - from;

		if (!l->overlong)
			err = take_line(l, l->text + from, len);
		l->overlong = false;
		from += len + 1;
	}
	l->len -= from;
	memmove(l->text, l->text + from, l->len);
	if (l->len >= TRAFFIC_LINE_MAX) {
		l->traffic->unreadable += !l->overlong;
		l->overlong = true;
		l->len = 0;
	}
	return err;
}

/* One read. 1; 0 at the end; -errno. */
static int lines_read(struct lines *l, int fd)
{
	ssize_t n;
	char *wider;
	int err;

	if (l->size - l->len < READ_BYTES) {
		wider = realloc(l->text, l->len + 2 * (size_t)READ_BYTES);
		if (!wider)
			return -ENOMEM;
		l->text = wider;
		l->size = l->len + 2 * (size_t)READ_BYTES;
	}
	n = read(fd, l->text + l->len, READ_BYTES);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (n == 0)
		return l->len && !l->overlong ? take_line(l, l->text, l->len)
					      : 0;
	l->len += (size_t)n;
	err = take_lines(l);
	return err ? err : 1;
}

int watch_log(struct traffic *traffic, const char *path)
{
	struct lines lines = {.traffic = traffic};
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	while ((err = lines_read(&lines, fd)) > 0)
		;
	free(lines.text);
	if (!standard)
		close(fd);
	return err;
}

struct watching {
	struct lines lines;
	pid_t pid;
	int log, signals;
	uint64_t end_ms;   /* of the duration, 0: none */
	uint64_t leave_ms; /* when the child is told to end, 0: not yet */
	bool told;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void __attribute__((noreturn))
child(struct settings *settings, int log, const sigset_t *usual)
{
	/* In a group of its own, so that a terminal's SIGINT reaches us alone
	 * and the last packets are still read. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, usual, NULL);
	if (dup2(log, STDOUT_FILENO) < 0)
		exit(EXIT_STARTUP);
	exit(run_until_stopped(settings));
}

static int watching_start(struct watching *w, struct settings *settings)
{
	sigset_t set, usual;
	int ends[2], err;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &usual);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* Lines that do not fit are lost: make room for a burst of them. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w->signals < 0)
		return -errno;
	w->pid = fork();
	if (w->pid == 0)
		child(settings, ends[1], &usual);
	err = w->pid < 0 ? -errno : 0;
	close(ends[1]);
	w->log = ends[0];
	return err;
}

/* The sooner of two ends; milliseconds for poll(2). */
static int wait_ms(const struct watching *w, uint64_t now)
{
	uint64_t end = w->told ? 0 : w->leave_ms ? w->leave_ms : w->end_ms;

	if (end == 0)
		return -1;
	if (end <= now)
		return 0;
	return end - now > 60000 ? 60000 : (int)(end - now);
}

static void take_signals(struct watching *w, uint64_t now)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == sizeof(info))
		if (!w->leave_ms)
			w->leave_ms = now + LAST_MS;
}

static int watching_run(struct watching *w)
{
	struct pollfd fds[] = {
		{.fd = w->log, .events = POLLIN},
		{.fd = w->signals, .events = POLLIN},
	};
	int more = 1;

	while (more > 0) {
		uint64_t now = now_ms();

		if (w->end_ms && !w->leave_ms && now >= w->end_ms)
			w->leave_ms = now + LAST_MS;
		if (w->leave_ms && !w->told && now >= w->leave_ms) {
			kill(w->pid, SIGTERM);
			w->told = true;
		}
		if (poll(fds, 2, wait_ms(w, now)) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			take_signals(w, now_ms());
		if (fds[0].revents)
			more = lines_read(&w->lines, w->log);
	}
	return more;
}

int watch_sandbox(struct traffic *traffic, struct settings *settings,
		  unsigned duration_s)
{
	struct watching w = {
		.lines = {.traffic = traffic, .live = true},
		.end_ms = duration_s ? now_ms() + duration_s * 1000ULL : 0,
		.log = -1,
		.signals = -1,
	};
	int err = watching_start(&w, settings), status = 0;

	if (!err)
		err = watching_run(&w);
	if (err && w.pid > 0)
		kill(w.pid, SIGTERM);
	if (w.log >= 0)
		close(w.log);
	if (w.signals >= 0)
		close(w.signals);
	free(w.lines.text);
	if (err)
		log_fatal("learn: %s", strerror(-err));
	if (w.pid > 0 && waitpid(w.pid, &status, 0) < 0)
		return EXIT_STARTUP;
	if (err || !WIFEXITED(status))
		return EXIT_STARTUP;
	return WEXITSTATUS(status);
}
