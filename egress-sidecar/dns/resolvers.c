/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream.h"

#include "host/host.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RETRY_DOWN_MS = 5000 /* a resolver that is down is tried so often */
};

static void on_probed(void *arg, enum resolver_result result,
		      const uint8_t *message, size_t len)
{
	struct resolver *to = arg;

	(void)result;
	(void)message;
	(void)len;
	to->probing = false;
}

/* Ask a resolver something that any can answer: the name servers of the root,
 * or the address of the name that the operator knows of. */
static void probe(struct resolvers *r, size_t i)
{
	struct question q = {.type = TYPE_A, .class = CLASS_IN};
	uint8_t message[QUESTION_UPSTREAM_MAX];
	struct resolver_question *unused;
	const char *why;

	if (r->resolver[i].probing)
		return;
	if (domain_name_from_text(&q.name, r->settings.probe_name, &why) != 0) {
		q.name.len = 1;
		q.name.wire[0] = 0;
		q.type = TYPE_NS;
	}
	r->resolver[i].probing =
		upstream_ask(r, NULL, message, question_upstream(&q, message),
			     (int)i, on_probed, &r->resolver[i], &unused) == 0;
}

static void on_probe(uv_timer_t *timer)
{
	struct resolvers *r = timer->data;
	bool any_down = false;

	for (size_t i = 0; i < r->settings.n; i++) {
		any_down |= r->resolver[i].down;
		probe(r, i);
	}
	if (!r->traffic && !any_down)
		uv_timer_stop(timer);
	r->traffic = false;
}

/* With traffic, those that are down get their chance now and then. */
static void traffic(struct resolvers *r)
{
	uint32_t interval = r->settings.probe_interval_ms;
	uint64_t now = uv_now(r->loop);

	r->traffic = true;
	if (interval) {
		if (!uv_is_active((uv_handle_t *)&r->probe))
			uv_timer_start(&r->probe, on_probe, interval, interval);
		return;
	}
	for (size_t i = 0; i < r->settings.n; i++)
		if (r->resolver[i].down &&
		    now - r->resolver[i].tried_ms >= RETRY_DOWN_MS)
			probe(r, i);
}

int resolvers_ask(struct resolvers *resolvers, const void *asker,
		  const uint8_t *question, size_t len, resolver_done done,
		  void *arg, struct resolver_question **out)
{
	traffic(resolvers);
	return upstream_ask(resolvers, asker, question, len, -1, done, arg,
			    out);
}

static int fill_address(struct resolver *to, const struct resolver_address *a)
{
	if (a->a.family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&to->address;

		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->a.bytes, 4);
		to->address_len = sizeof(*in);
		return 0;
	}
	if (a->a.family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&to->address;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		in6->sin6_scope_id = a->scope_id;
		memcpy(&in6->sin6_addr, a->a.bytes, 16);
		to->address_len = sizeof(*in6);
		return 0;
	}
	return -EINVAL;
}

/* Find out at start-up, not at the first question, that sockets cannot be
 * marked. */
static int try_socket(const struct resolvers *r, const char **why)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = r->settings.mark
			 ? outward_socket(r->settings.mark,
					  (const struct sockaddr *)&any,
					  SOCK_DGRAM, 0)
			 : -1;

	if (!r->settings.mark)
		return 0;
	if (fd < 0) {
		*why = "a resolver socket cannot be marked (SO_MARK needs "
		       "CAP_NET_ADMIN)";
		return fd;
	}
	close(fd);
	return 0;
}

static void open_handles(struct resolvers *r)
{
	uv_timer_init(r->loop, &r->tick);
	uv_timer_init(r->loop, &r->probe);
	uv_check_init(r->loop, &r->flush);
	uv_idle_init(r->loop, &r->idle);
	r->tick.data = r->probe.data = r->flush.data = r->idle.data = r;
	r->handles = 4;
	/* Waiting for traffic alone keeps no loop running. */
	uv_unref((uv_handle_t *)&r->probe);
}

int resolvers_open(struct resolvers **out, uv_loop_t *loop,
		   const struct resolvers_settings *settings, const char **why)
{
	struct resolvers *r;
	int err;

	*why = "too many";
	if (settings->n > RESOLVERS_MAX)
		return -EINVAL;
	*why = "out of memory";
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->settings = *settings;
	r->events = &upstream_events;
	TAILQ_INIT(&r->pending);
	TAILQ_INIT(&r->unsent);
	for (size_t i = 0; i < settings->n; i++) {
		*why = "a resolver's address is of no known family";
		err = fill_address(&r->resolver[i], &settings->address[i]);
		if (err)
			goto failed;
	}
	err = try_socket(r, why);
	if (err)
		goto failed;
	open_handles(r);
	*out = r;
	return 0;
failed:
	free(r);
	return err;
}

static void on_handle_closed(uv_handle_t *handle)
{
	attempts_carrier_closed(handle->data);
}

void resolvers_close(struct resolvers *resolvers)
{
	struct resolvers *r = resolvers;

	r->closing = true;
	upstream_end_all(r);
	for (size_t i = 0; i < r->settings.n; i++) {
		upstream_udp_close(&r->resolver[i]);
		upstream_tcp_close(&r->resolver[i]);
	}
	uv_close((uv_handle_t *)&r->tick, on_handle_closed);
	uv_close((uv_handle_t *)&r->probe, on_handle_closed);
	uv_close((uv_handle_t *)&r->flush, on_handle_closed);
	uv_close((uv_handle_t *)&r->idle, on_handle_closed);
}

bool resolvers_same(const struct resolvers_settings *a,
		    const struct resolvers_settings *b)
{
	return resolver_addresses_same(a->address, a->n, b->address, b->n);
}

void resolvers_replace(struct resolvers *resolvers,
		       const struct resolvers_settings *settings)
{
	struct resolvers *r = resolvers;

	assert(settings->n <= RESOLVERS_MAX);
	if (resolvers_same(&r->settings, settings))
		return;
	upstream_start_over(r);
	for (size_t i = 0; i < r->settings.n; i++) {
		upstream_udp_close(&r->resolver[i]);
		upstream_tcp_close(&r->resolver[i]);
	}
	memset(r->resolver, 0, sizeof(r->resolver));
	memset(r->loop_token, 0, sizeof(r->loop_token));
	memcpy(r->settings.address, settings->address,
	       sizeof(r->settings.address));
	r->settings.n = settings->n;
	for (size_t i = 0; i < r->settings.n; i++)
		(void)fill_address(&r->resolver[i], &r->settings.address[i]);
}

void resolvers_counts(const struct resolvers *resolvers,
		      struct resolvers_counts *counts)
{
	*counts = resolvers->counts;
	counts->healthy = 0;
	for (size_t i = 0; i < resolvers->settings.n; i++)
		counts->healthy += !resolvers->resolver[i].down &&
				   !resolvers->resolver[i].loops;
}

bool resolvers_state(const struct resolvers *resolvers, size_t i,
		     struct resolver_state *state)
{
	const struct resolver *r = &resolvers->resolver[i];

	if (i >= resolvers->settings.n)
		return false;
	*state = (struct resolver_state){
		.address = resolvers->settings.address[i],
		.rtt_ms = r->rtt_ms,
		.down = r->down,
		.loops = r->loops,
	};
	return true;
}
