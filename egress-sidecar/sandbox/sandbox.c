/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"
#include "life/life.h"

#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* Opening */

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
		.without_ech = s->shared->settings->gate,
		.ask_s = s->shared->settings->ask_s,
	};
	struct front_owner owner;
	int err;

	owner_fill(&owner, s);
	err = front_open(&s->front, s->shared->loop, s->shared->resolvers,
			 &settings, &owner);

	return err ? sandbox_fail(message, err, "DNS listeners: %s",
				  strerror(-err))
		   : 0;
}

/* Sockets of its own, where none outlive this process's worker. */
static int own_listeners(struct sandbox *s, struct listeners *own,
			 char *message)
{
	uint16_t dns_port;
	int err;

	(void)filter_dns_port(s->place.netns, &dns_port);
	err = listeners_open(own, s->place.netns, dns_port, 0);
	if (err)
		return sandbox_fail(message, err, "DNS listeners: %s",
				    strerror(-err));
	if (!s->shared->settings->gate)
		return 0;
	err = listeners_open_gate(own, s->place.netns);
	if (err) {
		listeners_close(own);
		return sandbox_fail(message, err, "the gate's listeners: %s",
				    strerror(-err));
	}
	s->own_gate.gate4 = own->gate4;
	s->own_gate.gate6 = own->gate6;
	return 0;
}

/* The packet filter first, then who serves what it lets through. */
static int listeners_serve(struct sandbox *s, const struct listeners *l,
			   bool keep_sockets, char *message)
{
	int err = sandbox_filter_start(s, l, message);

	if (err)
		return err;
	err = sandbox_gate_start(s, l);
	if (err)
		return sandbox_fail(message, err, "gate: %s", strerror(-err));
	return front_start(s, l, keep_sockets, message);
}

static int sandbox_start(struct sandbox *s, const struct rules *rules,
			 char *message)
{
	struct listeners own = LISTENERS_NONE;
	const struct listeners *l = s->place.listeners;
	int err;

	err = mend_open(s);
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
		return sandbox_fail(message, err, "policy: %s", strerror(-err));
	if (!l) {
		err = own_listeners(s, &own, message);
		if (err)
			return err;
	}
	err = listeners_serve(s, l ? l : &own, l != NULL, message);
	if (err) {
		own.gate4 = own.gate6 = -1; /* the sandbox's */
		listeners_close(&own);
		return err;
	}
	err = renew_open(s);
	if (!err)
		err = refused_open(s);
	if (!err)
		err = flows_open(s);
	return err ? sandbox_fail(message, err, "packet log: %s",
				  strerror(-err))
		   : 0;
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
		return sandbox_fail(message, err, "%s", strerror(-err));
	}
	s->shared = shared;
	s->always = shared->always;
	s->place = *place;
	s->swept_ms = now_ms();
	flows_init(s);
	s->own_gate = (struct listeners)LISTENERS_NONE;
	journal_init(&s->journal, s->place.id, shared->settings);
	err = sandbox_start(s, rules ? rules : none, message);
	rules_free(none);
	rules_free(rules);
	if (err) {
		/* What the kernel took stays: closed is the safe side. */
		s->place.netns = -1;
		sandbox_close(s, false);
		return err;
	}
	journal_policy(&s->journal, event_loaded.name, s->policy, NULL);
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
	gate_close(s->gate);
	listeners_close(&s->own_gate);
	if (s->own_resolvers)
		resolvers_close(s->own_resolvers);
	if (s->refused)
		uv_close((uv_handle_t *)s->refused, free_handle);
	if (s->revoke)
		uv_close((uv_handle_t *)s->revoke, free_handle);
	if (s->renew)
		uv_close((uv_handle_t *)s->renew, free_handle);
	flows_close(s);
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
	mend_done(s);
	front_policy_changed(s->front);
	if (s->gate)
		gate_policy_changed(s->gate);
	lease_table_sweep(s->leases, policy, s->shared->settings->private_ok,
			  now_ms());
	revoke_soon(s);
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
	const char *why;
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
			return sandbox_fail(message, err, "policy file %s: %s",
					    s->place.policy_file,
					    strerror(-err));
	}
	why = filter_unable(s->filter, policy);
	if (why) {
		policy_file_abandon(&file);
		return sandbox_fail(message, -EOPNOTSUPP, "packet filter: %s",
				    why);
	}
	front_settle(s->front);
	err = filter_apply(s->filter, policy, s->leases, now_ms());
	if (err) {
		policy_file_abandon(&file);
		(void)sandbox_lost(s);
		return sandbox_fail(message, err, "packet filter: %s",
				    strerror(-err));
	}
	err = policy_file_commit(&file);
	if (err) {
		(void)filter_apply(s->filter, s->policy, s->leases, now_ms());
		return sandbox_fail(message, err, "policy file %s: %s",
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
		sandbox_fail(message, err, "policy: %s", strerror(-err));
	else
		err = sandbox_commit(s, policy, always == s->always, message);
	if (err) {
		policy_unref(policy);
		s->counts.policy_update_failures++;
		journal_policy(&s->journal, event_update_failed.name, s->policy,
			       message);
		return err;
	}
	sandbox_swap(s, policy);
	s->always = always;
	journal_policy(&s->journal, event_updated.name, s->policy, NULL);
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
			     sandbox_resolver_peers(s, resolvers));
	front_settle(s->front);
	err = filter_apply(s->filter, s->policy, s->leases, now_ms());
	if (err) {
		journal_kernel_failure(&s->journal, err);
		mend_start(s);
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

void sandbox_each_held(const struct sandbox *s,
		       void (*each)(void *arg, const struct held_name *held),
		       void *arg)
{
	front_each_held(s->front, each, arg);
}

void sandbox_counts(struct sandbox *s, struct sandbox_counts *counts)
{
	size_t n;

	s->counts.rules_in_force = !sandbox_lost(s);
	*counts = s->counts;
	front_counts(s->front, &counts->dns);
	if (s->gate)
		gate_counts(s->gate, &counts->gate);
	(void)filter_counts(s->filter, &counts->filter);
	resolvers_counts(s->own_resolvers ? s->own_resolvers
					  : s->shared->resolvers,
			 &counts->resolvers);
	(void)policy_ranges(s->policy, &n);
	counts->rules = policy_rules(s->policy)->n_rules;
	counts->leases = lease_table_count(s->leases);
	flows_counts(s, &counts->flows);
}
