/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct attachment *attachments_find(const struct attachments *list,
				    const char *id, const char *name)
{
	struct attachment *a = list->first;

	while (a && (strcmp(a->id, id) != 0 || strcmp(a->name, name) != 0))
		a = a->next;
	return a;
}

bool attachments_others(const struct attachments *list, const char *id,
			const char *name)
{
	return list->n > (attachments_find(list, id, name) ? 1 : 0);
}

static void attachment_free(struct attachment *a)
{
	liveness_remove(a->alive);
	free(a->netns);
	free(a);
}

static int attachment_new(struct attachment **out, struct liveness *liveness,
			  const struct agent_place *place,
			  const uint64_t identity[2])
{
	struct attachment *a = calloc(1, sizeof(*a));
	int err = 0;

	if (!a)
		return -ENOMEM;
	a->pid = place->pid;
	memcpy(a->pod, place->pod, sizeof(a->pod));
	if (place->netns[0]) {
		a->netns = strdup(place->netns);
		err = a->netns ? 0 : -ENOMEM;
	}
	if (!err)
		err = liveness_add(&a->alive, liveness, place, identity, a);
	if (err)
		attachment_free(a);
	else
		*out = a;
	return err;
}

int attachments_put(struct attachments *list, struct liveness *liveness,
		    const char *id, const char *name,
		    const struct agent_place *place, const uint64_t identity[2],
		    void *of, bool *added)
{
	struct attachment **link = &list->first, *old, *a;
	int err;

	while ((old = *link) &&
	       (strcmp(old->id, id) != 0 || strcmp(old->name, name) != 0))
		link = &old->next;
	if (!old && list->n == ATTACHMENTS_MAX)
		return -E2BIG;
	err = attachment_new(&a, liveness, place, identity);
	if (err)
		return err;
	memcpy(a->id, id, strlen(id) + 1);
	memcpy(a->name, name, strlen(name) + 1);
	a->of = of;
	a->next = old ? old->next : NULL;
	*link = a;
	if (old)
		attachment_free(old);
	else
		list->n++;
	if (added)
		*added = !old;
	return 0;
}

void attachments_remove(struct attachments *list, struct attachment *a)
{
	struct attachment **link = &list->first;

	while (*link != a)
		link = &(*link)->next;
	*link = a->next;
	list->n--;
	attachment_free(a);
}

void attachments_clear(struct attachments *list)
{
	while (list->first)
		attachments_remove(list, list->first);
}

void attachment_place(const struct attachment *a, struct agent_place *place)
{
	place->pid = a->pid;
	memcpy(place->pod, a->pod, sizeof(place->pod));
	place->netns[0] = '\0';
	if (a->netns)
		memcpy(place->netns, a->netns, strlen(a->netns) + 1);
}

json_t *attachments_json(const struct attachments *list)
{
	json_t *array = json_array();

	for (const struct attachment *a = list->first; a; a = a->next) {
		json_t *json = json_pack("{ss ss}", "id", a->id, "attachment",
					 a->name);

		if (a->netns)
			json_object_set_new(json, "netns",
					    json_string(a->netns));
		else
			json_object_set_new(json, "pid", json_integer(a->pid));
		if (a->pod[0])
			json_object_set_new(json, "pod", json_string(a->pod));
		json_array_append_new(array, json);
	}
	return array;
}

int attachment_read(const json_t *object, char id[AGENT_ID_MAX + 1],
		    char name[AGENT_ATTACHMENT_MAX + 1],
		    struct agent_place *place)
{
	const char *text = json_string_value(json_object_get(object, "id"));
	struct agent_fault fault;

	if (!text || agent_id_read(id, text, strlen(text)) ||
	    agent_attachment_read(name, json_object_get(object, "attachment")))
		return -EINVAL;
	return agent_place_read(place, object, &fault);
}
