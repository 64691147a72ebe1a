/* SPDX-License-Identifier: Apache-2.0 */
#include "generate.h"

#include "policy/policy.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint64_t random_state;

void model_seed(uint64_t seed)
{
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

unsigned int model_pick(unsigned int n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned int)(random_state >> 33) % n;
}

void model_name(char out[MODEL_NAME_MAX])
{
	static const char *const labels[] = {"a", "b", "xn--c"};
	unsigned int n = 1 + model_pick(4);

	out[0] = '\0';
	for (unsigned int i = 0; i < n; i++) {
		strcat(out, labels[model_pick(3)]);
		if (i + 1 < n)
			strcat(out, ".");
	}
}

void model_address(struct address *a)
{
	static const char *const bases[] = {"198.51.100.0",
					    "10.0.0.0",
					    "0.0.0.0",
					    "255.255.255.240",
					    "2001:db8::",
					    "fd00::",
					    "::",
					    "64:ff9b::a00:0",
					    "ffff:ffff:ffff:ffff:ffff:ffff:"
					    "ffff:fff0"};

	unsigned int base = model_pick(8) * (model_pick(4) > 0);
	int err;

	if (model_pick(16) == 0)
		base = 8;
	err = address_from_text(a, bases[base]);
	assert(err == 0);
	(void)err;
	a->bytes[address_size(a) - 1] |= (uint8_t)model_pick(16);
}

static void random_range(struct model_rule *r)
{
	unsigned int size,
		host = model_pick(8) ? model_pick(5) : 5 + model_pick(123);
	char text[ADDRESS_TEXT_MAX];

	model_address(&r->base);
	size = (unsigned int)address_size(&r->base) * 8;
	r->bits = host > size ? 0 : size - host;
	for (unsigned int bit = r->bits; bit < size; bit++)
		r->base.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	r->is_address = true;
	/* ::/96 and above would read as what IPv4 is mapped into */
	snprintf(r->target, sizeof(r->target), "%s/%u",
		 address_to_text(&r->base, text), r->bits);
}

static void random_ports(struct model_rule *r)
{
	unsigned int protocols = model_pick(3);

	r->limited = true;
	r->tcp = protocols != 1;
	r->udp = protocols != 0;
	r->n_ports = protocols == 2 ? 1 + model_pick(MODEL_PORTS_MAX)
				    : model_pick(MODEL_PORTS_MAX + 1);
	for (size_t i = 0; i < r->n_ports; i++) {
		r->port[i].first = 1 + model_pick(MODEL_PORT_WORLD);
		r->port[i].last =
			r->port[i].first + model_pick(3) * model_pick(4);
		if (model_pick(10) == 0)
			r->port[i].last = 65535;
	}
}

/* A name's rule may list 64 ports, and none where it denies. */
static bool ports_fit(const struct model_rule *r)
{
	unsigned int count = 0;

	if (r->is_address || !strcmp(r->target, "*"))
		return true;
	for (size_t i = 0; i < r->n_ports; i++)
		count += r->port[i].last - r->port[i].first + 1;
	return r->allow && count <= POLICY_NAME_PORTS_MAX;
}

static void random_target(struct model_rule *r)
{
	char name[32];

	memset(r, 0, sizeof(*r));
	r->allow = model_pick(2);
	switch (model_pick(10)) {
	case 0:
		strcpy(r->target, "*");
		break;
	case 1:
	case 2:
		model_name(name);
		snprintf(r->target, sizeof(r->target), "*.%s", name);
		break;
	case 3:
	case 4:
	case 5:
		model_name(r->target);
		break;
	default:
		random_range(r);
	}
}

static void random_rule(struct model_rule *r, bool ports)
{
	random_target(r);
	if (model_pick(4) == 0) {
		r->has_priority = true;
		r->priority = (int)model_pick(8) - 2;
	}
	if (ports && model_pick(2)) {
		random_ports(r);
		if (!ports_fit(r))
			r->limited = false;
	}
}

unsigned int model_port(void)
{
	return model_pick(8) ? model_pick(MODEL_PORT_WORLD + 12) : 65535;
}

static void draw_always(struct model *m, bool allow)
{
	unsigned int n = model_pick(4) ? 0 : model_pick(MODEL_ALWAYS_MAX + 1);

	for (unsigned int i = 0; i < n; i++) {
		struct model_rule *r = &m->rule[m->n++];

		random_target(r);
		r->allow = allow;
		r->source = allow ? "allow.always" : "deny.always";
		r->index = (int)i;
	}
}

void model_draw_always(struct model *m)
{
	m->n = 0;
	draw_always(m, false);
	draw_always(m, true);
	m->n_always = m->n;
}

/* Insertion sort: stable, so that ties stay in their places. */
static void sort_by_priority(struct model_rule *rule, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct model_rule moved = rule[i];
		size_t j = i;

		for (; j > 0 && rule[j - 1].priority > moved.priority; j--)
			rule[j] = rule[j - 1];
		rule[j] = moved;
	}
}

void model_draw_policy(struct model *m)
{
	bool ports = model_pick(2);
	unsigned int n = model_pick(MODEL_RULES_MAX + 1);

	m->n = m->n_always;
	m->allow = model_pick(2);
	for (unsigned int i = 0; i < n; i++) {
		struct model_rule *r = &m->rule[m->n++];

		random_rule(r, ports);
		if (!r->has_priority)
			r->priority = (int)i;
		r->source = "policy";
		r->index = (int)i;
	}
	sort_by_priority(m->rule + m->n_always, n);
}

static json_t *rule_json(const struct model_rule *r)
{
	json_t *json =
		json_pack("{s:s, s:s}", "action", r->allow ? "allow" : "deny",
			  "target", r->target);

	if (r->has_priority)
		json_object_set_new(json, "priority",
				    json_integer(r->priority));
	if (r->limited && r->tcp != r->udp)
		json_object_set_new(json, "protocol",
				    json_string(r->tcp ? "tcp" : "udp"));
	if (r->limited && r->n_ports) {
		json_t *ports = json_array();

		for (size_t i = 0; i < r->n_ports; i++) {
			unsigned int first = r->port[i].first;
			unsigned int last = r->port[i].last;

			json_array_append_new(
				ports,
				first == last
					? json_integer(first)
					: json_sprintf("%u-%u", first, last));
		}
		json_object_set_new(json, "ports", ports);
	}
	return json;
}

json_t *model_document(const struct model *m)
{
	json_t *egress = json_array();

	for (size_t index = 0; index < m->n - m->n_always; index++) {
		const struct model_rule *r = m->rule + m->n_always;

		while (r->index != (int)index)
			r++;
		json_array_append_new(egress, rule_json(r));
	}
	return json_pack("{s:s, s:o}", "defaultAction",
			 m->allow ? "allow" : "deny", "egress", egress);
}
