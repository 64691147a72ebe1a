/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sets, and what they hold of the settings, the namespace and the leases.
 */
#include "ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

const struct lease_set_form lease_set_forms[LEASE_SETS] = {
	[LEASES4] = {"learned4", "grace4", KEY_IPV4},
	[LEASES6] = {"learned6", "grace6", KEY_IPV6},
	[LEASES4_PORTS] = {"learned4_ports", "grace4_ports", KEY_IPV4_NUMBER},
	[LEASES6_PORTS] = {"learned6_ports", "grace6_ports", KEY_IPV6_NUMBER},
	[GATED4] = {"gated4", NULL, KEY_IPV4_PORT},
	[GATED6] = {"gated6", NULL, KEY_IPV6_PORT},
};

/* Sets of ranges that the settings and the namespace give. */
static const struct {
	const char *name;
	enum set_key key;
	enum set_kind kind;
} fixed_sets[] = {
	{"resolvers4", KEY_IPV4_PORT, SET_PLAIN},
	{"resolvers6", KEY_IPV6_PORT, SET_PLAIN},
	{"peers4", KEY_IPV4_PORT, SET_PLAIN},
	{"peers6", KEY_IPV6_PORT, SET_PLAIN},
	{"exempt4", KEY_IPV4, SET_PLAIN},
	{"exempt6", KEY_IPV6, SET_PLAIN},
	{"doh4", KEY_IPV4, SET_RANGES},
	{"doh6", KEY_IPV6, SET_RANGES},
	{"inbound4", KEY_IPV4, SET_RANGES},
	{"inbound6", KEY_IPV6, SET_RANGES},
	{"onlink6", KEY_IPV6, SET_RANGES},
	{"groups6", KEY_IPV6, SET_PLAIN},
	{"own6", KEY_IPV6, SET_PLAIN},
	{"ranges4", KEY_IPV4, SET_VERDICTS},
	{"ranges6", KEY_IPV6, SET_VERDICTS},
};

static void note(struct batch *b, int err)
{
	if (err < 0 && !b->err)
		b->err = err;
}

/* Ranges of both families, merged, into a set of each. */
static void add_range_sets(struct batch *b, const char *set4, const char *set6,
			   const struct address_range *r, size_t n)
{
	struct address_range *copy = calloc(n ? n : 1, sizeof(*copy));
	struct elements list[2] = {{0}, {0}};

	if (!copy) {
		note(b, -ENOMEM);
		return;
	}
	if (n)
		memcpy(copy, r, n * sizeof(*r));
	n = ranges_merge(copy, n);
	for (size_t i = 0; i < n; i++)
		note(b,
		     elements_add_range(&list[copy[i].first.family == AF_INET6],
					&copy[i], NULL));
	if (set4)
		batch_add_elements(b, set4, KEY_IPV4, list[0].e, list[0].n,
				   NULL);
	batch_add_elements(b, set6, KEY_IPV6, list[1].e, list[1].n, NULL);
	elements_free(&list[0]);
	elements_free(&list[1]);
	free(copy);
}

static void add_addresses(struct batch *b, const char *set4, const char *set6,
			  const struct address *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct set_element e = {0};
		bool v6 = a[i].family == AF_INET6;

		element_address(&e, &a[i]);
		batch_add_elements(b, v6 ? set6 : set4,
				   v6 ? KEY_IPV6 : KEY_IPV4, &e, 1, NULL);
	}
}

static void add_peers(struct batch *b, const char *set4, const char *set6,
		      const struct filter_peer *peers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct set_element e = {0};
		bool v6 = peers[i].a.family == AF_INET6;

		element_address_port(&e, &peers[i].a, peers[i].port);
		batch_add_elements(b, v6 ? set6 : set4,
				   v6 ? KEY_IPV6_PORT : KEY_IPV4_PORT, &e, 1,
				   NULL);
	}
}

/* Who may connect inward unless the settings forbid it: what address_kind()
 * takes for private or link-local (RFC 1918, RFC 6598, RFC 2544, RFC 3927,
 * RFC 4193, RFC 3879, RFC 4291), translators' and benchmarks' IPv6 prefixes
 * aside, from which nobody connects; and our neighbours. */
