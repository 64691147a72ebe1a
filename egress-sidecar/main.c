/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress-sidecar: a subcommand, or read what is wanted and guard it until
 * asked to end.
 */
#include "agent/agent.h"
#include "check/check.h"
#include "cli/cli.h"
#include "learn/learn.h"
#include "life/life.h"

#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{"status", status_main},       {"top", top_main},
	{"policy", policy_main},       {"check", check_main},
	{"learn", learn_main},         {"cni", cni_main},
	{"cni-entry", cni_entry_main}, {"hook", hook_main},
};

int main(int argc, char **argv)
{
	struct settings settings;
	int status;

	for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++)
		if (argc > 1 && strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);

	status = settings_read(&settings, argc, argv);
	if (status)
		return status > 0 ? EXIT_OK : EXIT_USAGE;
	status = run_until_stopped(&settings);
	settings_free(&settings);
	return status;
}
