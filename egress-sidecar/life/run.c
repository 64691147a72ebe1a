/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <signal.h>
#include <sys/random.h>

/* A mark for our own sockets in the sandbox's namespace that nobody can know:
 * the packet filter lets them through, to the resolvers and from the gate on.
 * In join and agent mode the gate's alone are near its filter. */
static int mark_draw(struct settings *settings)
{
	uint32_t mark = 0;

	if (settings->run != RUN_SIDECAR && !settings->gate)
		return 0;
	while (mark == 0) {
		if (getrandom(&mark, sizeof(mark), 0) != sizeof(mark)) {
			log_fatal("no random numbers");
			return -1;
		}
	}
	settings->gate_mark = mark;
	if (settings->run == RUN_SIDECAR)
		settings->resolvers.mark = mark;
	return 0;
}

/* Until the worker has its handlers, SIGHUP waits instead of ending anybody;
 * so does the end of one who is to release the namespace. */
static void signals_hold(const struct settings *settings)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	if (settings->learn) {
		sigaddset(&set, SIGTERM);
		sigaddset(&set, SIGINT);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int run_until_stopped(struct settings *settings)
{
	struct service_sockets sockets;
	struct service service = {settings, &sockets};
	const char *missing = privileges_missing(settings);
	int status;

	signals_hold(settings);
	if (missing) {
		log_fatal("%s is missing", missing);
		return EXIT_STARTUP;
	}
	if (mark_draw(settings) || service_sockets_open(&sockets, settings))
		return EXIT_STARTUP;
	status = supervisor_run(service_run, &service);
	service_sockets_close(&sockets);
	return status;
}
