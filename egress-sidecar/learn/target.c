/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROOM_FIRST = 16
};

int targets_add(struct targets *t, const struct domain_name *name,
		const struct address *a)
{
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : ROOM_FIRST;
		struct target *wider =
			reallocarray(t->at, room, sizeof(*wider));

		if (!wider)
			return -ENOMEM;
		t->at = wider;
		t->room = room;
	}
	t->at[t->n] = (struct target){.below = false};
	if (name)
		t->at[t->n].name = *name;
	else
		t->at[t->n].a = *a;
	t->n++;
	return 0;
}

static int order_uses(const struct use *a, const struct use *b)
{
	return a->protocol == b->protocol ? (int)a->port - (int)b->port
					  : (int)a->protocol - (int)b->protocol;
}

int targets_use(struct targets *targets, const struct use *use)
{
	struct target *t = &targets->at[targets->n - 1];
	struct use *wider;
	size_t i = t->n_uses;

	while (i > 0 && order_uses(&t->use[i - 1], use) > 0)
		i--;
	if (i > 0 && order_uses(&t->use[i - 1], use) == 0)
		return 0;
	wider = reallocarray(t->use, t->n_uses + 1, sizeof(*wider));
	if (!wider)
		return -ENOMEM;
	t->use = wider;
	memmove(&t->use[i + 1], &t->use[i], (t->n_uses - i) * sizeof(*t->use));
	t->use[i] = *use;
	t->n_uses++;
	return 0;
}

void targets_free(struct targets *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->at[i].use);
	free(t->at);
	*t = (struct targets){.at = NULL};
}

static int add_rule(json_t *array, const struct target *t, json_t *ports,
		    const char *protocol, const int *priority)
{
	char name[DOMAIN_NAME_TEXT_MAX + 2] = "*.", address[ADDRESS_TEXT_MAX];
	const char *target = name;
	json_t *rule;

	if (t->name.len) {
		domain_name_to_text(&t->name, name + 2);
		target += t->below ? 0 : 2;
	} else {
		target = address_to_text(&t->a, address);
	}
	rule = json_pack("{ss ss}", "action", "allow", "target", target);
	if (!rule)
		return -ENOMEM;
	if (ports)
		json_object_set(rule, "ports", ports);
	if (protocol)
		json_object_set_new(rule, "protocol", json_string(protocol));
	if (priority)
		json_object_set_new(rule, "priority", json_integer(*priority));
	return json_array_append_new(array, rule) ? -ENOMEM : 0;
}

/* Can a rule say these ports? Neither those of other protocols nor too many,
 * and no target is without any. */
static bool sayable(const struct target *t)
{
	if (t->n_uses == 0 || t->n_uses > POLICY_NAME_PORTS_MAX)
		return false;
	for (size_t i = 0; i < t->n_uses; i++) {
		uint8_t protocol = t->use[i].protocol;

		if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) ||
		    t->use[i].port == 0)
			return false;
	}
	return true;
}

static json_t *ports_of(const struct target *t, uint8_t protocol)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < t->n_uses; i++)
		if (t->use[i].protocol == protocol)
			json_array_append_new(ports,
					      json_integer(t->use[i].port));
	return ports;
}

int target_rules(json_t *array, const struct target *t, bool ports,
		 const int *priority, size_t *dropped_ports)
{
	json_t *tcp, *udp;
	int err = 0;

	if (!ports || !sayable(t)) {
		*dropped_ports += ports;
		return add_rule(array, t, NULL, NULL, priority);
	}
	tcp = ports_of(t, IPPROTO_TCP);
	udp = ports_of(t, IPPROTO_UDP);
	if (json_equal(tcp, udp)) {
		err = add_rule(array, t, tcp, NULL, priority);
	} else {
		if (json_array_size(tcp))
			err = add_rule(array, t, tcp, "tcp", priority);
		if (!err && json_array_size(udp))
			err = add_rule(array, t, udp, "udp", priority);
	}
	json_decref(tcp);
	json_decref(udp);
	return err;
}
