/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 5000,
	GROWN_UP_S = 10, /* a worker that lived longer is restarted at once */
};

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static time_t seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* In the worker. It ends with its supervisor, since whoever starts the program
 * again needs what it holds: sockets, queues, files. */
static void be_worker(pid_t supervisor, const sigset_t *usual)
{
	sigprocmask(SIG_SETMASK, usual, NULL);
	prctl(PR_SET_NAME, "egress-worker");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		exit(EXIT_OK);
}

/* Fork a worker; its end of the pipe is ready[1]. Its pid, or -errno. */
static pid_t worker_start(int (*work)(void *arg, int ready), void *arg,
			  int ready[2], const sigset_t *usual)
{
	pid_t supervisor = getpid(), pid;
	int status;

	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		be_worker(supervisor, usual);
		status = work(arg, ready[1]);
		exit(status);
	}
	if (pid < 0) {
		pid = -errno;
		close(ready[0]);
	}
	close(ready[1]);
	return pid;
}

/*
 * Wait for the worker's end, passing signals on. *stopping is set once it was
 * asked to end; wait_status is waitpid's.
 */
static void worker_watch(pid_t pid, const sigset_t *set, bool *stopping,
			 int *wait_status)
{
	int sig;

	for (;;) {
		sig = sigwaitinfo(set, NULL);
		if (sig == SIGCHLD) {
			if (waitpid(pid, wait_status, WNOHANG) == pid)
				return;
		} else if (sig > 0) {
			*stopping |= sig != SIGHUP;
			kill(pid, sig);
		}
	}
}

/* Sleep before the next worker; true when asked to end meanwhile. */
static bool backoff(const sigset_t *set, unsigned ms)
{
	const struct timespec t = {
		.tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};
	int sig = sigtimedwait(set, NULL, &t);

	return sig == SIGTERM || sig == SIGINT;
}

int supervisor_run(int (*work)(void *arg, int ready), void *arg)
{
	unsigned delay_ms = 0;
	bool stopping = false, was_ready = false;
	sigset_t set, usual;
	int ready[2], status;
	time_t started;
	pid_t pid;
	char byte;

	signal_set(&set);
	sigprocmask(SIG_BLOCK, &set, &usual);
	for (;;) {
		started = seconds_now();
		pid = worker_start(work, arg, ready, &usual);
		if (pid < 0) {
			log_fatal("cannot start the worker: %s",
				  strerror(-pid));
			return EXIT_STARTUP;
		}
		worker_watch(pid, &set, &stopping, &status);
		was_ready |= read(ready[0], &byte, 1) == 1;
		close(ready[0]);
		if (WIFEXITED(status) && (stopping || !was_ready))
			return WEXITSTATUS(status);
		if (stopping)
			return EXIT_OK;
		if (!was_ready) {
			log_fatal("the worker died at start, signal %d",
				  WTERMSIG(status));
			return EXIT_STARTUP;
		}
		log_event(
			LOG_ERROR, NULL,
			"worker died; rules stay, starting another", "isignal",
			WIFSIGNALED(status) ? (long long)WTERMSIG(status) : 0LL,
			"istatus",
			WIFEXITED(status) ? (long long)WEXITSTATUS(status)
					  : 0LL,
			NULL);
		if (seconds_now() - started >= GROWN_UP_S)
			delay_ms = 0;
		if (delay_ms > 0 && backoff(&set, delay_ms))
			return EXIT_OK;
		delay_ms = delay_ms ? delay_ms * 2 : BACKOFF_MIN_MS;
		if (delay_ms > BACKOFF_MAX_MS)
			delay_ms = BACKOFF_MAX_MS;
	}
}
