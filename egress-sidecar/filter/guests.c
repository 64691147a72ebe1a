/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	UPLINKS_MAX = 16
};

struct wish {
	const struct links *links;
	char uplink[UPLINKS_MAX][IF_NAMESIZE];
	size_t n_uplinks;
};

static bool is_set(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char value = '0';
	bool set = fd >= 0 && read(fd, &value, 1) == 1 && value != '0';

	if (fd >= 0)
		close(fd);
	return set;
}

static int allow(const char *device)
{
	char path[64 + IF_NAMESIZE];
	int fd, err;

	snprintf(path, sizeof(path),
		 "/proc/sys/net/ipv4/conf/%s/route_localnet", device);
	if (is_set(path))
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, "1", 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
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

	if (!is_set("/proc/sys/net/ipv4/ip_forward"))
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