static const struct {
	uint8_t family, first[2], last[2], bits8;
} private_ranges[] = {
	{AF_INET, {10, 0}, {10, 255}, 1},
	{AF_INET, {172, 16}, {172, 31}, 2},
	{AF_INET, {192, 168}, {192, 168}, 2},
	{AF_INET, {100, 64}, {100, 127}, 2},
	{AF_INET, {198, 18}, {198, 19}, 2},
	{AF_INET, {169, 254}, {169, 254}, 2},
	{AF_INET6, {0xfc, 0}, {0xfd, 0xff}, 1},
	{AF_INET6, {0xfe, 0x80}, {0xfe, 0xff}, 2},
};

static void add_inbound(struct batch *b, const struct ruleset *r)
{
	const struct filter_settings *s = r->settings;
	size_t n = COUNT(private_ranges) + r->n_onlink + s->n_inbound;
	struct address_range *range;

	if (s->inbound_only) {
		add_range_sets(b, "inbound4", "inbound6", s->inbound,
			       s->n_inbound);
		return;
	}
	range = calloc(n, sizeof(*range));
	if (!range) {
		note(b, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < COUNT(private_ranges); i++) {
		struct address_range *to = &range[i];

		to->first.family = to->last.family = private_ranges[i].family;
		memset(to->last.bytes, 0xff, address_size(&to->last));
		memcpy(to->first.bytes, private_ranges[i].first, 2);
		memcpy(to->last.bytes, private_ranges[i].last, 2);
	}
	if (r->n_onlink)
		memcpy(range + COUNT(private_ranges), r->onlink,
		       r->n_onlink * sizeof(*range));
	if (s->n_inbound)
		memcpy(range + COUNT(private_ranges) + r->n_onlink, s->inbound,
		       s->n_inbound * sizeof(*range));
	add_range_sets(b, "inbound4", "inbound6", range, n);
	free(range);
}

/* Where neighbour discovery may go: ff02::/16, fe80::/10 and on-link
 * prefixes. */
static void add_onlink(struct batch *b, const struct ruleset *r)
{
	struct address_range *range = calloc(r->n_onlink + 2, sizeof(*range));

	if (!range) {
		note(b, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		range[i].first.family = range[i].last.family = AF_INET6;
		memset(range[i].last.bytes, 0xff, 16);
	}
	memcpy(range[0].first.bytes, (uint8_t[]){0xff, 0x02}, 2);
	memcpy(range[0].last.bytes, (uint8_t[]){0xff, 0x02}, 2);
	memcpy(range[1].first.bytes, (uint8_t[]){0xfe, 0x80}, 2);
	memcpy(range[1].last.bytes, (uint8_t[]){0xfe, 0xbf}, 2);
	if (r->n_onlink)
		memcpy(range + 2, r->onlink, r->n_onlink * sizeof(*range));
	add_range_sets(b, NULL, "onlink6", range, r->n_onlink + 2);
	free(range);
}

/* Our own addresses, and what multicast listener discovery may tell of: their
 * groups (solicited-node, RFC 4291, 2.7.1), and the well-known ones that hosts
 * are in. */
static void add_own(struct batch *b, const struct ruleset *r)
{
	static const uint8_t solicited[13] = {0xff, 2, [11] = 1, [12] = 0xff};
	static const char *const known[] = {
		"ff02::1",                   /* all nodes */
		"ff02::2",                   /* all routers, link and site */
		"ff05::2",        "ff02::c", /* SSDP */
		"ff02::16",                  /* MLDv2 routers */
		"ff02::6a",                  /* all snoopers */
		"ff02::fb",                  /* mDNS */
		"ff02::1:2",                 /* DHCP */
		"ff02::1:3",                 /* LLMNR */
		"ff02::1:ff00:0",            /* of a subnet's routers */
	};

	for (size_t i = 0; i < COUNT(known); i++) {
		struct address a;

		if (address_from_text(&a, known[i]) == 0)
			add_addresses(b, NULL, "groups6", &a, 1);
	}
	for (size_t i = 0; i < r->n_own6; i++) {
		struct address group = r->own6[i];

		memcpy(group.bytes, solicited, sizeof(solicited));
		add_addresses(b, NULL, "groups6", &group, 1);
	}
	add_addresses(b, NULL, "own6", r->own6, r->n_own6);
}

/* What names our neighbours, and us. */
static void add_neighbours(struct batch *b, const struct ruleset *r)
{
	add_inbound(b, r);
	add_onlink(b, r);
	add_own(b, r);
}

static bool has_set(size_t set, bool name_ports, bool gate)
{
	if (set < LEASES4_PORTS)
		return true;
	return set < GATED4 ? name_ports : gate;
}

static void add_leased(struct batch *b, const struct ruleset *r)
{
	bool ports = policy_has_name_ports(r->policy);

	for (size_t i = 0; i < LEASE_SETS; i++) {
		const struct lease_set_form *form = &lease_set_forms[i];

		if (!has_set(i, ports, r->settings->n_gated > 0))
			continue;
		/* The table of leases is what bounds them (LEASE_MAX): a set
		 * that could be full would refuse a change of policy. */
		if (r->leased[i].anew)
			batch_add_set(b, form->name, form->key, SET_TIMEOUT, 0);
		set_change_write(b, form->name, form->key, &r->leased[i]);
		if (!form->grace_name)
			continue;
		if (r->grace[i].anew)
			batch_add_set(b, form->grace_name, form->key, SET_PLAIN,
				      0);
		set_change_write(b, form->grace_name, form->key, &r->grace[i]);
	}
}

/* A map that is changed. */
static bool stays(const struct ruleset *r, const char *set)
{
	return r->ranges_of &&
	       (strcmp(set, "ranges4") == 0 || strcmp(set, "ranges6") == 0);
}

void sets_add(struct batch *b, const struct ruleset *r)
{
	for (size_t i = 0; i < COUNT(fixed_sets); i++) {
		if (!stays(r, fixed_sets[i].name))
			batch_add_set(b, fixed_sets[i].name, fixed_sets[i].key,
				      fixed_sets[i].kind, 0);
	}
	add_peers(b, "resolvers4", "resolvers6", r->settings->resolvers,
		  r->settings->n_resolvers);
	add_peers(b, "peers4", "peers6", r->peers, r->n_peers);
	add_addresses(b, "exempt4", "exempt6", r->settings->exempt,
		      r->settings->n_exempt);
	if (!r->settings->dns_only)
		add_leased(b, r);
}

void sets_add_enforcement(struct batch *b, const struct ruleset *r)
{
	add_range_sets(b, "doh4", "doh6", r->settings->doh, r->settings->n_doh);
	add_neighbours(b, r);
}

void sets_delete(struct batch *b, const struct ruleset *r,
		 const struct ruleset_shape *old)
{
	for (size_t i = 0; i < COUNT(fixed_sets); i++) {
		if (!stays(r, fixed_sets[i].name))
			batch_delete_set(b, fixed_sets[i].name);
	}
	for (size_t i = 0; i < LEASE_SETS; i++) {
		if (!has_set(i, old->name_ports, old->gate))
			continue;
		if (r->leased[i].anew)
			batch_delete_set(b, lease_set_forms[i].name);
		if (r->grace[i].anew && lease_set_forms[i].grace_name)
			batch_delete_set(b, lease_set_forms[i].grace_name);
	}
}

void sets_write_peers(struct batch *b, const struct ruleset *r)
{
	batch_table(b, NFPROTO_INET, RULESET_TABLE);
	batch_empty_set(b, "peers4");
	batch_empty_set(b, "peers6");
	add_peers(b, "peers4", "peers6", r->peers, r->n_peers);
}

void sets_write_neighbours(struct batch *b, const struct ruleset *r)
{
	batch_table(b, NFPROTO_INET, RULESET_TABLE);
	batch_empty_set(b, "inbound4");
	batch_empty_set(b, "inbound6");
	batch_empty_set(b, "onlink6");
	batch_empty_set(b, "groups6");
	batch_empty_set(b, "own6");
	add_neighbours(b, r);
}
