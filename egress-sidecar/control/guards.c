/* SPDX-License-Identifier: Apache-2.0 */
#include "guards.h"

#include "../log.h"
#include "../netns.h"
#include "../settings.h"
#include "presence.h"
#include "pull.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	MESSAGE_SIZE = 256
};

/* The sorted list */

/* Where id is, or would be. */
static size_t place_of(const struct guards *guards, const char *id, bool *found)
{
	size_t low = 0, high = guards->list.n;

	*found = false;
	while (low < high && !*found) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(id, guards->at[middle]->record.id);

		if (order > 0) {
			low = middle + 1;
		} else {
			high = middle;
			*found = order == 0;
		}
	}
	return *found ? high : low;
}

struct guarded *guards_find(const struct guards *guards, const char *id)
{
	bool found;
	size_t i = place_of(guards, id, &found);

	return found ? guards->at[i] : NULL;
}

size_t guards_after(const struct guards *guards, const char *id)
{
	bool found;
	size_t i = place_of(guards, id, &found);

	return found ? i + 1 : i;
}

static int list_reserve(struct guards *guards)
{
	size_t size = guards->size ? guards->size * 2 : 64;
	struct guarded **at;
	struct sandbox **sandboxes;

	if (guards->list.n < guards->size)
		return 0;
	at = reallocarray(guards->at, size, sizeof(struct guarded *));
	if (!at)
		return -ENOMEM;
	guards->at = at;
	sandboxes =
		reallocarray(guards->list.at, size, sizeof(struct sandbox *));
	if (!sandboxes)
		return -ENOMEM;
	guards->list.at = sandboxes;
	guards->size = size;
	return 0;
}

/* Room has been made by list_reserve(). */
static void list_add(struct guards *guards, struct guarded *g)
{
	bool found;
	size_t i = place_of(guards, g->record.id, &found);
	size_t after = guards->list.n - i;

	memmove(&guards->at[i + 1], &guards->at[i],
		after * sizeof(*guards->at));
	memmove(&guards->list.at[i + 1], &guards->list.at[i],
		after * sizeof(*guards->list.at));
	guards->at[i] = g;
	guards->list.at[i] = g->sandbox;
	guards->list.n++;
}

static void list_remove(struct guards *guards, const char *id)
{
	bool found;
	size_t i = place_of(guards, id, &found);
	size_t after;

	if (!found)
		return;
	guards->list.n--;
	after = guards->list.n - i;
	memmove(&guards->at[i], &guards->at[i + 1],
		after * sizeof(*guards->at));
	memmove(&guards->list.at[i], &guards->list.at[i + 1],
		after * sizeof(*guards->list.at));
}

/* Guarding */

static void guarded_free(struct guarded *g, bool release)
{
	pull_close(g->pull);
	presence_remove(g->presence);
	sandbox_close(g->sandbox, release);
	free(g);
}

/* Whatever may still live in the namespace stays closed in. */
static void on_gone(void *arg, void *what)
{
	struct guards *guards = arg;
	struct guarded *g = what;

	log_event(LOG_INFO, NULL, "sandbox has gone", "ssandbox_id",
		  g->record.id, NULL);
	agent_state_forget(guards->shared->settings->agent_state, g->record.id);
	list_remove(guards, g->record.id);
	guarded_free(g, false);
}

struct guarded *guards_of(const struct guards *guards,
			  const uint64_t identity[2])
{
	for (size_t i = 0; i < guards->list.n; i++)
		if (memcmp(guards->at[i]->record.identity, identity,
			   sizeof(guards->at[i]->record.identity)) == 0)
			return guards->at[i];
	return NULL;
}

int guards_netns(const struct agent_place *place)
{
	return place->netns[0] ? netns_open(place->netns)
			       : netns_open_pid(place->pid);
}

static int follow_url(struct guarded *g)
{
	const struct sandbox_shared *shared = g->owner->shared;

	if (!g->record.place.policy_url[0])
		return 0;
	return pull_open(&g->pull, shared->outlets, g->sandbox,
			 g->record.place.policy_url,
			 shared->settings->policy_token,
			 shared->settings->max_rules);
}

/* A sandbox that is not in the list yet; netns and rules are taken over in
 * every case. 0 or -errno with message. */
static int guard(struct guarded **out, struct guards *guards,
		 const struct agent_record *record, int netns,
		 struct rules *rules, char *message)
{
	const char *folder = guards->shared->settings->agent_state;
	struct sandbox_place place = {.netns = netns};
	struct guarded *g = calloc(1, sizeof(*g));
	int err = g ? list_reserve(guards) : -ENOMEM;

