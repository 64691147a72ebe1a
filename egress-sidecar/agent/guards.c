/* SPDX-License-Identifier: Apache-2.0 */
#include "guards.h"

#include "host/netns.h"
#include "life/settings.h"
#include "log/log.h"
#include "outlets/pull.h"

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

/* Who is attached */

struct guarded *guards_of(const struct guards *guards,
			  const uint64_t identity[2])
{
	for (size_t i = 0; i < guards->list.n; i++)
		if (memcmp(guards->at[i]->record.identity, identity,
			   sizeof(guards->at[i]->record.identity)) == 0)
			return guards->at[i];
	return NULL;
}

struct guarded *guards_attached(const struct guards *guards, const char *id,
				const char *name)
{
	struct guarded *g = guards_find(guards, id);

	if (g && attachments_find(&g->attachments, id, name))
		return g;
	for (size_t i = 0; i < guards->list.n; i++)
		if (attachments_find(&guards->at[i]->attachments, id, name))
			return guards->at[i];
	return NULL;
}

struct guarded *guards_alias(const struct guards *guards, const char *id)
{
	for (size_t i = 0; i < guards->list.n; i++)
		for (const struct attachment *a =
			     guards->at[i]->attachments.first;
		     a; a = a->next)
			if (strcmp(a->id, id) == 0)
				return guards->at[i];
	return NULL;
}

int guards_netns(const struct agent_place *place)
{
	return place->netns[0] ? netns_open(place->netns)
			       : netns_open_pid(place->pid);
}

/* The place and attachments of a sandbox whose policy stays. */
static int save_place(const struct guarded *g)
{
	json_t *attachments = attachments_json(&g->attachments);
	int err = agent_state_place(g->owner->shared->settings->agent_state,
				    &g->record, attachments);

	json_decref(attachments);
	return err;
}

static int fail_state(const struct guards *guards, char *message, int err)
{
	snprintf(message, MESSAGE_SIZE, "%.150s: %s",
		 guards->shared->settings->agent_state, strerror(-err));
	return err;
}

static void guarded_free(struct guarded *g, bool release)
{
	pull_close(g->pull);
	attachments_clear(&g->attachments);
	sandbox_close(g->sandbox, release);
	free(g);
}

/* No more in the list, nor on the disk. */
static void forget(struct guarded *g)
{
	agent_state_forget(g->owner->shared->settings->agent_state,
			   g->record.id);
	list_remove(g->owner, g->record.id);
}

/* Whatever may still live in the namespace stays closed in. */
static void attachment_drop(struct guarded *g, struct attachment *a)
{
	int err;

	attachments_remove(&g->attachments, a);
	if (g->attachments.n == 0) {
		log_event(LOG_INFO, NULL, "sandbox has gone", "ssandbox_id",
			  g->record.id, NULL);
		forget(g);
		guarded_free(g, false);
		return;
	}
	attachment_place(g->attachments.first, &g->record.place);
	err = save_place(g);
	/* The next agent misses it as well, if it is gone by then. */
	if (err)
		log_event(LOG_ERROR, NULL,
			  "a sandbox's record cannot be written", "ssandbox_id",
			  g->record.id, "serror", strerror(-err), NULL);
}

static void on_gone(void *arg, void *what)
{
	struct attachment *a = what;

	(void)arg;
	attachment_drop(a->of, a);
}

/* Guarding */

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

static int use_resolvers(struct guarded *g, char *message)
{
	const struct agent_place *place = &g->record.place;
	int err = sandbox_use_resolvers(g->sandbox, place->resolvers,
					place->n_resolvers);

	if (err)
		snprintf(message, MESSAGE_SIZE, "resolvers: %s",
			 strerror(-err));
	return err;
}

/* Whom nobody is attached to yet; not in the list. */
static struct guarded *guarded_new(struct guards *guards,
				   const struct agent_record *record)
{
	struct guarded *g = calloc(1, sizeof(*g));

	if (g && list_reserve(guards)) {
		free(g);
		return NULL;
	}
	if (g) {
		g->owner = guards;
		g->record = *record;
	}
	return g;
}

