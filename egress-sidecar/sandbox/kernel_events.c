/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes up from the packet filter, and what is done for it in the
 * background: refused packets, leases that open connections use, sockets that
 * a new policy ends.
 */
#include "inner.h"

#include "life/life.h"
#include "log/log.h"

#include <errno.h>
#include <stdlib.h>

static void refused_packet(void *arg, const struct refused_packet *packet)
{
	struct sandbox *s = arg;
	const struct address *far =
		packet->inbound ? &packet->source : &packet->destination;
	const struct domain_name *name = lease_last_name(s->leases, far);

	flows_refused(s, packet);
	denials_add(&s->denials, DENIED_PACKET, NULL, now_ms() / 1000,
		    time(NULL));
	if (!packet->guess &&
	    ((name && owner_log_skips(s, name)) ||
	     (!s->journal.whole && policy_log_skips_address(s->policy, far))))
		return;
	journal_denied_packet(&s->journal, packet, name);
}

/* The bytes that the policy lets through are used up. */
static void end_spent(struct sandbox *s)
{
	revoke_soon(s);
	if (s->gate && !s->shared->settings->audit)
		gate_reset(s->gate);
}

static void on_renew(uv_timer_t *timer)
{
	struct sandbox *s = timer->data;
	/* The loop's time is the same in all of an iteration. */
	int ret = filter_renew(s->filter, s->leases, now_ms(),
			       uv_now(s->shared->loop) + 1);

	if (ret < 0 && !filter_is_applied(s->filter))
		(void)sandbox_lost(s);
	if (filter_spent(s->filter))
		end_spent(s);
	uv_timer_start(timer, on_renew,
		       ret > 0 ? (uint64_t)ret : FILTER_RENEW_MS, 0);
}

int renew_open(struct sandbox *s)
{
	s->renew = malloc(sizeof(*s->renew));
	if (!s->renew)
		return -ENOMEM;
	uv_timer_init(s->shared->loop, s->renew);
	s->renew->data = s;
	return uv_timer_start(s->renew, on_renew, FILTER_RENEW_MS, 0);
}

static void on_refused(uv_poll_t *poll, int status, int events)
{
	struct sandbox *s = poll->data;
	const char *fault;

	(void)events;
	if (status != 0)
		return;
	(void)filter_log_read(s->filter, refused_packet, s);
	(void)sandbox_lost(s);
	on_renew(s->renew);
	while ((fault = filter_fault(s->filter)))
		log_event(LOG_WARN, NULL, fault, "ssandbox_id",
			  s->place.id[0] ? s->place.id : NULL, NULL);
}

int refused_open(struct sandbox *s)
{
	int fd = filter_log_fd(s->filter);
	int err;

	if (fd < 0)
		return 0;
	s->refused = malloc(sizeof(*s->refused));
	if (!s->refused)
		return -ENOMEM;
	err = uv_poll_init(s->shared->loop, s->refused, fd);
	if (err) {
		free(s->refused);
		s->refused = NULL;
		return err;
	}
	s->refused->data = s;
	return uv_poll_start(s->refused, UV_READABLE, on_refused);
}

/* Ending what a new policy revokes. Its packets are refused already; to find
 * the sockets the kernel walks through all there are, which the answer to the
 * change need not wait for. */
static void on_revoke(uv_timer_t *timer)
{
	struct sandbox *s = timer->data;

	(void)filter_end_revoked(s->filter, s->policy, s->leases, now_ms());
}

int revoke_open(struct sandbox *s)
{
	s->revoke = malloc(sizeof(*s->revoke));
	if (!s->revoke)
		return -ENOMEM;
	uv_timer_init(s->shared->loop, s->revoke);
	s->revoke->data = s;
	return 0;
}

void revoke_soon(struct sandbox *s)
{
	uv_timer_start(s->revoke, on_revoke, 0, 0);
}
