/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include "host/listeners.h"
#include "host/policy_file.h"
#include "journal.h"
#include "life/settings.h"
#include "outlets/webhook.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	PENDING_MIN = 64,
	SWEEP_MS = 60 * 1000,
	MEND_MS = 1000,
	MESSAGE_SIZE = 256,
};

const uint32_t sandbox_query_bound_us[11] = {
	1000,   5000,   10000,   25000,   50000,   100000,
	250000, 500000, 1000000, 2500000, 5000000,
};

/* An address on its way into the kernel, with room for what it points to. */
struct pending {
	struct lease_element element;
	struct admitted_ports ports;
	struct domain_name name;
};

struct sandbox {
	const struct sandbox_shared *shared;
	const struct always_rules *always;
	struct sandbox_place place;
	struct policy *policy;
	struct lease_table *leases;
	struct filter *filter;
	struct front *front;
	struct resolvers *own_resolvers; /* NULL: the process's */
	struct journal journal;
	uv_poll_t *refused; /* packets that the kernel refused */
	uv_timer_t *revoke; /* due when a new policy was answered */
	uv_timer_t *renew;  /* of leases that open connections use */
	struct pending *pending;
	size_t n_pending, pending_size;
	uint64_t swept_ms;
	uv_timer_t *mender; /* active while the kernel is not as it should be */
	bool lost;          /* it was told in the log that it is not */
	uint64_t mended_ms, mending_ms; /* when it last was, and how long that
					   took */
	struct sandbox_counts counts;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int __attribute__((format(printf, 3, 4)))
fail(char *message, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message, MESSAGE_SIZE, format, args);
	va_end(args);
	return err;
}

/* Mending */

static void mended(struct sandbox *s)
{
	uv_timer_stop(s->mender);
	if (!s->lost)
		return;
	s->lost = false;
	journal_restored(&s->journal);
	/* What was opened meanwhile ends here. */
	(void)filter_end_revoked(s->filter, s->policy, s->leases, now_ms());
}

static void on_mend(uv_timer_t *timer)
{
	struct sandbox *s = timer->data;
	uint64_t begun = now_ms();
	int err = filter_apply(s->filter, s->policy, s->leases, begun);

	if (err)
		journal_kernel_failure(&s->journal, err);
	else
		mended(s);
	s->mended_ms = now_ms();
	s->mending_ms = s->mended_ms - begun;
}

/* Apply the policy again, and go on trying. At once, unless it was only just
 * done: whoever takes the rules away again and again gets half of our time. */
static void mend(struct sandbox *s)
{
	uint64_t since = now_ms() - s->mended_ms, wait = 0;

	if (!s->mender || uv_is_active((uv_handle_t *)s->mender))
		return;
	if (since < s->mending_ms)
		wait = s->mending_ms - since;
	uv_update_time(s->shared->loop);
	uv_timer_start(s->mender, on_mend, wait, MEND_MS);
}

const char *sandbox_lost(struct sandbox *s)
{
	const char *what = filter_lost(s->filter);

	if (!what)
		return NULL;
	if (!s->lost)
		journal_lost(&s->journal, what);
	s->lost = true;
	mend(s);
	return what;
}

static int mender_open(struct sandbox *s)
{
	s->mender = malloc(sizeof(*s->mender));
	if (!s->mender)
		return -ENOMEM;
	uv_timer_init(s->shared->loop, s->mender);
	s->mender->data = s;
	return 0;
}

/* What the DNS front asks of its owner */

static const struct policy *on_policy(void *arg)
{
	const struct sandbox *s = arg;

	return s->policy;
}