static int attach(struct guarded *g, const char *id, const char *name,
		  const struct agent_place *place, bool *added, char *message)
{
	int err = attachments_put(&g->attachments, g->owner->presences, id,
				  name, place, g->record.identity, g, added);

	if (err == -E2BIG)
		snprintf(message, MESSAGE_SIZE,
			 "%d are attached to the namespace already",
			 ATTACHMENTS_MAX);
	else if (err)
		snprintf(message, MESSAGE_SIZE, "cannot watch it: %s",
			 strerror(-err));
	return err;
}

/* Close the namespace of a sandbox that somebody is attached to. Takes netns
 * and rules over in every case, and g on error, when the kernel keeps what it
 * took. */
static int guard(struct guarded *g, int netns, struct rules *rules,
		 char *message)
{
	struct sandbox_place place = {.netns = netns};
	int err;

	memcpy(place.id, g->record.id, sizeof(g->record.id));
	agent_state_policy(g->owner->shared->settings->agent_state,
			   g->record.id, place.policy_file);
	err = sandbox_open(&g->sandbox, g->owner->shared, &place, rules,
			   message);
	if (err)
		close(netns);
	else
		err = use_resolvers(g, message);
	if (!err) {
		err = follow_url(g);
		if (err)
			snprintf(message, MESSAGE_SIZE, "policyUrl: %s",
				 strerror(-err));
	}
	if (err)
		guarded_free(g, false);
	return err;
}

int guards_replace(struct guarded *g, const struct guards_wish *wish,
		   char *message)
{
	const struct agent_record before = g->record;
	char unsaid[MESSAGE_SIZE];
	bool added = false;
	int err = 0;

	/* By hand, a policy is all that changes for those who are attached. */
	if (wish->name[0] ||
	    attachments_find(&g->attachments, wish->record->id, ""))
		err = attach(g, wish->record->id, wish->name,
			     &wish->record->place, &added, message);
	if (err) {
		rules_free(wish->rules);
		return err;
	}
	g->record = *wish->record;
	attachment_place(g->attachments.first, &g->record.place);
	err = save_place(g);
	if (err) {
		fail_state(g->owner, message, err);
		rules_free(wish->rules);
	} else if ((err = use_resolvers(g, message))) {
		rules_free(wish->rules);
	} else {
		err = sandbox_replace(g->sandbox, wish->rules, message);
	}
	if (err) {
		if (added)
			attachments_remove(&g->attachments,
					   attachments_find(&g->attachments,
							    wish->record->id,
							    wish->name));
		g->record = before;
		(void)save_place(g);
		(void)use_resolvers(g, unsaid);
		return err;
	}
	/* Followed anew: what it serves may differ from what came now. */
	pull_close(g->pull);
	g->pull = NULL;
	err = follow_url(g);
	if (err)
		snprintf(message, MESSAGE_SIZE, "policyUrl: %s",
			 strerror(-err));
	return err;
}

int guards_join(struct guarded *g, const struct guards_wish *wish,
		char *message)
{
	const char *id = wish->record->id;
	bool added;
	int err = attach(g, id, wish->name, &wish->record->place, &added,
			 message);

	rules_free(wish->rules);
	if (err)
		return err;
	err = save_place(g);
	if (err) {
		fail_state(g->owner, message, err);
		if (added)
			attachments_remove(&g->attachments,
					   attachments_find(&g->attachments, id,
							    wish->name));
	}
	return err;
}

/* An attachment that was elsewhere before is not there any more. */
static void move_attachment(struct guards *guards, const struct guarded *to,
			    const char *id, const char *name)
{
	for (size_t i = guards->list.n; i-- > 0;) {
		struct guarded *g = guards->at[i];
		struct attachment *a =
			attachments_find(&g->attachments, id, name);

		if (a && g != to)
			attachment_drop(g, a);
	}
}

