/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"
#include "host/host.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	/* The kernel lets a queue go a little after its socket was closed. */
	BUSY_TRIES = 20,
	BUSY_WAIT_MS = 3,
	CHUNK = 2048, /* bytes of a frame's room; the least that is allowed */
	QUEUES_MAX = 256
};

struct queue_hold {
	unsigned device; /* index, 0: a spare */
	uint32_t queue;
	bool last; /* the device has no other beyond */
	int fd;
};

/* In memory that forked processes share, where there are spares. */
struct xdp_holds {
	pid_t maker; /* who alone makes sockets, 0: not shared */
	size_t n;
	struct queue_hold at[QUEUES_MAX];
};

/* Memory for frames, which a socket must have before it may be bound. */
struct area {
	void *page;
	size_t size;
};

static int add(struct xdp_holds *holds, unsigned device, uint32_t queue, int fd)
{
	if (holds->n == QUEUES_MAX)
		return -E2BIG;
	holds->at[holds->n++] =
		(struct queue_hold){.device = device, .queue = queue, .fd = fd};
	return 0;
}

static struct queue_hold *held_queue(struct xdp_holds *holds, unsigned device,
				     uint32_t queue)
{
	for (size_t i = 0; i < holds->n; i++)
		if (holds->at[i].device == device &&
		    holds->at[i].queue == queue)
			return &holds->at[i];
	return NULL;
}

/* Every queue of it. */
static bool holds_device(const struct xdp_holds *holds, unsigned device)
{
	for (size_t i = 0; i < holds->n; i++)
		if (holds->at[i].device == device && holds->at[i].last)
			return true;
	return false;
}

/* A socket with all that bind(2) asks for, which will never send. */
static int make_socket(int netns, const struct area *area)
{
	const struct xdp_umem_reg memory = {
		.addr = (uint64_t)(uintptr_t)area->page,
		.len = area->size,
		.chunk_size = CHUNK,
	};
	static const int rings[] = {XDP_UMEM_FILL_RING,
				    XDP_UMEM_COMPLETION_RING, XDP_RX_RING};
	int fd = netns_socket(netns, AF_XDP, SOCK_RAW, 0), entries = 1, err;

	if (fd < 0)
		return fd;
	err = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory));
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]) && !err; i++)
		err = setsockopt(fd, SOL_XDP, rings[i], &entries,
				 sizeof(entries));
	if (err) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int area_map(struct area *area)
{
	area->size = (size_t)sysconf(_SC_PAGESIZE);
	area->page = mmap(NULL, area->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return area->page == MAP_FAILED ? -errno : 0;
}

/* The kernel keeps the page for as long as the sockets need it. */
static void area_unmap(struct area *area)
{
	munmap(area->page, area->size);
}

int xdp_new(struct xdp_holds **out, int netns, size_t spares)
{
	struct xdp_holds *holds = NULL;
	struct area area;

	if (spares) {
		holds = mmap(NULL, sizeof(*holds), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		holds = holds == MAP_FAILED ? NULL : holds;
	} else {
		holds = calloc(1, sizeof(*holds));
	}
	if (!holds)
		return -ENOMEM;
	holds->maker = spares ? getpid() : 0;
	*out = holds;
	if (!spares || area_map(&area) < 0)
		return 0;
	for (; spares > 0; spares--) {
		int fd = make_socket(netns, &area);

		if (fd < 0)
			break;
		(void)add(holds, 0, 0, fd);
	}
	area_unmap(&area);
	return 0;
}

void xdp_free(struct xdp_holds *holds)
{
	if (!holds)
		return;
	for (size_t i = 0; i < holds->n; i++)
		close(holds->at[i].fd);
	if (holds->maker)
		munmap(holds, sizeof(*holds));
	else
		free(holds);
}

/* A spare, which leaves the list, or one that is made. */
static int take_socket(struct xdp_holds *holds, int netns,
		       const struct area *area)
{
	for (size_t i = holds->n; i > 0; i--) {
		int fd = holds->at[i - 1].fd;

		if (holds->at[i - 1].device)
			continue;
		holds->at[i - 1] = holds->at[--holds->n];
		return fd;
	}
	/* One that only this process has would be lost with it. */
	if (holds->maker && holds->maker != getpid())
		return -EPERM;
	return make_socket(netns, area);
}

static int bind_patiently(int fd, unsigned device, uint32_t queue)
{
	const struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_COPY,
		.sxdp_ifindex = device,
		.sxdp_queue_id = queue,
	};
	const struct timespec wait = {.tv_nsec = BUSY_WAIT_MS * 1000000L};

	for (int i = 0; i < BUSY_TRIES; i++) {
		if (bind(fd, (const struct sockaddr *)&address,
			 sizeof(address)) == 0)
			return 0;
		if (errno != EBUSY)
			return -errno;
		nanosleep(&wait, NULL);
	}
	return -EBUSY;
}

/* -EINVAL ends the queues, -ENETDOWN the device, -ENODEV says it has gone. */
static int hold_device(struct xdp_holds *holds, int netns, unsigned device,
		       const struct area *area)
{
	int err = 0, busy = 0;
	struct queue_hold *before;

	for (uint32_t queue = 0; !err; queue++) {
		struct queue_hold *held = held_queue(holds, device, queue);
		int fd;

		if (held)
			continue;
		fd = take_socket(holds, netns, area);
		if (fd < 0)
			return fd;
		err = bind_patiently(fd, device, queue);
		if (!err)
			err = add(holds, device, queue, fd);
		before = held_queue(holds, device, queue ? queue - 1 : 0);
		if (err == -EINVAL && before && !busy)
			before->last = true;
		if (err == -EINVAL || err == -ENETDOWN) {
			/* Still good for another device. */
			if (!holds->maker || add(holds, 0, 0, fd) < 0)
				close(fd);
		} else if (err) {
			close(fd);
		}
		if (err == -EBUSY) {
			busy = err;
			err = 0;
		}
	}
	return err == -EINVAL || err == -ENETDOWN || err == -ENODEV ? busy
								    : err;
}

static void let_go_of_others(struct xdp_holds *holds,
			     const struct link *devices, size_t n)
{
	for (size_t i = holds->n; i > 0; i--) {
		struct queue_hold *held = &holds->at[i - 1];
		size_t k = 0;

		while (k < n && devices[k].index != held->device)
			k++;
		if (k < n || !held->device)
			continue;
		close(held->fd);
		*held = holds->at[--holds->n];
	}
}

/* Where that cannot be read, it has. */
static bool kernel_has_xdp(void)
{
	FILE *file = fopen("/proc/net/protocols", "re");
	char line[256];
	bool found = !file;

	while (!found && fgets(line, sizeof(line), file))
		found = strncmp(line, "XDP ", 4) == 0;
	if (file)
		(void)fclose(file);
	return found;
}

int xdp_hold(struct xdp_holds *holds, int netns, const struct link *devices,
	     size_t n)
{
	struct area area;
	int ret;

	let_go_of_others(holds, devices, n);
	ret = area_map(&area);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++) {
		int err = 0;

		if (!holds_device(holds, devices[i].index))
			err = hold_device(holds, netns, devices[i].index,
					  &area);
		ret = ret ? ret : err;
	}
	area_unmap(&area);
	/* Nobody has it, or we alone may not: a unit's RestrictAddressFamilies
	 * answers the same. */
	return ret == -EAFNOSUPPORT && !kernel_has_xdp() ? 0 : ret;
}
