/* SPDX-License-Identifier: Apache-2.0 */
/* What the DNS front asks of its owner. */
#include "inner.h"

#include "life/life.h"
#include "outlets/outlets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PENDING_MIN = 64,
	SWEEP_MS = 60 * 1000
};

const uint32_t sandbox_query_bound_us[11] = {
	1000,   5000,   10000,   25000,   50000,   100000,
	250000, 500000, 1000000, 2500000, 5000000,
};

static const struct policy *on_policy(void *arg)
{
	const struct sandbox *s = arg;

	return s->policy;
}

static int pending_add(struct sandbox *s, const struct lease_element *element,
		       const struct admitted_ports *ports)
{
	struct pending_lease *p;

	if (s->n_pending == s->pending_size) {
		size_t size = s->pending_size ? s->pending_size * 2
					      : (size_t)PENDING_MIN;

		p = reallocarray(s->pending, size, sizeof(*p));
		if (!p)
			return -ENOMEM;
		s->pending = p;
		s->pending_size = size;
	}
	p = &s->pending[s->n_pending++];
	p->element = *element;
	p->name.len = element->name->len;
	memcpy(p->name.wire, element->name->wire, p->name.len);
	if (ports)
		p->ports = *ports;
	return 0;
}

static int on_admit(void *arg, const struct domain_name *name,
		    const struct address *a, const struct admitted_ports *ports,
		    uint32_t *ttl_s)
{
	struct sandbox *s = arg;
	struct lease_element element, evicted;
	struct admitted_ports evicted_ports;
	int rc;

	if (!s->filter)
		return 0;
	rc = lease_admit(s->leases, name, a, ports, ttl_s, now_ms(), &element);
	/* One that is not told of ends in the kernel by itself. */
	while (lease_next_evicted(s->leases, &evicted, &evicted_ports))
		(void)pending_add(s, &evicted, evicted.ports);
	return rc == 1 ? pending_add(s, &element, ports) : rc;
}

static bool on_leased(void *arg, const struct domain_name *name,
		      const struct address *a)
{
	const struct sandbox *s = arg;

	return lease_is_live(s->leases, name, a, now_ms());
}

static int on_commit(void *arg)
{
	struct sandbox *s = arg;
	struct lease_element *batch;
	uint64_t now = now_ms();
	size_t n = s->n_pending;
	int err;

	if (n == 0)
		return 0;
	s->n_pending = 0;
	batch = reallocarray(NULL, n, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		batch[i] = s->pending[i].element;
		batch[i].name = &s->pending[i].name;
		if (batch[i].ports)
			batch[i].ports = &s->pending[i].ports;
	}
	err = filter_admit(s->filter, batch, n);
	for (size_t i = 0; i < n && !err; i++)
		if (batch[i].timeout_s > 0)
			lease_confirm(s->leases, &batch[i], now);
	free(batch);
	if (err && !filter_is_applied(s->filter))
		(void)sandbox_lost(s);
	if (err)
		journal_kernel_failure(&s->journal, err);
	else if (now - s->swept_ms > SWEEP_MS && !s->shared->settings->audit) {
		lease_table_sweep(s->leases, s->policy,
				  s->shared->settings->private_ok, now);
		s->swept_ms = now;
	}
	return err;
}

/* Is the log silenced for the name? Whoever learns wants all of it. */
bool owner_log_skips(const struct sandbox *s, const struct domain_name *name)
{
	return !s->journal.whole && policy_log_skips(s->policy, name);
}

/* In audit a client is told refused addresses too: what it then sends there
 * is logged with the name. They count as leases that have ended. */
static void remember(struct sandbox *s, const struct domain_name *name,
		     const struct address *refused, size_t n)
{
	uint64_t now = now_ms();

	for (size_t i = 0; i < n; i++)
		(void)lease_restore(s->leases, name, &refused[i], now, now);
}

static void on_denied(void *arg, const struct domain_name *name, uint16_t type,
		      const struct decision *decision,
		      const struct sockaddr *peer)
{
	struct sandbox *s = arg;
	char text[DOMAIN_NAME_TEXT_MAX];

	(void)type;
	denials_add(&s->denials, DENIED_NAME, name, now_ms() / 1000,
		    time(NULL));
	if (s->shared->webhook)
		webhook_send(s->shared->webhook,
			     domain_name_to_text(name, text), s->place.id,
			     false);
	if (!owner_log_skips(s, name))
		journal_denied_name(&s->journal, name, decision, peer);
}

static void on_limited(void *arg, const struct domain_name *name,
		       const struct sockaddr *peer)
{
	struct sandbox *s = arg;

	if (!name || !owner_log_skips(s, name))
		journal_limited_question(&s->journal, name, peer);
}

static void on_held(void *arg, const struct domain_name *name,
		    const struct sockaddr *peer)
{
	struct sandbox *s = arg;
	char text[DOMAIN_NAME_TEXT_MAX];

	if (s->shared->webhook)
		webhook_send(s->shared->webhook,
			     domain_name_to_text(name, text), s->place.id,
			     true);
	if (!owner_log_skips(s, name))
		journal_held_name(&s->journal, name, s->shared->settings->ask_s,
				  peer);
}

static void on_answered(void *arg, const struct domain_name *name,
			uint16_t type, const struct address *admitted,
			size_t n_admitted, const struct address *refused,
			size_t n_refused, const char *error,
			uint64_t elapsed_us, const struct sockaddr *peer)
{
	struct sandbox *s = arg;
	size_t i = 0;

	(void)type;
	while (i < 11 && elapsed_us > sandbox_query_bound_us[i])
		i++;
	s->counts.query_us_bucket[i]++;
	s->counts.query_us_sum += elapsed_us;
	if (s->shared->settings->audit)
		remember(s, name, refused, n_refused);
	if (!owner_log_skips(s, name))
		journal_answered(&s->journal, name, admitted, n_admitted,
				 refused, n_refused, error, peer);
}

void owner_fill(struct front_owner *owner, struct sandbox *s)
{
	*owner = (struct front_owner){
		.arg = s,
		.policy = on_policy,
		.private_ok = s->shared->settings->private_ok,
		.admit = on_admit,
		.leased = on_leased,
		.commit = on_commit,
		.denied = on_denied,
		.limited = on_limited,
		.held = on_held,
		.answered = on_answered,
	};
}
