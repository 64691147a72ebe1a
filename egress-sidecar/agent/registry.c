/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"
#include "life/life.h"
#include "log/log.h"
#include "outlets/outlets.h"

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

/* Where id is in the list, or would be. */
static size_t index_of(const struct registry *registry, const char *id,
		       bool *found)
{
	size_t low = 0, high = registry->list.n;

	*found = false;
	while (low < high && !*found) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(id, registry->at[middle]->record.id);

		if (order > 0) {
			low = middle + 1;
		} else {
			high = middle;
			*found = order == 0;
		}
	}
	return *found ? high : low;
}

struct registry_entry *registry_find(const struct registry *registry,
				     const char *id)
{
	bool found;
	size_t i = index_of(registry, id, &found);

	return found ? registry->at[i] : NULL;
}

size_t registry_after(const struct registry *registry, const char *id)
{
	bool found;
	size_t i = index_of(registry, id, &found);

	return found ? i + 1 : i;
}

static int list_reserve(struct registry *registry)
{
	size_t size = registry->size ? registry->size * 2 : 64;
	struct registry_entry **at;
	struct sandbox **sandboxes;

	if (registry->list.n < registry->size)
		return 0;
	at = reallocarray(registry->at, size, sizeof(struct registry_entry *));
	if (!at)
		return -ENOMEM;
	registry->at = at;
	sandboxes =
		reallocarray(registry->list.at, size, sizeof(struct sandbox *));
	if (!sandboxes)
		return -ENOMEM;
	registry->list.at = sandboxes;
	registry->size = size;
	return 0;
}

/* Room has been made by list_reserve(). */
static void list_add(struct registry *registry, struct registry_entry *g)
{
	bool found;
	size_t i = index_of(registry, g->record.id, &found);
	size_t after = registry->list.n - i;

	memmove(&registry->at[i + 1], &registry->at[i],
		after * sizeof(*registry->at));
	memmove(&registry->list.at[i + 1], &registry->list.at[i],
		after * sizeof(*registry->list.at));
	registry->at[i] = g;
	registry->list.at[i] = g->sandbox;
	registry->list.n++;
}

static void list_remove(struct registry *registry, const char *id)
{
	bool found;
	size_t i = index_of(registry, id, &found);
	size_t after;

	if (!found)
		return;
	registry->list.n--;
	after = registry->list.n - i;
	memmove(&registry->at[i], &registry->at[i + 1],
		after * sizeof(*registry->at));
	memmove(&registry->list.at[i], &registry->list.at[i + 1],
		after * sizeof(*registry->list.at));
}

/* Who is attached */

struct registry_entry *registry_of(const struct registry *registry,
				   const uint64_t identity[2])
{
	for (size_t i = 0; i < registry->list.n; i++)
		if (memcmp(registry->at[i]->record.identity, identity,
			   sizeof(registry->at[i]->record.identity)) == 0)
			return registry->at[i];
	return NULL;
}

struct registry_entry *registry_attached(const struct registry *registry,
					 const char *id, const char *name)
{
	struct registry_entry *g = registry_find(registry, id);

	if (g && attachments_find(&g->attachments, id, name))
		return g;
	for (size_t i = 0; i < registry->list.n; i++)
		if (attachments_find(&registry->at[i]->attachments, id, name))
			return registry->at[i];
	return NULL;
}

bool registry_is(const struct registry_entry *g, const char *id)
{
	if (strcmp(g->record.id, id) == 0)
		return true;
	for (const struct attachment *a = g->attachments.first; a; a = a->next)
		if (strcmp(a->id, id) == 0 || strcmp(a->pod, id) == 0)
			return true;
	return false;
}

struct registry_entry *registry_alias(const struct registry *registry,
				      const char *id)
{
	for (size_t i = 0; i < registry->list.n; i++)
		if (registry_is(registry->at[i], id))
			return registry->at[i];
	return NULL;
}

int registry_netns(const struct agent_place *place)
{
	return place->netns[0] ? netns_open(place->netns)
			       : netns_open_pid(place->pid);
}

