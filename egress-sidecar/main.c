/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress-sidecar: read what is wanted, make what outlives a worker, then run
 * workers until asked to end.
 */
#include "check.h"
#include "privileges.h"
#include "service.h"
#include "supervisor.h"

#include <string.h>
#include <sys/random.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{"check", check_main},
};

/* A mark for our own resolver sockets that nobody can know: the packet filter
 * lets such packets through to the resolvers. In the sandbox's own namespace
 * only; elsewhere our sockets are nowhere near its filter. */
static int mark_draw(struct settings *settings)
{
	uint32_t mark = 0;

	if (settings->run != RUN_SIDECAR)
		return 0;
	while (mark == 0) {
		if (getrandom(&mark, sizeof(mark), 0) != sizeof(mark)) {
			log_fatal("no random numbers");
			return -1;
		}
	}
	settings->resolvers.mark = mark;
	return 0;
}

int main(int argc, char **argv)
{
	struct service_sockets sockets;
	struct settings settings;
	struct service service = {&settings, &sockets};
	const char *missing;
	int status;

	for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++)
		if (argc > 1 && strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);

	status = settings_read(&settings, argc, argv);
	if (status)
		return status > 0 ? EXIT_OK : EXIT_USAGE;
	missing = privileges_missing(&settings);
	if (missing) {
		log_fatal("%s is missing", missing);
		settings_free(&settings);
		return EXIT_STARTUP;
	}
	if (mark_draw(&settings) || service_sockets_open(&sockets, &settings)) {
		settings_free(&settings);
		return EXIT_STARTUP;
	}
	status = supervisor_run(service_run, &service);
	service_sockets_close(&sockets);
	settings_free(&settings);
	return status;
}
