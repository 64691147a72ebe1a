/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners, and the table of connections. All sockets are in one epoll(7) of
 * the gate's own, which the event loop polls: a connection costs two calls of
 * epoll_ctl(2) in its life and no handle.
 */
#include "gate.h"

#include "connection.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	EVENTS = 64,
	TURNS = 4,    /* before what is over is closed */
	ACCEPTS = 64, /* before connections have their turn */
	DEAF_MS = 100,
	FDS_EACH = 4, /* two sockets, and a pipe in each direction */
	FDS_SURE = 1 << 20
};

const char *gate_reason_text(enum gate_reason reason)
{
	static const char *const text[GATE_REASONS] = {
		[GATE_MISMATCH] = "sni_mismatch",
		[GATE_NO_NAME] = "no_name",
		[GATE_MALFORMED] = "malformed",
	};

	return text[reason];
}

void gate_counts(const struct gate *gate, struct gate_counts *counts)
{
	*counts = gate->counts;
}

/* As many descriptors as the process may have; an eighth is left to others.
 * Whoever draws on a pool alone gets half of it. */
void gate_pools_init(struct gate_pools *pools, bool many)
{
	size_t times = many ? 1 : 2;
	struct rlimit limit = {1024, 1024};
	rlim_t n;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		n = limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = n;
	}
	n = limit.rlim_cur < FDS_SURE ? limit.rlim_cur : FDS_SURE;
	n -= n / 8;
	*pools = (struct gate_pools){
		.connections.size = times * n / FDS_EACH,
		.bytes.size = 2 * times * GATE_BUFFERS_MAX,
		.fd_max = (int)n,
	};
}

/* What a gate alone could have is half of the pool. */
static void draw_on(struct gate *gate, struct gate_pools *pools)
{
	size_t half = pools->connections.size / 4;

	gate->connections.pool = &pools->connections;
	gate->buffered.pool = &pools->bytes;
	gate->waiting_max = half < GATE_WAITING_MAX ? half : GATE_WAITING_MAX;
}

/* Its place in the settings is what epoll says of it. */
static int listener_watch(struct gate *gate, int *fd, int how)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

	if (*fd < 0 || epoll_ctl(gate->epoll, how, *fd, &event) == 0)
		return 0;
	return errno == EEXIST ? 0 : -errno;
}

static int listeners_watch(struct gate *gate, int how)
{
	int err = listener_watch(gate, &gate->settings.tcp4, how);

	return err ? err : listener_watch(gate, &gate->settings.tcp6, how);
}

static int address_from_socket(struct address *a,
			       const struct sockaddr_storage *s)
{
	const struct sockaddr_in6 *v6 = (const void *)s;
	const struct sockaddr_in *v4 = (const void *)s;

	if (s->ss_family == AF_INET6)
		return address_from_bytes(a, &v6->sin6_addr, 16);
	return address_from_bytes(a, &v4->sin_addr, 4);
}

/* Where the client wished to go, as conntrack knows. -EINVAL: to us. */
static int original_destination(const struct gate *gate, int fd, int family,
				struct address *a, uint16_t *port)
{
	struct sockaddr_storage to = {0};
	socklen_t len = sizeof(to);
	int err;

	if (family == AF_INET6)
		err = getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, &to, &len);
	else
		err = getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &to, &len);
	if (err < 0)
		return -errno;
	err = address_from_socket(a, &to);
	if (err)
		return err;
	/* Both families have the port in the same place. */
	*port = ntohs(((struct sockaddr_in *)&to)->sin_port);
	switch (address_kind(a)) {
	case ADDRESS_LOOPBACK:
	case ADDRESS_UNSPECIFIED:
	case ADDRESS_MULTICAST:
		return -EINVAL;
	default:
		return *port == 0 || *port == gate->settings.port ? -EINVAL : 0;
	}
}

static bool take_room(struct gate *gate)
{
	return gate->counts.open < GATE_CONNECTIONS_MAX &&
	       gate->n_waiting < gate->waiting_max &&
	       share_take(&gate->connections, 1);
}

/* Make room for one more. Those that owe a name go, the oldest first. */
static bool room(struct gate *gate, int fd)
{
	struct connection *oldest = TAILQ_FIRST(&gate->waiting);

	if (fd >= gate->settings.pools->fd_max)
		return false;
	if (take_room(gate))
		return true;
	if (!oldest)
		return false;
	gate->counts.dropped++;
	connection_reset(oldest);
	return take_room(gate);
}

static void take(struct gate *gate, int fd, const struct sockaddr_storage *peer)
{
	struct address source, address;
	struct side client = {.fd = fd};
	uint16_t port = 0;

	gate->counts.accepted++;
	if (address_from_socket(&source, peer) ||
	    original_destination(gate, fd, peer->ss_family, &address, &port) ||
	    !room(gate, fd)) {
		gate->counts.dropped++;
		side_reset(&client);
		return;
	}
	connection_open(gate, fd, &source, &address, port);
}

/* Not for want of descriptors or memory: the next may do. */
static bool passing(int err)
{
	return err != EMFILE && err != ENFILE && err != ENOBUFS &&
	       err != ENOMEM;
}

/* Somebody has ended the listener (SOCK_DESTROY), which leaves it its address,
 * and its port unless the kernel chose that. What it would accept would be at
 * its end as well, until it is dissolved (connect(2)). 0 or -errno. */
