/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "confine/confine.h"
#include "life/life.h"

#include <cap-ng.h>

const char *privileges_missing(const struct settings *settings)
{
	if (capng_get_caps_process() < 0 ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return "CAP_NET_ADMIN";
	if (settings->run != RUN_SIDECAR &&
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN))
		return "CAP_SYS_ADMIN";
	return NULL;
}

int privileges_drop(const struct settings *settings)
{
	bool agent = settings->run == RUN_AGENT;
	bool gate = settings->run == RUN_JOIN && settings->gate;
	bool file = settings->policy_file[0] != '\0';
	const struct {
		unsigned capability;
		bool wanted;
	} rows[] = {
		{CAP_NET_ADMIN, true},
		{CAP_SYS_ADMIN, agent || gate},
		{CAP_SYS_PTRACE, agent},
		{CAP_NET_RAW, agent},
		{CAP_DAC_OVERRIDE, agent || file},
		{CAP_CHOWN, file},
	};
	unsigned kept[sizeof(rows) / sizeof(*rows)];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].wanted)
			kept[n++] = rows[i].capability;
	return confine(kept, n, NULL);
}