	if (!err) {
		g->owner = guards;
		g->record = *record;
		err = presence_add(&g->presence, guards->presences,
				   &record->place, record->identity, g);
	}
	if (err) {
		snprintf(message, MESSAGE_SIZE, "cannot watch it: %s",
			 strerror(-err));
		rules_free(rules);
	} else {
		memcpy(place.id, record->id, sizeof(record->id));
		agent_state_policy(folder, record->id, place.policy_file);
		err = sandbox_open(&g->sandbox, guards->shared, &place, rules,
				   message);
		if (err)
			presence_remove(g->presence);
	}
	if (err) {
		close(netns);
		free(g);
		return err;
	}
	err = follow_url(g);
	if (err) {
		snprintf(message, MESSAGE_SIZE, "policyUrl: %s",
			 strerror(-err));
		guarded_free(g, false);
		return err;
	}
	*out = g;
	return 0;
}

int guards_replace(struct guarded *g, const struct agent_record *record,
		   struct rules *rules, char *message)
{
	const char *folder = g->owner->shared->settings->agent_state;
	int err = agent_state_place(folder, record);

	if (err) {
		snprintf(message, MESSAGE_SIZE, "%.150s: %s", folder,
			 strerror(-err));
		rules_free(rules);
		return err;
	}
	err = sandbox_replace(g->sandbox, rules, message);
	if (err) {
		(void)agent_state_place(folder, &g->record);
		return err;
	}
	/* Followed anew: what it serves may differ from what came now. */
	pull_close(g->pull);
	g->pull = NULL;
	g->record = *record;
	err = follow_url(g);
	if (err)
		snprintf(message, MESSAGE_SIZE, "policyUrl: %s",
			 strerror(-err));
	return err;
}

int guards_put(struct guarded **out, struct guards *guards,
	       const struct agent_record *record, int netns,
	       struct rules *rules, struct guarded *old, char *message)
{
	const char *folder = guards->shared->settings->agent_state;
	struct guarded *g;
	int err = guard(&g, guards, record, netns, rules, message);

	if (err)
		return err;
	err = agent_state_save(folder, record,
			       policy_rules(sandbox_policy(g->sandbox)));
	if (err) {
		snprintf(message, MESSAGE_SIZE, "%.150s: %s", folder,
			 strerror(-err));
		guarded_free(g, true);
		return err;
	}
	if (old) {
		list_remove(guards, record->id);
		guarded_free(old, true);
	}
	list_add(guards, g);
	*out = g;
	return 0;
}

void guards_release(struct guarded *g)
{
	struct guards *guards = g->owner;

	agent_state_forget(guards->shared->settings->agent_state, g->record.id);
	list_remove(guards, g->record.id);
	guarded_free(g, true);
}

/* A sandbox that an agent before us guarded. */
static void restore(void *arg, const struct agent_record *record,
		    struct rules *rules, const char *why)
{
	struct guards *guards = arg;
	const char *folder = guards->shared->settings->agent_state;
	uint64_t identity[2];
	struct guarded *g;
	char message[MESSAGE_SIZE];
	int netns = guards_netns(&record->place);

	if (why)
		log_event(LOG_ERROR, NULL,
			  "a sandbox's policy cannot be read: it is denied all",
			  "ssandbox_id", record->id, "serror", why, NULL);
	if (netns < 0 || netns_identity(netns, identity) ||
	    memcmp(identity, record->identity, sizeof(identity)) != 0) {
		log_event(LOG_INFO, NULL, "sandbox has gone", "ssandbox_id",
			  record->id, NULL);
		agent_state_forget(folder, record->id);
		rules_free(rules);
		if (netns >= 0)
			close(netns);
		return;
	}
	if (guard(&g, guards, record, netns, rules, message))
		log_event(LOG_ERROR, NULL,
			  "a sandbox is not served; its rules stay",
			  "ssandbox_id", record->id, "serror", message, NULL);
	else
		list_add(guards, g);
}

/* Each sandbox takes about ten descriptors, and a page of memory for each
 * queue of AF_XDP that is kept from it. */
static void limits_raise(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	(void)setrlimit(RLIMIT_MEMLOCK, &all);
}

int guards_open(struct guards *guards, const struct sandbox_shared *shared)
{
	const struct settings *settings = shared->settings;
	int err;

	*guards = (struct guards){.shared = shared};
	limits_raise();
	err = presences_open(&guards->presences, shared->loop, on_gone, guards);
	if (!err)
		err = agent_state_open(settings->agent_state);
	return err ? err
		   : agent_state_each(settings->agent_state,
				      settings->max_rules, restore, guards);
}

void guards_close(struct guards *guards)
{
	for (size_t i = 0; i < guards->list.n; i++)
		guarded_free(guards->at[i], false);
	presences_close(guards->presences);
	free(guards->at);
	free(guards->list.at);
	*guards = (struct guards){0};
}