static int pending_add(struct sandbox *s, const struct lease_element *element,
		       const struct admitted_ports *ports)
{
	struct pending *p;

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

static int on_learn(void *arg, const struct domain_name *name,
		    const struct address *a, const struct admitted_ports *ports,
		    uint32_t *ttl_s)
{
	struct sandbox *s = arg;
	struct lease_element element, evicted;
	struct admitted_ports evicted_ports;
	int rc;

	if (!s->filter)
		return 0;
	rc = lease_learn(s->leases, name, a, ports, ttl_s, now_ms(), &element);
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
	err = filter_learn(s->filter, batch, n);
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
static bool log_skips(const struct sandbox *s, const struct domain_name *name)
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
	if (s->shared->webhook)
		webhook_send(s->shared->webhook,
			     domain_name_to_text(name, text), s->place.id);
	if (!log_skips(s, name))
		journal_denied_name(&s->journal, name, decision, peer);
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
	if (!log_skips(s, name))
		journal_answered(&s->journal, name, admitted, n_admitted,
				 refused, n_refused, error, peer);
}

/* Refused packets */

static void refused_packet(void *arg, const struct refused_packet *packet)
{
	struct sandbox *s = arg;
	const struct address *far =
		packet->inbound ? &packet->source : &packet->destination;
	const struct domain_name *name = lease_last_name(s->leases, far);

	if ((name && log_skips(s, name)) ||
	    (!s->journal.whole && policy_log_skips_address(s->policy, far)))
		return;
	journal_denied_packet(&s->journal, packet, name);
}

/* Leases that open connections use */

static void on_renew(uv_timer_t *timer)
{
	struct sandbox *s = timer->data;
	int ret = filter_renew(s->filter, s->leases, now_ms());

	if (ret < 0 && !filter_is_applied(s->filter))
		(void)sandbox_lost(s);
	uv_timer_start(timer, on_renew, ret > 0 ? 1 : FILTER_RENEW_MS, 0);
}

static int renew_open(struct sandbox *s)
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

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static int refused_open(struct sandbox *s)
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

static int revoke_open(struct sandbox *s)
{
	s->revoke = malloc(sizeof(*s->revoke));
	if (!s->revoke)
		return -ENOMEM;
	uv_timer_init(s->shared->loop, s->revoke);
	s->revoke->data = s;
	return 0;
}

/* Opening */

static size_t resolver_peers(const struct sandbox *s, struct filter_peer *out)
{
	const struct resolvers_settings *from = &s->shared->settings->resolvers;

	for (size_t i = 0; i < from->n; i++) {
		out[i].a = from->address[i].a;
		out[i].port = from->address[i].port;
	}
	return from->n;
}

static void filter_settings_fill(struct filter_settings *f,
				 const struct sandbox *s, uint16_t dns_port)
{
	const struct settings *from = s->shared->settings;

	*f = (struct filter_settings){
		.netns = s->place.netns,
		.drop = from->drop,
		.audit = from->audit,
		.log_all = from->learn,
		.dns_only = !from->nft,
		.private_ok = from->private_ok,
		.dns_port = dns_port,
		.log_group = SANDBOX_LOG_GROUP,
		.without = from->without,
		.xdp = s->place.xdp,
		.kernel = s->shared->kernel,
		.doh = from->block_doh_443 ? from->doh : NULL,
		.n_doh = from->block_doh_443 ? from->n_doh : 0,
		.n_exempt = from->n_exempt,
		.n_inbound = from->n_inbound,
		.inbound_only = from->inbound_only,
	};
	memcpy(f->exempt, from->exempt, sizeof(f->exempt));
	memcpy(f->inbound, from->inbound, sizeof(f->inbound));
	if (from->run != RUN_SIDECAR)
		return;
	f->api_port = from->http_port;
	f->mark = from->resolvers.mark;
	f->uid = (uint32_t)geteuid();
	f->n_resolvers = resolver_peers(s, f->resolvers);
}

static void log_rewritten(const struct sandbox *s, const struct filter_peer *to,
			  const struct filter_peer *peer)
{
	char from[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	json_t *port = json_integer(peer->port);

	log_event(LOG_WARN, NULL,
		  "a program of the control group rewrites a resolver's "
		  "address; our questions may go to any address on its port",
		  "ssandbox_id", s->place.id, "sresolver",
		  address_to_text(&to->a, from), "starget.ip",
		  address_to_text(&peer->a, text), "jtarget.port", port, NULL);
	json_decref(port);
}

/* In our own namespace a question that is led elsewhere would meet the
 * redirection that makes port 53 ours. */
static void find_rewritten(const struct sandbox *s, struct filter_settings *f)
{
	for (size_t i = 0; i < f->n_resolvers; i++) {
		struct filter_peer peer;
		size_t k = 0;

		if (filter_true_peer(&f->resolvers[i], &peer) < 0 ||
		    (peer.port == f->resolvers[i].port &&
		     address_compare(&peer.a, &f->resolvers[i].a) == 0))
			continue;
		log_rewritten(s, &f->resolvers[i], &peer);
		while (k < f->n_rewritten && f->rewritten[k] != peer.port)
			k++;
		if (k == f->n_rewritten)
			f->rewritten[f->n_rewritten++] = peer.port;
	}
}

static int filter_start(struct sandbox *s, uint16_t dns_port, char *message)
{
	struct filter_settings settings;
	const char *why = NULL, *missing;
	int err;

	filter_settings_fill(&settings, s, dns_port);
	find_rewritten(s, &settings);
	err = filter_open(&s->filter, &settings, &why);
	if (err)
		return fail(message, err, "packet filter: %s: %s",
			    why ? why : "cannot open", strerror(-err));
	for (size_t i = 0; (missing = filter_missing(s->filter, i)); i++)
		log_event(LOG_WARN, NULL, missing, "ssandbox_id", s->place.id,
			  NULL);
	err = filter_apply(s->filter, s->policy, s->leases, now_ms());
	if (err)
		return fail(message, err, "packet filter: cannot apply: %s",
			    strerror(-err));
	return 0;
}

static int front_start(struct sandbox *s, const struct listeners *l,
		       bool keep_sockets, char *message)
{
	const struct front_settings settings = {
		.pools = s->shared->pools,
		.udp4 = l->udp4,
		.tcp4 = l->tcp4,
		.udp6 = l->udp6,
		.tcp6 = l->tcp6,
		.keep_sockets = keep_sockets,
		.audit = s->shared->settings->audit,
		.follow = s->shared->settings->follow,
	};
	const struct front_owner owner = {
		.arg = s,
		.policy = on_policy,
		.private_ok = s->shared->settings->private_ok,
		.learn = on_learn,
		.leased = on_leased,
		.commit = on_commit,
		.denied = on_denied,
		.answered = on_answered,
	};
	int err = front_open(&s->front, s->shared->loop, s->shared->resolvers,
			     &settings, &owner);

	return err ? fail(message, err, "DNS listeners: %s", strerror(-err))
		   : 0;
}

static int sandbox_start(struct sandbox *s, const struct rules *rules,
			 char *message)
{
	struct listeners own = {-1, -1, -1, -1, 0};
	const struct listeners *l = s->place.listeners;
	uint16_t dns_port;
	int err;

	err = mender_open(s);
	if (!err)
		err = policy_compile(&s->policy, rules, s->always);
	if (!err)
		err = lease_table_new(&s->leases);
	if (!err)
		lease_table_bounds(s->leases, s->shared->settings->lease_min_s,
				   s->shared->settings->lease_max_s);
	if (!err)
		err = revoke_open(s);
	if (err)
		return fail(message, err, "policy: %s", strerror(-err));
	if (!l) {
		(void)filter_dns_port(s->place.netns, &dns_port);
		err = listeners_open(&own, s->place.netns, dns_port, 0);
		if (err)
			return fail(message, err, "DNS listeners: %s",
				    strerror(-err));
		l = &own;
	}
	err = filter_start(s, l->port, message);
	if (!err)
		err = front_start(s, l, l != &own, message);
	if (err) {
		listeners_close(&own);
		return err;
	}
	err = renew_open(s);
	if (!err)
		err = refused_open(s);
	return err ? fail(message, err, "packet log: %s", strerror(-err)) : 0;
}

int sandbox_open(struct sandbox **out, const struct sandbox_shared *shared,
		 const struct sandbox_place *place, struct rules *rules,
		 char *message)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	struct rules *none = NULL;
	int err = s ? 0 : -ENOMEM;

	message[0] = '\0';
	if (!err && !rules)
		err = rules_new(&none, POLICY_DENY);
	if (err) {
		rules_free(rules);
		free(s);
		return fail(message, err, "%s", strerror(-err));
	}
	s->shared = shared;
	s->always = shared->always;
	s->place = *place;
	s->swept_ms = now_ms();
	journal_init(&s->journal, s->place.id, shared->settings->learn);
	err = sandbox_start(s, rules ? rules : none, message);
	rules_free(none);
	rules_free(rules);
	if (err) {
		/* What the kernel took stays: closed is the safe side. */
		s->place.netns = -1;
		sandbox_close(s, false);
		return err;
	}
	journal_policy(&s->journal, "egress.loaded", s->policy, NULL);
	*out = s;
	return 0;
}

void sandbox_close(struct sandbox *s, bool release)
{
	if (!s)
		return;
	if (s->mender)
		uv_close((uv_handle_t *)s->mender, free_handle);
	if (s->front)
		front_close(s->front);
	if (s->own_resolvers)
		resolvers_close(s->own_resolvers);
	if (s->refused)
		uv_close((uv_handle_t *)s->refused, free_handle);
	if (s->revoke)
		uv_close((uv_handle_t *)s->revoke, free_handle);
	if (s->renew)
		uv_close((uv_handle_t *)s->renew, free_handle);
	if (s->filter && release)
		(void)filter_remove(s->filter);
	if (s->filter)
		filter_close(s->filter);
	if (s->place.netns >= 0)
		close(s->place.netns);
	policy_unref(s->policy);
	lease_table_free(s->leases);
	free(s->pending);
	free(s);
}

const struct policy *sandbox_policy(const struct sandbox *s)
{
	return s->policy;
}

const char *sandbox_id(const struct sandbox *s)
{
	return s->place.id;
}

const char *sandbox_mode(const struct sandbox *s)
{
	const struct rules *rules = policy_rules(s->policy);

	if (rules->n_rules > 0)
		return "enforcing";
	return rules->default_action == POLICY_ALLOW ? "allow_all" : "deny_all";
}

/* Changing */

/* Put a compiled policy in force and forget what it refuses. */
static void sandbox_swap(struct sandbox *s, struct policy *policy)
{
	policy_unref(s->policy);
	s->policy = policy;
	mended(s);
	front_policy_changed(s->front);
	lease_table_sweep(s->leases, policy, s->shared->settings->private_ok,
			  now_ms());
	uv_timer_start(s->revoke, on_revoke, 0, 0);
	s->counts.policy_updates++;
}

/*
 * The file is written beside its place first, since only that can fail for
 * want of room; the rename that follows the kernel's commit hardly can, and
 * if it does the kernel gets the old policy back.
 */
static int sandbox_commit(struct sandbox *s, struct policy *policy,
			  bool to_file, char *message)
{
	struct policy_file file = POLICY_FILE_NONE;
	char *text = NULL;
	int err;

	if (to_file && s->place.policy_file[0]) {
		text = rules_to_text(policy_rules(policy), NULL);
		err = text ? 0 : -ENOMEM;
		if (!err)
			err = policy_file_prepare(&file, s->place.policy_file,
						  text, strlen(text));
		free(text);
		if (err)
			return fail(message, err, "policy file %s: %s",
				    s->place.policy_file, strerror(-err));
	}
	front_settle(s->front);
	err = filter_apply(s->filter, policy, s->leases, now_ms());
	if (err) {
		policy_file_abandon(&file);
		(void)sandbox_lost(s);
		return fail(message, err, "packet filter: %s", strerror(-err));
	}
	err = policy_file_commit(&file);
	if (err) {
		(void)filter_apply(s->filter, s->policy, s->leases, now_ms());
		return fail(message, err, "policy file %s: %s",
			    s->place.policy_file, strerror(-err));
	}
	return 0;
}

static int sandbox_put(struct sandbox *s, const struct rules *rules,
		       const struct always_rules *always, char *message)
{
	struct policy *policy = NULL;
	int err;

	message[0] = '\0';
	err = policy_compile(&policy, rules, always);
	if (err)
		fail(message, err, "policy: %s", strerror(-err));
	else
		err = sandbox_commit(s, policy, always == s->always, message);
	if (err) {
		policy_unref(policy);
		s->counts.policy_update_failures++;
		journal_policy(&s->journal, "egress.update_failed", s->policy,
			       message);
		return err;
	}
	sandbox_swap(s, policy);
	s->always = always;
	journal_policy(&s->journal, "egress.updated", s->policy, NULL);
	return 0;
}

int sandbox_replace(struct sandbox *s, struct rules *rules, char *message)
{
	int err = sandbox_put(s, rules, s->always, message);

	rules_free(rules);
	return err;
}

int sandbox_always(struct sandbox *s, const struct always_rules *always,
		   char *message)
{
	return sandbox_put(s, policy_rules(s->policy), always, message);
}

int sandbox_resolvers(struct sandbox *s)
{
	struct filter_peer resolvers[FILTER_RESOLVERS_MAX];
	int err;

	filter_set_resolvers(s->filter, resolvers,
			     resolver_peers(s, resolvers));
	front_settle(s->front);
	err = filter_apply(s->filter, s->policy, s->leases, now_ms());
	if (err) {
		journal_kernel_failure(&s->journal, err);
		mend(s);
	}
	return err;
}

int sandbox_use_resolvers(struct sandbox *s,
			  const struct resolver_address *resolvers, size_t n)
{
	struct resolvers_settings *settings;
	struct resolvers *old = s->own_resolvers, *new = NULL;
	const char *why;
	int err = 0;

	settings = malloc(sizeof(*settings));
	if (!settings)
		return -ENOMEM;
	*settings = s->shared->settings->resolvers;
	memcpy(settings->address, resolvers, n * sizeof(*resolvers));
	settings->n = n;
	if (old && n) {
		resolvers_replace(old, settings);
		free(settings);
		return 0;
	}
	if (n)
		err = resolvers_open(&new, s->shared->loop, settings, &why);
	free(settings);
	if (err)
		return err;
	s->own_resolvers = new;
	front_set_resolvers(s->front, new ? new : s->shared->resolvers);
	if (old)
		resolvers_close(old);
	return 0;
}

int sandbox_let_out(struct sandbox *s, const struct filter_peer *peers,
		    size_t n)
{
	return filter_let_out(s->filter, peers, n);
}

void sandbox_counts(struct sandbox *s, struct sandbox_counts *counts)
{
	size_t n;

	*counts = s->counts;
	front_counts(s->front, &counts->dns);
	(void)filter_counts(s->filter, &counts->filter);
	resolvers_counts(s->own_resolvers ? s->own_resolvers
					  : s->shared->resolvers,
			 &counts->resolvers);
	(void)policy_ranges(s->policy, &n);
	counts->rules = policy_rules(s->policy)->n_rules;
	counts->leases = lease_table_count(s->leases);
}