/* The place and attachments of a sandbox whose policy stays. */
static int save_place(const struct registry_entry *g)
{
	json_t *attachments = attachments_json(&g->attachments);
	int err = agent_state_place(g->owner->shared->settings->agent_state,
				    &g->record, attachments);

	json_decref(attachments);
	return err;
}

static int fail_state(const struct registry *registry, char *message, int err)
{
	snprintf(message, MESSAGE_SIZE, "%.150s: %s",
		 registry->shared->settings->agent_state, strerror(-err));
	return err;
}

static void entry_free(struct registry_entry *g, bool release)
{
	pull_close(g->pull);
	attachments_clear(&g->attachments);
	sandbox_close(g->sandbox, release);
	free(g);
}

static int save_default(const struct registry *registry,
			const struct registry_request *wish, char *message)
{
	int err =
		agent_state_set_default(registry->shared->settings->agent_state,
					wish->record->id, wish->otherwise);

	return err ? fail_state(registry, message, err) : 0;
}

/* No more in the list, nor on the disk. */
static void forget(struct registry_entry *g)
{
	agent_state_forget(g->owner->shared->settings->agent_state,
			   g->record.id);
	list_remove(g->owner, g->record.id);
}

/* Whatever may still live in the namespace stays closed in. */
static void attachment_drop(struct registry_entry *g, struct attachment *a)
{
	int err;

	attachments_remove(&g->attachments, a);
	if (g->attachments.n == 0) {
		log_event(LOG_INFO, NULL, "sandbox has gone", "ssandbox_id",
			  g->record.id, NULL);
		forget(g);
		entry_free(g, false);
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

static int follow_url(struct registry_entry *g)
{
	const struct sandbox_shared *shared = g->owner->shared;

	if (!g->record.place.policy_url[0])
		return 0;
	return pull_open(&g->pull, shared->outlets, g->sandbox,
			 g->record.place.policy_url,
			 shared->settings->policy_token,
			 shared->settings->max_rules);
}

static int use_resolvers(struct registry_entry *g, char *message)
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
static struct registry_entry *entry_new(struct registry *registry,
					const struct agent_record *record)
{
	struct registry_entry *g = calloc(1, sizeof(*g));

	if (g && list_reserve(registry)) {
		free(g);
		return NULL;
	}
	if (g) {
		g->owner = registry;
		g->record = *record;
	}
	return g;
}

static int attach(struct registry_entry *g, const char *id, const char *name,
		  const struct agent_place *place, bool *added, char *message)
{
	int err = attachments_put(&g->attachments, g->owner->liveness, id, name,
				  place, g->record.identity, g, added);

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
static int guard(struct registry_entry *g, int netns, struct rules *rules,
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
		entry_free(g, false);
	return err;
}

int registry_replace(struct registry_entry *g,
		     const struct registry_request *wish, char *message)
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
	/* What follows may fail and leave this: it is in force nowhere yet. */
	err = save_default(g->owner, wish, message);
	g->record = *wish->record;
	attachment_place(g->attachments.first, &g->record.place);
	if (!err) {
		err = save_place(g);
		if (err)
			fail_state(g->owner, message, err);
	}
	if (!err)
		err = use_resolvers(g, message);
	if (err)
		rules_free(wish->rules);
	else
		err = sandbox_replace(g->sandbox, wish->rules, message);
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

int registry_set_policy(struct registry_entry *g, struct rules *rules,
			char *message)
{
	const struct settings *settings = g->owner->shared->settings;

	if (!rules)
		rules = agent_state_default(settings->agent_state, g->record.id,
					    settings->max_rules);
	if (!rules) {
		snprintf(message, MESSAGE_SIZE, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	if (rules_hash(rules) ==
	    rules_hash(policy_rules(sandbox_policy(g->sandbox)))) {
		rules_free(rules);
		return 0;
	}
	return sandbox_replace(g->sandbox, rules, message);
}

int registry_join(struct registry_entry *g, const struct registry_request *wish,
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
static void move_attachment(struct registry *registry,
			    const struct registry_entry *to, const char *id,
			    const char *name)
{
	for (size_t i = registry->list.n; i-- > 0;) {
		struct registry_entry *g = registry->at[i];
		struct attachment *a =
			attachments_find(&g->attachments, id, name);

		if (a && g != to)
			attachment_drop(g, a);
	}
}

int registry_put(struct registry_entry **out, struct registry *registry,
		 const struct registry_request *wish, int netns,
		 struct registry_entry *old, char *message)
{
	const char *folder = registry->shared->settings->agent_state;
	const struct agent_record *record = wish->record;
	struct registry_entry *g = entry_new(registry, record);
	struct agent_change change;
	json_t *attachments;
	int err;

	snprintf(message, MESSAGE_SIZE, "%s", strerror(ENOMEM));
	err = g ? attach(g, record->id, wish->name, &record->place, NULL,
			 message)
		: -ENOMEM;
	if (!err)
		err = save_default(registry, wish, message);
	if (!err) {
		attachments = attachments_json(&g->attachments);
		err = agent_state_prepare(&change, folder, record, attachments,
					  wish->rules);
		json_decref(attachments);
		if (err)
			fail_state(registry, message, err);
	}
	if (err) {
		close(netns);
		rules_free(wish->rules);
		if (g)
			entry_free(g, false);
		return err;
	}
	err = guard(g, netns, wish->rules, message);
	if (err) {
		agent_state_abandon(&change);
		return err;
	}
	err = agent_state_commit(&change);
	if (err) {
		entry_free(g, false);
		return fail_state(registry, message, err);
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
		list_remove(registry, record->id);
		entry_free(old, free_it);
	}
	list_add(registry, g);
	move_attachment(registry, g, record->id, wish->name);
	*out = g;
	return 0;
}

void registry_detach(struct registry_entry *g, const char *id, const char *name)
{
	attachment_drop(g, attachments_find(&g->attachments, id, name));
}

void registry_release(struct registry_entry *g)
{
	forget(g);
	entry_free(g, true);
}

/* Finding them again */

/* Those that an agent before us knew and that are still there. -ESRCH: none
 * is; another error where that is not known. */
static int attach_again(struct registry_entry *g, const json_t *attachments)
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
static int netns_again(struct registry_entry *g, const json_t *attachments)
{
	uint64_t identity[2];
	int netns = attach_again(g, attachments);

	if (netns < 0)
		return netns;
	netns = registry_netns(&g->record.place);
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
	struct registry *registry = arg;
	struct registry_entry *g = entry_new(registry, record);
	char message[MESSAGE_SIZE];
	int netns = g ? netns_again(g, attachments) : -ENOMEM;

	if (why)
		log_event(LOG_ERROR, NULL,
			  "a sandbox's policy cannot be read: it is denied all",
			  "ssandbox_id", record->id, "serror", why, NULL);
	if (netns == -ESRCH || netns == -ENOENT || netns == -EINVAL) {
		log_event(LOG_INFO, NULL, "sandbox has gone", "ssandbox_id",
			  record->id, NULL);
		agent_state_forget(registry->shared->settings->agent_state,
				   record->id);
		entry_free(g, false);
		rules_free(rules);
		return;
	}
	if (netns < 0) {
		snprintf(message, sizeof(message), "%s", strerror(-netns));
		rules_free(rules);
		if (g)
			entry_free(g, false);
	} else if (!g->record.asked && rules) {
		g->record.asked = rules_hash(rules);
	}
	if (netns >= 0 && guard(g, netns, rules, message) == 0) {
		list_add(registry, g);
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

int registry_open(struct registry *registry,
		  const struct sandbox_shared *shared)
{
	const struct settings *settings = shared->settings;
	int err;

	*registry = (struct registry){.shared = shared};
	limits_raise();
	err = liveness_open(&registry->liveness, shared->loop, on_gone,
			    registry);
	if (!err)
		err = agent_state_open(settings->agent_state);
	return err ? err
		   : agent_state_each(settings->agent_state,
				      settings->max_rules, restore, registry);
}

void registry_close(struct registry *registry)
{
	for (size_t i = 0; i < registry->list.n; i++)
		entry_free(registry->at[i], false);
	liveness_close(registry->liveness);
	free(registry->at);
	free(registry->list.at);
	*registry = (struct registry){0};
}
