/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_key(const void *key, const void *object)
{
	return strcmp(key, object_key(object));
}

static int compare(const void *a, const void *b)
{
	return strcmp(object_key(a), object_key(b));
}

static struct object *object_find(const struct feed_list *list, const char *key)
{
	struct object *const *found = tfind(key, &list->objects, compare_key);

	return found ? *found : NULL;
}

static struct object *object_new(struct feed_list *list, const char *key,
				 const char *record, size_t n)
{
	size_t key_len = strlen(key), len = strlen(record);
	struct object *object =
		malloc(sizeof(*object) + n * sizeof(object->holds[0]) +
		       key_len + len + 2);
	char *text;

	if (!object)
		return NULL;
	*object = (struct object){
		.list = list,
		.listing = list->listing,
		.key_len = (uint16_t)key_len,
		.n = (uint8_t)n,
	};
	text = (char *)&object->holds[n];
	memcpy(text, key, key_len + 1);
	memcpy(text + key_len + 1, record, len + 1);
	return object;
}

/* Let go of what it claims. */
static void object_release(struct object *object)
{
	struct source *source = object->list->source;

	for (size_t i = 0; i < object->n; i++)
		claim_release(&object->holds[i]);
	for (size_t i = 0; i < object->n; i++)
		claim_changed(source, object->holds[i].claim);
}

/* new in the place of the one of its key, old, NULL: there is none. 0 or
 * -ENOMEM. */
static int object_place(struct feed_list *list, struct object *old,
			struct object *new)
{
	if (old) {
		struct object **at =
			tfind(object_key(old), &list->objects, compare_key);

		*at = new;
		list->n_refused -= old->refused;
		object_release(old);
		free(old);
	} else if (tsearch(new, &list->objects, compare)) {
		list->n_objects++;
	} else {
		return -ENOMEM;
	}
	list->n_refused += new->refused;
	list->n_events++;
	return 0;
}

static void object_remove(struct object *object)
{
	struct feed_list *list = object->list;

	tdelete(object, &list->objects, compare);
	list->n_objects--;
	list->n_refused -= object->refused;
	list->n_events++;
	object_release(object);
	free(object);
}

/* Sandboxes */

/* The ids, none twice. Their number, which may be 0, or -EINVAL. */
static int ids_of(const struct feed_sandbox *sandbox,
		  const char *ids[FEED_IDS_MAX])
{
	int n = 0;

	for (size_t i = 0; i < FEED_IDS_MAX && sandbox->ids[i]; i++) {
		size_t len = strlen(sandbox->ids[i]);
		int at = 0;

		if (len == 0 || len > FEED_ID_MAX)
			return -EINVAL;
		while (at < n && strcmp(ids[at], sandbox->ids[i]) != 0)
			at++;
		if (at == n)
			ids[n++] = sandbox->ids[i];
	}
	return n;
}

static bool is_same(const struct object *object, const char *const *ids,
		    size_t n, const char *record)
{
	if (object->n != n || strcmp(object_record(object), record) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(object->holds[i].claim->id, ids[i]) != 0)
			return false;
	return true;
}

/* The claims of ids, all or none. 0 or -ENOMEM. */
static int claims_get(struct source *source, const char *const *ids, size_t n,
		      struct claim **claims)
{
	for (size_t i = 0; i < n; i++) {
		claims[i] = claim_get(source, ids[i]);
		if (claims[i])
			continue;
		while (i-- > 0)
			claim_tidy(source, claims[i]);
		return -ENOMEM;
	}
	return 0;
}

