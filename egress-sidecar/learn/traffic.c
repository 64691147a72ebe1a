/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"

#include "log/log.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* An address and the names that have led to it. */
struct seen_address {
	struct address a;
	struct seen_name **name;
	size_t n_names;
};

int name_order(const struct domain_name *a, const struct domain_name *b)
{
	uint8_t at_a[DOMAIN_LABELS_MAX], at_b[DOMAIN_LABELS_MAX];
	size_t i = domain_name_labels(a, at_a);
	size_t k = domain_name_labels(b, at_b);

	while (i > 0 && k > 0) {
		const uint8_t *x = a->wire + at_a[--i];
		const uint8_t *y = b->wire + at_b[--k];
		size_t least = x[0] < y[0] ? x[0] : y[0];
		int order = memcmp(x + 1, y + 1, least);

		if (order == 0)
			order = (int)x[0] - (int)y[0];
		if (order != 0)
			return order;
	}
	return (i > 0) - (k > 0);
}

static int order_names(const void *a, const void *b)
{
	const struct seen_name *x = a, *y = b;

	return name_order(&x->name, &y->name);
}

static int order_addresses(const void *a, const void *b)
{
	const struct seen_address *x = a, *y = b;

	return address_compare(&x->a, &y->a);
}

static int order_contacts(const void *a, const void *b)
{
	const struct contact *x = a, *y = b;
	int order = (x->name == NULL) - (y->name == NULL);

	if (order == 0 && x->name && x->name != y->name)
		order = name_order(&x->name->name, &y->name->name);
	if (order == 0)
		order = address_compare(&x->a, &y->a);
	if (order == 0)
		order = (int)x->protocol - (int)y->protocol;
	return order ? order : (int)x->port - (int)y->port;
}

/* The node of the tree that equals key, else a copy of it put there. NULL
 * with *err -ENOSPC (counted) or -ENOMEM. */
static void *tree_take(struct traffic *t, void **tree, size_t *n, size_t max,
		       const void *key, size_t size,
		       int (*order)(const void *, const void *), int *err)
{
	void **node = tfind(key, tree, order), *copy;

	if (node)
		return *node;
	if (*n == max) {
		t->forgotten++;
		*err = -ENOSPC;
		return NULL;
	}
	copy = malloc(size);
	if (copy)
		memcpy(copy, key, size);
	node = copy ? tsearch(copy, tree, order) : NULL;
	if (!node) {
		free(copy);
		*err = -ENOMEM;
		return NULL;
	}
	(*n)++;
	return copy;
}

/* NULL where the text is no host name, or there is no room; *err is then 0,
 * or -ENOMEM. */
static struct seen_name *take_name(struct traffic *t, const char *text,
				   int *err)
{
	struct seen_name key = {.denied_by_rule = false}, *name;
	const char *why;

	/* What ends in a number is no name in a policy either. */
	if (domain_name_from_text(&key.name, text, &why) < 0 ||
	    domain_name_ends_in_number(&key.name)) {
		t->no_host_names++;
		return NULL;
	}
	name = tree_take(t, &t->names, &t->n_names, TRAFFIC_NAMES_MAX, &key,
			 sizeof(key), order_names, err);
	if (*err == -ENOSPC)
		*err = 0;
	return name;
}

static struct seen_address *take_address(struct traffic *t,
					 const struct address *a, int *err)
{
	struct seen_address key = {.a = *a}, *address;

	address = tree_take(t, &t->addresses, &t->n_addresses,
			    TRAFFIC_ADDRESSES_MAX, &key, sizeof(key),
			    order_addresses, err);
	if (*err == -ENOSPC)
		*err = 0;
	return address;
}

static bool is_linked(const struct seen_address *address,
		      const struct seen_name *name)
{
	for (size_t i = 0; i < address->n_names; i++)
		if (address->name[i] == name)
			return true;
	return false;
}

/* name led to the address. */
static int link_name(struct seen_address *address, struct seen_name *name)
{
	struct seen_name **wider;

	if (is_linked(address, name))
		return 0;
	wider = reallocarray(address->name, address->n_names + 1,
			     sizeof(struct seen_name *));
	if (!wider)
		return -ENOMEM;
	address->name = wider;
	address->name[address->n_names++] = name;
	return 0;
}

static int take_contact(struct traffic *t, const struct contact *key)
{
	struct contact *contact;
	int err = 0;

	contact =
		tree_take(t, &t->contacts, &t->n_contacts, TRAFFIC_CONTACTS_MAX,
			  key, sizeof(*key), order_contacts, &err);
	if (!contact)
		return err == -ENOSPC ? 0 : err;
	contact->gated |= key->gated;
	if (key->name)
		key->name->contacted = true;
	return 0;
}

static const char *text_of(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

/* Addresses that an answer held, admitted or not: audit tells them all. */
static int take_answer(struct traffic *t, struct seen_name *name,
		       const json_t *list)
{
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)list, i, item)
	{
		const char *text = json_string_value(item);
		struct seen_address *address;
		struct address a;
		int err = 0;

		if (!text || address_from_text(&a, text) < 0)
			continue;
		address = take_address(t, &a, &err);
		if (address)
			err = link_name(address, name);
		if (err)
			return err;
	}
	return 0;
}

