/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the packet filter cannot judge about the namespace's devices, and what
 * is done about it: the queues of AF_XDP are held, the rest is told of.
 */
#include "inner.h"

#include <errno.h>
#include <string.h>

#define XDP_NOT_HELD                                                         \
	"AF_XDP cannot be kept from the sandbox (it takes CAP_NET_RAW, "     \
	"RLIMIT_MEMLOCK, and a unit that permits AF_XDP): with CAP_NET_RAW " \
	"it can send frames past the policy"
#define XDP_NOT_ALL                                                            \
	"AF_XDP: a device that came later has more queues than are held: "     \
	"with CAP_NET_RAW the sandbox can send frames past the policy; start " \
	"the sidecar again, or give the device fewer queues"
#define XDP_BUSY                                                         \
	"AF_XDP: a socket that is not ours is bound to a device of the " \
	"sandbox's: its frames pass by the policy"

#define BYPASSED                                                             \
	"tc redirects a device's frames past the packet filter (mirred, as " \
	"virtual machines have it): they cannot be judged, and what the "    \
	"egress hook sees of them is dropped; give the machine a routed tap"

#define GUESTS                                                                 \
	"DNS of machines behind a routed tap is not answered: route_localnet " \
	"cannot be set for their device (/proc/sys)"

/* Hold the queues of AF_XDP. What that does not do is said once. */
static int open_xdp(struct filter *filter, const struct links *links)
{
	const struct filter_settings *s = &filter->settings;
	int ret;

	if (s->dns_only || s->audit)
		return 0;
	if (s->without & FILTER_XDP) {
		probe_miss(filter, XDP_NOT_HELD);
		return 0;
	}
	filter->xdp = s->xdp;
	if (!filter->xdp) {
		ret = xdp_new(&filter->own_xdp, s->netns, 0);
		if (ret < 0)
			return ret;
		filter->xdp = filter->own_xdp;
	}
	ret = xdp_hold(filter->xdp, s->netns, links->at, links->n_devices);
	if (ret == -EBUSY)
		probe_miss(filter, XDP_BUSY);
	else if (ret < 0)
		probe_miss(filter, XDP_NOT_HELD);
	return 0;
}

static void add_fault(struct filter *filter, const char *line)
{
	size_t i = 0;

	while (i < FAULTS_MAX && filter->faults[i] && filter->faults[i] != line)
		i++;
	if (i < FAULTS_MAX)
		filter->faults[i] = line;
}

const char *filter_fault(struct filter *filter)
{
	const char *fault = filter->faults[0];

	memmove(&filter->faults[0], &filter->faults[1],
		FAULTS_MAX * sizeof(filter->faults[0]));
	return fault;
}

/* What it says is for filter_fault(). */
static void follow_xdp(struct filter *filter, const struct links *links)
{
	int ret = xdp_hold(filter->xdp, filter->settings.netns, links->at,
			   links->n_devices);

	if (ret == -EBUSY)
		add_fault(filter, XDP_BUSY);
	else if (ret == -EPERM || ret == -E2BIG)
		add_fault(filter, XDP_NOT_ALL);
	else if (ret < 0)
		add_fault(filter, XDP_NOT_HELD);
}

/* Said once, until it is over. */
static void follow_bypass(struct filter *filter, const struct links *links)
{
	bool bypassed = bypass_redirected(&filter->route, links) != NULL;

	if (bypassed && !filter->bypassed)
		add_fault(filter, BYPASSED);
	filter->bypassed = bypassed;
}

/* Is there anything to be redirected? */
static bool has_guests(const struct filter *filter)
{
	return filter->has_fib && !filter->settings.dns_only;
}

int devices_open(struct filter *filter)
{
	struct links links;
	int ret = links_read(&links, &filter->route);

	if (ret < 0)
		return ret;
	ret = open_xdp(filter, &links);
	filter->bypassed = bypass_redirected(&filter->route, &links) != NULL;
	if (filter->bypassed)
		probe_miss(filter, BYPASSED);
	if (has_guests(filter) &&
	    guests_allow(filter->settings.netns, &links) < 0)
		probe_miss(filter, GUESTS);
	links_free(&links);
	return ret;
}

void devices_follow(struct filter *filter, const struct links *links)
{
	if (filter->xdp)
		follow_xdp(filter, links);
	follow_bypass(filter, links);
	/* Who has dropped its privileges cannot enter again. */
	if (has_guests(filter))
		(void)guests_allow(filter->settings.netns, links);
}