static int listen_again(int listener)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage self;
	socklen_t len = sizeof(self);

	if (getsockname(listener, (struct sockaddr *)&self, &len) < 0 ||
	    connect(listener, &nobody, sizeof(nobody)) < 0 ||
	    (bind(listener, (struct sockaddr *)&self, len) < 0 &&
	     errno != EINVAL) ||
	    listen(listener, SOMAXCONN) < 0)
		return -errno;
	return 0;
}

/* After accept4(2) failed. Can it go on? */
static bool listener_mend(int listener, int err)
{
	return err == EINVAL ? listen_again(listener) == 0 : passing(err);
}

static void listener_ready(struct gate *gate, int listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t len = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take(gate, fd, &peer);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (!listener_mend(listener, errno)) {
			(void)listeners_watch(gate, EPOLL_CTL_DEL);
			gate->deaf = true;
			return;
		}
	}
}

static uint64_t first_end(const struct connections *queue, uint64_t than)
{
	const struct connection *c = TAILQ_FIRST(queue);

	return c && c->until_ms < than ? c->until_ms : than;
}

static void on_timer(uv_timer_t *timer);

/* After anything happened: what nobody waits for. */
static void settle(struct gate *gate)
{
	uint64_t now = uv_now(gate->loop), end = UINT64_MAX, left;
	struct connection *c;

	while ((c = TAILQ_FIRST(&gate->over))) {
		TAILQ_REMOVE(&gate->over, c, in_queue);
		connection_free(c);
	}
	ways_keep(gate);
	if (gate->deaf)
		end = now + DEAF_MS;
	end = first_end(&gate->waiting, end);
	end = first_end(&gate->connecting, end);
	left = end > now ? end - now : 0;
	if (end != UINT64_MAX && (!uv_is_active((uv_handle_t *)&gate->timer) ||
				  left < uv_timer_get_due_in(&gate->timer)))
		uv_timer_start(&gate->timer, on_timer, left, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct gate *gate = timer->data;
	uint64_t now = uv_now(gate->loop);
	struct connection *c;

	if (gate->deaf) {
		gate->deaf = false;
		if (listeners_watch(gate, EPOLL_CTL_ADD))
			gate->deaf = true;
	}
	while ((c = TAILQ_FIRST(&gate->waiting)) && c->until_ms <= now)
		connection_late(c);
	while ((c = TAILQ_FIRST(&gate->connecting)) && c->until_ms <= now)
		connection_late(c);
	settle(gate);
}

/* What there is to be done now. Was there? */
static bool take_turn(struct gate *gate)
{
	struct epoll_event event[EVENTS];
	int n = epoll_wait(gate->epoll, event, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		void *data = event[i].data.ptr;

		if (data == &gate->settings.tcp4 ||
		    data == &gate->settings.tcp6)
			listener_ready(gate, *(int *)data);
		else
			connection_event(data, event[i].events);
	}
	return n > 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct gate *gate = poll->data;

	(void)status;
	(void)events;
	gate->yielded = false;
	for (int turn = 0; turn < TURNS && !gate->yielded; turn++) {
		if (!take_turn(gate))
			break;
	}
	settle(gate);
}

void gate_policy_changed(struct gate *gate)
{
	struct connection *c, *next;

	for (c = TAILQ_FIRST(&gate->all); c && !gate->settings.audit;
	     c = next) {
		next = TAILQ_NEXT(c, in_all);
		if (!connection_allowed(c))
			connection_reset(c);
	}
	settle(gate);
}

void gate_reset(struct gate *gate)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&gate->all)))
		connection_reset(c);
	settle(gate);
}

static int listeners_prepare(const struct gate_settings *settings)
{
	int err = settings->tcp4 < 0 ? 0 : side_keep(settings->tcp4);

	return err || settings->tcp6 < 0 ? err : side_keep(settings->tcp6);
}

static int gate_begin(struct gate *gate)
{
	int err;

	gate->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (gate->epoll < 0)
		return -errno;
	err = pipes_open(&gate->pipes);
	if (!err)
		err = listeners_prepare(&gate->settings);
	if (!err)
		err = listeners_watch(gate, EPOLL_CTL_ADD);
	if (!err)
		err = uv_poll_init(gate->loop, &gate->poll, gate->epoll);
	if (err) {
		close(gate->epoll);
		pipes_close(gate->pipes);
	}
	return err;
}

int gate_open(struct gate **out, uv_loop_t *loop,
	      const struct gate_settings *settings,
	      const struct gate_owner *owner)
{
	struct gate *gate = calloc(1, sizeof(*gate));
	int err;

	if (!gate)
		return -ENOMEM;
	gate->loop = loop;
	gate->settings = *settings;
	gate->owner = *owner;
	TAILQ_INIT(&gate->all);
	TAILQ_INIT(&gate->waiting);
	TAILQ_INIT(&gate->connecting);
	TAILQ_INIT(&gate->over);
	draw_on(gate, settings->pools);
	err = gate_begin(gate);
	if (err) {
		free(gate);
		return err;
	}
	uv_timer_init(loop, &gate->timer);
	gate->poll.data = gate->timer.data = gate;
	gate->handles = 2;
	uv_poll_start(&gate->poll, UV_READABLE, on_poll);
	*out = gate;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct gate *gate = handle->data;

	if (--gate->handles == 0)
		free(gate);
}

void gate_close(struct gate *gate)
{
	if (!gate)
		return;
	gate_reset(gate);
	uv_close((uv_handle_t *)&gate->timer, on_closed);
	uv_close((uv_handle_t *)&gate->poll, on_closed);
	close(gate->epoll);
	ways_close(gate);
	pipes_close(gate->pipes);
}
