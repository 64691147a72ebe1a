/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_id(const void *id, const void *claim)
{
	return strcmp(id, ((const struct claim *)claim)->id);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct claim *)a)->id,
		      ((const struct claim *)b)->id);
}

struct claim *claim_find(const struct source *source, const char *id)
{
	struct claim *const *found = tfind(id, &source->claims, compare_id);

	return found ? *found : NULL;
}

struct claim *claim_get(struct source *source, const char *id)
{
	struct claim *claim = claim_find(source, id);
	size_t len = strlen(id) + 1;

	if (claim)
		return claim;
	claim = calloc(1, sizeof(*claim) + len);
	if (!claim)
		return NULL;
	memcpy(claim->id, id, len);
	if (!tsearch(claim, &source->claims, compare)) {
		free(claim);
		return NULL;
	}
	return claim;
}

void claim_hold(struct claim *claim, struct hold *hold, struct object *object)
{
	hold->object = object;
	hold->claim = claim;
	hold->link = &claim->holds;
	hold->next = claim->holds;
	if (hold->next)
		hold->next->link = &hold->next;
	claim->holds = hold;
}

void claim_release(struct hold *hold)
{
	*hold->link = hold->next;
	if (hold->next)
		hold->next->link = hold->link;
}

/* An object's own id comes before its aliases. */
static bool is_own(const struct hold *hold)
{
	return hold == &hold->object->holds[0];
}

/* The best hold on a claim, and another one as good; NULL: none. Of many that
 * have one id, two are looked at. */
static const struct hold *best(const struct claim *claim,
			       const struct hold **rival)
{
	const struct hold *first = NULL;

	*rival = NULL;
	for (const struct hold *h = claim->holds; h; h = h->next) {
		if (h->object->refused ||
		    (first && is_own(first) && !is_own(h)))
			continue;
		if (!first || is_own(h) != is_own(first)) {
			first = h;
			*rival = NULL;
		} else {
			*rival = h;
			if (is_own(h))
				break;
		}
	}
	return first;
}

struct object *claim_owner(const struct claim *claim)
{
	const struct hold *rival, *first = best(claim, &rival);

	return first && !rival ? first->object : NULL;
}

static void count(struct source *source, const struct claim *claim, bool up)
{
	uint64_t one = up ? 1 : UINT64_MAX;

	source->n_records += claim->verdict != ABSENT ? one : 0;
	source->n_ambiguous += claim->verdict == AMBIGUOUS ? one : 0;
}

static void judge(struct source *source, struct claim *claim)
{
	enum verdict before = claim->verdict;
	const struct hold *rival, *first = best(claim, &rival);

	count(source, claim, false);
	claim->verdict = rival ? AMBIGUOUS : first ? SERVED : ABSENT;
	claim->left_out = false;
	count(source, claim, true);
	if (claim->verdict == AMBIGUOUS && before != AMBIGUOUS)
		log_event(EVENT(event_ambiguous),
			  "two objects have one id; neither is served",
			  "ssource", source->name, "ssandbox_id", claim->id,
			  "sobject", object_key(first->object), "sother",
			  object_key(rival->object), NULL);
	else if (claim->verdict != AMBIGUOUS && before == AMBIGUOUS)
		log_event(LOG_INFO, event_ambiguous.name,
			  "an id is one object's again", "ssource",
			  source->name, "ssandbox_id", claim->id, "sobject",
			  first ? object_key(first->object) : NULL, NULL);
}

void claim_changed(struct source *source, struct claim *claim)
{
	judge(source, claim);
	if (claim->verdict != ABSENT || claim->fed || claim->sending)
		queue_add(source, claim);
	claim_tidy(source, claim);
}

void claim_tidy(struct source *source, struct claim *claim)
{
	if (claim->holds || claim->queued || claim->sending ||
	    (claim->fed && !source->whole_due))
		return;
	claim_set_conflict(source, claim, false);
	tdelete(claim, &source->claims, compare);
	free(claim);
}

void claim_set_conflict(struct source *source, struct claim *claim,
			bool conflict)
{
	if (claim->conflict == conflict)
		return;
	claim->conflict = conflict;
	source->n_conflicts += conflict ? 1 : UINT64_MAX;
	if (conflict)
		log_event(EVENT(event_conflict),
			  "the gateway has the id from another source",
			  "ssource", source->name, "ssandbox_id", claim->id,
			  "sobject",
			  claim_owner(claim) ? object_key(claim_owner(claim))
					     : NULL,
			  NULL);
}

static void settle_conflict(const void *node, VISIT visit, void *arg)
{
	struct claim *claim = *(struct claim *const *)node;

	if (visit != postorder && visit != leaf)
		return;
	claim_set_conflict(arg, claim, claim->listed);
	claim->listed = false;
}

void claims_conflicts(struct source *source)
{
	twalk_r(source->claims, settle_conflict, source);
}

static void retry(const void *node, VISIT visit, void *arg)
{
	struct claim *claim = *(struct claim *const *)node;

	if ((visit == postorder || visit == leaf) && claim->conflict)
		queue_add(arg, claim);
}

void claims_retry(struct source *source)
{
	twalk_r(source->claims, retry, source);
}

void claim_refuse(struct source *source, struct claim *claim, const char *field,
		  const char *message)
{
	struct object *object = claim_owner(claim);

	log_event(EVENT(event_refused), "the gateway does not take a record",
		  "ssource", source->name, "ssandbox_id", claim->id, "sobject",
		  object ? object_key(object) : NULL, "sfield", field, "serror",
		  message, NULL);
	if (!object) {
		claim->left_out = true;
		return;
	}
	object->refused = true;
	object->list->n_refused++;
	for (size_t i = 0; i < object->n; i++)
		claim_changed(source, object->holds[i].claim);
}

void claims_free(struct source *source)
{
	tdestroy(source->claims, free);
	source->claims = NULL;
}
