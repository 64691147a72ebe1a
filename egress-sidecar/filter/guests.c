/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"
#include "host/host.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	UPLINKS_MAX = 16
};

struct wish {
	const struct links *links;
	char uplink[UPLINKS_MAX][IF_NAMESIZE];
	size_t n_uplinks;
};

static int allow(const char *device)
{
	char path[64 + IF_NAMESIZE];

	snprintf(path, sizeof(path),
		 "/proc/sys/net/ipv4/conf/%s/route_localnet", device);
	return sysctl_set(path);
}

/* "eth0\t00000000\t..." is a default route. */
static void read_uplinks(struct wish *wish)
{
	FILE *file = fopen("/proc/thread-self/net/route", "re");
	char line[256], name[IF_NAMESIZE];
	unsigned destination;

	while (file && wish->n_uplinks < UPLINKS_MAX &&
	       fgets(line, sizeof(line), file))
		if (sscanf(line, "%15s %x", name, &destination) == 2 &&
		    destination == 0)
			memcpy(wish->uplink[wish->n_uplinks++], name,
			       sizeof(name));
	if (file)
		(void)fclose(file);
}

static bool is_uplink(const struct wish *wish, const char *name)
{
	for (size_t i = 0; i < wish->n_uplinks; i++)
		if (strcmp(wish->uplink[i], name) == 0)
			return true;
	return false;
}

static int work(void *arg)
{
	struct wish *wish = arg;
	int ret = 0;

	if (!sysctl_is_set("/proc/sys/net/ipv4/ip_forward"))
		return 0;
	read_uplinks(wish);
	for (size_t i = 0; i < wish->links->n_devices; i++) {
		const char *name = wish->links->at[i].name;
		int err = is_uplink(wish, name) ? 0 : allow(name);

		ret = ret ? ret : err;
	}
	return ret;
}

int guests_allow(int netns, const struct links *links)
{
	struct wish wish = {.links = links};

	return netns_run(netns, work, &wish);
}