static int take_lookup(struct traffic *t, const json_t *line, const char *host)
{
	int err = 0;
	struct seen_name *name;

	t->lookups++;
	name = take_name(t, host, &err);
	if (!name)
		return err;
	name->denied_by_rule |= text_of(line, "rule") != NULL;
	err = take_answer(t, name, json_object_get(line, "target.ips"));
	if (!err)
		err = take_answer(t, name,
				  json_object_get(line, "refused.ips"));
	return err;
}

static bool is_gates(const char *reason)
{
	for (enum gate_reason i = 0; i < GATE_REASONS && reason; i++)
		if (strcmp(reason, gate_reason_text(i)) == 0)
			return true;
	return false;
}

/* What the gate would have refused needs the name that it gave; where it gave
 * none, the address. */
static int take_connection(struct traffic *t, struct contact *contact,
			   const char *host)
{
	int err = 0;

	contact->gated = true;
	contact->name = host ? take_name(t, host, &err) : NULL;
	return host && !contact->name ? err : take_contact(t, contact);
}

static int take_packet(struct traffic *t, const json_t *line, const char *ip)
{
	const char *protocol = text_of(line, "protocol");
	const char *host = text_of(line, "target.host");
	json_int_t port =
		json_integer_value(json_object_get(line, "target.port"));
	struct contact contact = {.port = (uint16_t)port};
	struct seen_address *address;
	struct seen_name *name;
	int err = 0;

	if (address_from_text(&contact.a, ip) < 0 || !protocol ||
	    protocol_from_text(&contact.protocol, protocol) < 0 || port < 0 ||
	    port > UINT16_MAX) {
		t->unreadable++;
		return 0;
	}
	t->packets++;
	if (is_gates(text_of(line, "reason")))
		return take_connection(t, &contact, host);
	address = take_address(t, &contact.a, &err);
	if (!address)
		return err;
	name = host ? take_name(t, host, &err) : NULL;
	if (name)
		err = link_name(address, name);
	if (!err && address->n_names == 0)
		err = take_contact(t, &contact);
	for (size_t i = 0; i < address->n_names && !err; i++) {
		contact.name = address->name[i];
		err = take_contact(t, &contact);
	}
	return err;
}

static bool is_others(const struct traffic *t, const json_t *line)
{
	const char *id = text_of(line, "sandbox_id");

	return t->sandbox_id && (!id || strcmp(id, t->sandbox_id) != 0);
}

static int take_event(struct traffic *t, const json_t *line, const char *event)
{
	const json_t *held = json_object_get(line, "suppressed");
	const char *host = text_of(line, "target.host");
	const char *ip = text_of(line, "target.ip");
	const char *direction = text_of(line, "direction");

	t->suppressed += (uint64_t)json_integer_value(held);
	t->loaded |= strcmp(event, event_loaded.name) == 0;
	if (strcmp(event, event_outbound.name) == 0)
		return host ? take_lookup(t, line, host) : 0;
	if (strcmp(event, event_denied.name) != 0)
		return 0;
	if (!ip)
		return host ? take_lookup(t, line, host) : 0;
	if (direction && strcmp(direction, "inbound") == 0)
		return 0;
	return take_packet(t, line, ip);
}

int traffic_take(struct traffic *t, const char *text, size_t len)
{
	const char *brace = memchr(text, '{', len);
	const char *event, *level;
	json_t *line = NULL;
	int err = 0;

	t->warning = false;
	if (brace)
		line = json_loadb(brace, len - (size_t)(brace - text), 0, NULL);
	level = text_of(line, "level");
	if (!level || !text_of(line, "msg")) {
		t->unreadable += len > 0;
		goto cleanup;
	}
	t->lines++;
	event = text_of(line, "event");
	t->warning = strcmp(level, "error") == 0 ||
		     (!event && strcmp(level, "warn") == 0);
	if (event && !is_others(t, line))
		err = take_event(t, line, event);
cleanup:
	json_decref(line);
	return err;
}

int traffic_init(struct traffic *t, const char *sandbox_id)
{
	*t = (struct traffic){.names = NULL};
	if (sandbox_id)
		t->sandbox_id = strdup(sandbox_id);
	return sandbox_id && !t->sandbox_id ? -ENOMEM : 0;
}

bool traffic_led(const struct traffic *t, const struct contact *contact)
{
	const struct seen_address key = {.a = contact->a};
	struct seen_address *const *address =
		tfind(&key, &t->addresses, order_addresses);

	return address && is_linked(*address, contact->name);
}

static void free_address(void *node)
{
	struct seen_address *address = node;

	free(address->name);
	free(address);
}

void traffic_free(struct traffic *t)
{
	tdestroy(t->contacts, free);
	tdestroy(t->addresses, free_address);
	tdestroy(t->names, free);
	free(t->sandbox_id);
}

struct gathering {
	void **list;
	size_t n;
};

static void gather(const void *node, VISIT visit, void *arg)
{
	struct gathering *g = arg;

	if (visit == postorder || visit == leaf)
		g->list[g->n++] = *(void *const *)node;
}

static void *gather_all(const void *tree, size_t n)
{
	struct gathering g = {calloc(n + 1, sizeof(void *)), 0};

	if (g.list)
		twalk_r(tree, gather, &g);
	return g.list;
}

struct contact **traffic_contacts(const struct traffic *t)
{
	return gather_all(t->contacts, t->n_contacts);
}

struct seen_name **traffic_names(const struct traffic *t)
{
	return gather_all(t->names, t->n_names);
}