static int put(struct feed_list *list, const char *key, const char *const *ids,
	       size_t n, const char *record)
{
	struct object *old = object_find(list, key), *new;
	struct claim *claims[FEED_IDS_MAX];

	if (old && is_same(old, ids, n, record)) {
		old->listing = list->listing;
		return 0;
	}
	new = object_new(list, key, record, n);
	if (!new || claims_get(list->source, ids, n, claims)) {
		free(new);
		return -ENOMEM;
	}
	/* Held before the old one lets go, so that a claim of both stays. */
	for (size_t i = 0; i < n; i++)
		claim_hold(claims[i], &new->holds[i], new);
	if (object_place(list, old, new)) {
		object_release(new);
		free(new);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		claim_changed(list->source, claims[i]);
	return 0;
}

int feed_put(struct feed_list *list, const char *key,
	     const struct feed_sandbox *sandbox)
{
	struct feed *feed = list->source->feed;
	const char *ids[FEED_IDS_MAX];
	int n = ids_of(sandbox, ids), err;
	char *record;

	if (n < 0 || strlen(key) > FEED_KEY_MAX)
		return -EINVAL;
	record = sandbox->record ? json_dumps(sandbox->record,
					      JSON_COMPACT | JSON_SORT_KEYS)
				 : strdup("{}");
	if (!record)
		return -ENOMEM;
	err = put(list, key, ids, (size_t)n, record);
	free(record);
	if (!err && feed->agent)
		err = agent_put(feed->agent, list, key, sandbox);
	return err;
}

void feed_refuse(struct feed_list *list, const char *key, const char *why)
{
	struct object *old = object_find(list, key), *new;

	if (strlen(key) > FEED_KEY_MAX)
		return;
	if (old && is_same(old, NULL, 0, why)) {
		old->listing = list->listing;
		return;
	}
	log_event(EVENT(event_refused), "an object cannot be taken", "ssource",
		  list->source->name, "slist", list->name, "sobject", key,
		  "serror", why, NULL);
	new = object_new(list, key, why, 0);
	if (!new)
		return;
	new->refused = true;
	if (object_place(list, old, new))
		free(new);
}

void feed_delete(struct feed_list *list, const char *key)
{
	struct object *object = object_find(list, key);
	struct feed *feed = list->source->feed;

	if (!object)
		return;
	if (feed->agent)
		agent_delete(feed->agent, list, key);
	object_remove(object);
}

/* Listings */

void feed_list_begin(struct feed_list *list)
{
	list->listing++;
}

/* What a listing did not name. */
struct stale {
	const struct feed_list *list;
	struct object **at;
	size_t n, room;
	bool no_memory;
};

static void collect_stale(const void *node, VISIT visit, void *arg)
{
	struct object *object = *(struct object *const *)node;
	struct stale *stale = arg;
	struct object **at;

	if ((visit != postorder && visit != leaf) ||
	    object->listing == stale->list->listing || stale->no_memory)
		return;
	if (stale->n == stale->room) {
		stale->room = stale->room * 2 + 16;
		at = reallocarray(stale->at, stale->room, sizeof(*at));
		if (!at) {
			stale->no_memory = true;
			return;
		}
		stale->at = at;
	}
	stale->at[stale->n++] = object;
}

void feed_list_end(struct feed_list *list)
{
	struct feed *feed = list->source->feed;
	struct stale stale = {.list = list};

	twalk_r(list->objects, collect_stale, &stale);
	for (size_t i = 0; i < stale.n; i++) {
		if (feed->agent)
			agent_delete(feed->agent, list,
				     object_key(stale.at[i]));
		object_remove(stale.at[i]);
	}
	free(stale.at);
	log_event(EVENT(event_listed), "listed", "ssource", list->source->name,
		  "slist", list->name, "iobjects", (long long)list->n_objects,
		  "irefused", (long long)list->n_refused, "igone",
		  (long long)stale.n, NULL);
	feed_list_ok(list);
	if (list->complete)
		return;
	list->complete = true;
	if (source_complete(list->source))
		queue_whole(list->source, 0);
	feed_settle(feed);
}

void feed_list_failed(struct feed_list *list, const char *error)
{
	const struct feed_settings *settings = &list->source->feed->settings;

	list->n_failures++;
	if (!list->error || strcmp(list->error, error) != 0) {
		free(list->error);
		list->error = strdup(error);
		log_event(EVENT(event_failed),
			  "cannot list or watch; what is known stays",
			  "ssource", list->source->name, "slist", list->name,
			  "serror", error, NULL);
	}
	if (settings->settled)
		settings->settled(settings->arg, false);
}

void feed_list_ok(struct feed_list *list)
{
	if (list->error)
		log_event(LOG_INFO, event_failed.name,
			  "lists and watches again", "ssource",
			  list->source->name, "slist", list->name, NULL);
	free(list->error);
	list->error = NULL;
}