int guards_put(struct guarded **out, struct guards *guards,
	       const struct guards_wish *wish, int netns, struct guarded *old,
	       char *message)
{
	const char *folder = guards->shared->settings->agent_state;
	const struct agent_record *record = wish->record;
	struct guarded *g = guarded_new(guards, record);
	struct agent_change change;
	json_t *attachments;
	int err;

	snprintf(message, MESSAGE_SIZE, "%s", strerror(ENOMEM));
	err = g ? attach(g, record->id, wish->name, &record->place, NULL,
			 message)
		: -ENOMEM;
	if (!err) {
		attachments = attachments_json(&g->attachments);
		err = agent_state_prepare(&change, folder, record, attachments,
					  wish->rules);
		json_decref(attachments);
		if (err)
			fail_state(guards, message, err);
	}
	if (err) {
		close(netns);
		rules_free(wish->rules);
		if (g)
			guarded_free(g, false);
		return err;
	}
	err = guard(g, netns, wish->rules, message);
	if (err) {
		agent_state_abandon(&change);
		return err;
	}
	err = agent_state_commit(&change);
	if (err) {
		guarded_free(g, false);
		return fail_state(guards, message, err);
	}
	if (old) {
		bool free_it =
			!wish->name[0] &&
			!attachments_others(&old->attachments, record->id, "");

		if (!free_it)
			log_event(LOG_WARN, NULL,
				  "sandbox has moved; the rules in the "
				  "namespace where it was stay",
				  "ssandbox_id", record->id, NULL);
		list_remove(guards, record->id);
		guarded_free(old, free_it);
	}
	list_add(guards, g);
	move_attachment(guards, g, record->id, wish->name);
	*out = g;
	return 0;
}

void guards_detach(struct guarded *g, const char *id, const char *name)
{
	attachment_drop(g, attachments_find(&g->attachments, id, name));
}

void guards_release(struct guarded *g)
{
	forget(g);
	guarded_free(g, true);
}

/* Finding them again */

/* Those that an agent before us knew and that are still there. -ESRCH: none
 * is; another error where that is not known. */
static int attach_again(struct guarded *g, const json_t *attachments)
{
	char id[AGENT_ID_MAX + 1], name[AGENT_ATTACHMENT_MAX + 1];
	struct agent_place place;
	char message[MESSAGE_SIZE];
	const json_t *object;
	int err, failed = -ESRCH;
	size_t i;

	if (!attachments)
		failed = attach(g, g->record.id, "", &g->record.place, NULL,
				message);
	json_array_foreach(attachments, i, object)
	{
		err = attachment_read(object, id, name, &place);
		if (!err)
			err = attach(g, id, name, &place, NULL, message);
		if (err && err != -ESRCH)
			failed = err;
	}
	if (g->attachments.n == 0)
		return failed;
	attachment_place(g->attachments.first, &g->record.place);
	return 0;
}

/* The namespace of a sandbox, by what is left of those attached to it. */
static int netns_again(struct guarded *g, const json_t *attachments)
{
	uint64_t identity[2];
	int netns = attach_again(g, attachments);

	if (netns < 0)
		return netns;
	netns = guards_netns(&g->record.place);
	if (netns < 0)
		return netns;
	if (netns_identity(netns, identity) == 0 &&
	    memcmp(identity, g->record.identity, sizeof(identity)) == 0)
		return netns;
	close(netns);
	return -ESRCH;
}

/* A sandbox that an agent before us guarded. */
static void restore(void *arg, const struct agent_record *record,
		    const json_t *attachments, struct rules *rules,
		    const char *why)
{
	struct guards *guards = arg;
	struct guarded *g = guarded_new(guards, record);
	char message[MESSAGE_SIZE];
	int netns = g ? netns_again(g, attachments) : -ENOMEM;

	if (why)
		log_event(LOG_ERROR, NULL,
			  "a sandbox's policy cannot be read: it is denied all",
			  "ssandbox_id", record->id, "serror", why, NULL);
	if (netns == -ESRCH || netns == -ENOENT || netns == -EINVAL) {
		log_event(LOG_INFO, NULL, "sandbox has gone", "ssandbox_id",
			  record->id, NULL);
		agent_state_forget(guards->shared->settings->agent_state,
				   record->id);
		guarded_free(g, false);
		rules_free(rules);
		return;
	}
	if (netns < 0) {
		snprintf(message, sizeof(message), "%s", strerror(-netns));
		rules_free(rules);
		if (g)
			guarded_free(g, false);
	} else if (!g->record.asked && rules) {
		g->record.asked = rules_hash(rules);
	}
	if (netns >= 0 && guard(g, netns, rules, message) == 0) {
		list_add(guards, g);
		return;
	}
	log_event(LOG_ERROR, NULL, "a sandbox is not served; its rules stay",
		  "ssandbox_id", record->id, "serror", message, NULL);
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
