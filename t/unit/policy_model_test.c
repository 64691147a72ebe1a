/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies, judged by the compiled policy and by a reference so plain
 * that it can be read at one sitting: rules in a row, the first that matches
 * wins. A small world (few labels, addresses and ports) makes rules meet.
 *
 * MODEL_CASES says how many policies, MODEL_SEED repeats a run.
 */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum {
	RULES_MAX = 10,
	ALWAYS_MAX = 3,
	PORTS_MAX = 3,
	PORT_WORLD = 12
};

/* A rule as the reference sees it: text for names, bytes for addresses. */
struct model_rule {
	bool allow;
	char target[64];
	bool is_address;
	struct address base;
	unsigned int bits;
	bool has_priority;
	int priority;
	bool limited;
	bool tcp, udp;
	size_t n_ports; /* with limited: none are all of the protocols' */
	struct {
		unsigned int first, last;
	} port[PORTS_MAX];
	const char *source;
	int index;
};

struct model {
	bool allow;
	struct model_rule rule[RULES_MAX + 2 * ALWAYS_MAX];
	size_t n;
};

static uint64_t random_state;

static unsigned int pick(unsigned int n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned int)(random_state >> 33) % n;
}

/* -- the world -- */

static void random_name(char *out)
{
	static const char *const labels[] = {"a", "b", "xn--c"};
	unsigned int n = 1 + pick(4);

	out[0] = '\0';
	for (unsigned int i = 0; i < n; i++) {
		strcat(out, labels[pick(3)]);
		if (i + 1 < n)
			strcat(out, ".");
	}
}

static void random_address(struct address *a)
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

	assert_int_equal(address_from_text(a, bases[pick(8) * (pick(4) > 0)]),
			 0);
	if (pick(16) == 0)
		assert_int_equal(address_from_text(a, bases[8]), 0);
	a->bytes[address_size(a) - 1] |= (uint8_t)pick(16);
}

static void random_range(struct model_rule *r)
{
	unsigned int size, host = pick(8) ? pick(5) : 5 + pick(123);
	char text[ADDRESS_TEXT_MAX];

	random_address(&r->base);
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
	unsigned int protocols = pick(3);

	r->limited = true;
	r->tcp = protocols != 1;
	r->udp = protocols != 0;
	r->n_ports = protocols == 2 ? 1 + pick(PORTS_MAX) : pick(PORTS_MAX + 1);
	for (size_t i = 0; i < r->n_ports; i++) {
		r->port[i].first = 1 + pick(PORT_WORLD);
		r->port[i].last = r->port[i].first + pick(3) * pick(4);
		if (pick(10) == 0)
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
	r->allow = pick(2);
	switch (pick(10)) {
	case 0:
		strcpy(r->target, "*");
		break;
	case 1:
	case 2:
		random_name(name);
		snprintf(r->target, sizeof(r->target), "*.%s", name);
		break;
	case 3:
	case 4:
	case 5:
		random_name(r->target);
		break;
	default:
		random_range(r);
	}
}

static void random_rule(struct model_rule *r, bool ports)
{
	random_target(r);
	if (pick(4) == 0) {
		r->has_priority = true;
		r->priority = (int)pick(8) - 2;
	}
	if (ports && pick(2)) {
		random_ports(r);
		if (!ports_fit(r))
			r->limited = false;
	}
}

/* -- the reference -- */

static bool model_name_matches(const struct model_rule *r, const char *name)
{
	size_t len = strlen(name), suffix;

	if (r->is_address)
		return false;
	if (!strcmp(r->target, "*") || !strcmp(r->target, name))
		return true;
	if (strncmp(r->target, "*.", 2))
		return false;
	suffix = strlen(r->target + 1);
	return len > suffix && !strcmp(name + len - suffix, r->target + 1);
}

static bool model_address_matches(const struct model_rule *r,
				  const struct address *a)
{
	if (!strcmp(r->target, "*"))
		return true;
	if (!r->is_address || r->base.family != a->family)
		return false;
	for (unsigned int bit = 0; bit < r->bits; bit++) {
		unsigned int mask = 0x80u >> bit % 8;

		if ((r->base.bytes[bit / 8] ^ a->bytes[bit / 8]) & mask)
			return false;
	}
	return true;
}

static bool model_port_matches(const struct model_rule *r, int protocol,
			       unsigned int port)
{
	if (!r->limited)
		return true;
	if (!(protocol == IPPROTO_TCP && r->tcp) &&
	    !(protocol == IPPROTO_UDP && r->udp))
		return false;
	for (size_t i = 0; i < r->n_ports; i++) {
		if (r->port[i].first <= port && port <= r->port[i].last)
			return true;
	}
	return r->n_ports == 0;
}

/* name or a may be NULL: then no rule of that kind matches */
static const struct model_rule *model_first(const struct model *m,
					    const char *name,
					    const struct address *a,
					    int protocol, unsigned int port)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct model_rule *r = &m->rule[i];

		if (((name && model_name_matches(r, name)) ||
		     (a && model_address_matches(r, a))) &&
		    model_port_matches(r, protocol, port))
			return r;
	}
	return NULL;
}

/* A name is denied by a rule that denies it whole. */
static const struct model_rule *model_first_name(const struct model *m,
						 const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct model_rule *r = &m->rule[i];

		if (model_name_matches(r, name) && (r->allow || !r->limited))
			return r;
	}
	return NULL;
}

static bool model_allows(const struct model *m, const struct model_rule *r)
{
	return r ? r->allow : m->allow;
}

static bool model_admits(const struct model *m, const char *name,
			 const struct address *a, bool private_ok, int protocol,
			 unsigned int port)
{
	const struct model_rule *r;

	if (!model_allows(m, model_first(m, name, a, protocol, port)))
		return false;
	if (address_kind(a) == ADDRESS_PUBLIC || private_ok)
		return true;
	r = model_first(m, NULL, a, protocol, port);
	return r && r->allow;
}

/* -- from the model to the policy -- */

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

static void make_always(struct model *m, struct rules **out, bool allow)
{
	enum policy_action action = allow ? POLICY_ALLOW : POLICY_DENY;
	struct policy_error err;
	unsigned int n = pick(4) ? 0 : pick(ALWAYS_MAX + 1);

	assert_int_equal(rules_new(out, POLICY_DENY), 0);
	for (unsigned int i = 0; i < n; i++) {
		struct model_rule *r = &m->rule[m->n++];

		random_target(r);
		r->allow = allow;
		r->source = allow ? "allow.always" : "deny.always";
		r->index = (int)i;
		assert_int_equal(rules_append(*out, action, r->target, &err),
				 0);
	}
}

static struct policy *make_policy(struct model *m)
{
	struct always_rules *always = calloc(1, sizeof(*always));
	bool ports = pick(2);
	unsigned int n = pick(RULES_MAX + 1);
	json_t *egress = json_array(), *document;
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;
	size_t start;

	m->n = 0;
	m->allow = pick(2);
	make_always(m, &always->deny, false);
	make_always(m, &always->allow, true);
	start = m->n;
	for (unsigned int i = 0; i < n; i++) {
		struct model_rule *r = &m->rule[m->n++];

		random_rule(r, ports);
		if (!r->has_priority)
			r->priority = (int)i;
		r->source = "policy";
		r->index = (int)i;
		json_array_append_new(egress, rule_json(r));
	}
	sort_by_priority(m->rule + start, n);
	document = json_pack("{s:s, s:o}", "defaultAction",
			     m->allow ? "allow" : "deny", "egress", egress);
	if (rules_from_json(&rules, document, 0, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(policy_compile(&policy, rules, always), 0);
	json_decref(document);
	rules_free(rules);
	always_free(always);
	return policy;
}

/* -- the comparison -- */

static void check_decision(const struct model *m, const struct model_rule *want,
			   const struct decision *got)
{
	assert_int_equal(got->action,
			 model_allows(m, want) ? POLICY_ALLOW : POLICY_DENY);
	assert_string_equal(got->source, want ? want->source : "default");
	assert_int_equal(got->index, want ? want->index : -1);
	assert_int_equal(got->rank, want ? (size_t)(want - m->rule) : m->n);
}

static void check_names(const struct model *m, const struct policy *policy)
{
	for (int i = 0; i < 4; i++) {
		struct domain_name name;
		struct decision got;
		const char *why;
		char text[64];

		random_name(text);
		assert_int_equal(domain_name_from_text(&name, text, &why), 0);
		policy_match_name(policy, &name, &got);
		check_decision(m, model_first_name(m, text), &got);
	}
}

static int random_protocol(void)
{
	static const int protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP,
					IPPROTO_SCTP};

	return protocols[pick(4)];
}

static unsigned int random_port(void)
{
	return pick(8) ? pick(PORT_WORLD + 12) : 65535;
}

static bool table_allows(const struct port_table *table, int protocol,
			 unsigned int port)
{
	for (size_t i = 0; i < table->n_spans; i++) {
		const struct port_verdict *v = &table->spans[i];

		if (v->span.protocol == protocol && v->span.first <= port &&
		    port <= v->span.last)
			return v->action == POLICY_ALLOW;
	}
	return table->otherwise == POLICY_ALLOW;
}

static bool ranges_allow(const struct policy *policy, const struct address *a,
			 int protocol, unsigned int port)
{
	size_t n, n_tables;
	const struct policy_range *range = policy_ranges(policy, &n);
	const struct port_table *table = policy_port_tables(policy, &n_tables);

	for (size_t i = 0; i < n; i++) {
		if (!address_range_holds(&range[i].range, a))
			continue;
		if (range[i].verdict != RANGE_PORTS)
			return range[i].verdict == RANGE_ALLOW;
		assert_true(range[i].table < n_tables);
		return table_allows(&table[range[i].table], protocol, port);
	}
	return policy_default(policy) == POLICY_ALLOW;
}

static void check_addresses(const struct model *m, const struct policy *policy)
{
	for (int i = 0; i < 6; i++) {
		const struct model_rule *want;
		int protocol = random_protocol();
		unsigned int port = random_port();
		struct decision got;
		struct address a;

		random_address(&a);
		want = model_first(m, NULL, &a, protocol, port);
		policy_match_address(policy, &a, (uint8_t)protocol,
				     (uint16_t)port, &got);
		check_decision(m, want, &got);
		assert_int_equal(ranges_allow(policy, &a, protocol, port),
				 model_allows(m, want));
	}
}

/* Is b the address after a? */
static bool follows(const struct address *a, const struct address *b)
{
	struct address next = *a;

	if (a->family != b->family)
		return false;
	for (size_t i = address_size(a); i-- > 0;) {
		if (++next.bytes[i] != 0)
			return address_compare(&next, b) == 0;
	}
	return false;
}

static void check_apart(const struct port_span *before,
			const struct port_span *after)
{
	assert_true(before->protocol < after->protocol ||
		    (before->protocol == after->protocol &&
		     before->last + 1 < after->first));
}

static void check_shape(const struct policy *policy)
{
	size_t n, n_tables;
	const struct policy_range *range = policy_ranges(policy, &n);
	const struct port_table *table = policy_port_tables(policy, &n_tables);

	for (size_t i = 0; i < n; i++) {
		assert_true(address_compare(&range[i].range.first,
					    &range[i].range.last) <= 0);
		if (i == 0)
			continue;
		assert_true(address_compare(&range[i - 1].range.last,
					    &range[i].range.first) < 0);
		assert_false(range[i - 1].verdict == range[i].verdict &&
			     range[i - 1].table == range[i].table &&
			     follows(&range[i - 1].range.last,
				     &range[i].range.first));
	}
	for (size_t i = 0; i < n_tables; i++) {
		for (size_t j = 0; j < table[i].n_spans; j++) {
			const struct port_span *s = &table[i].spans[j].span;

			assert_true(s->first <= s->last);
			assert_true(table[i].spans[j].action !=
				    table[i].otherwise);
			if (j > 0)
				check_apart(&table[i].spans[j - 1].span, s);
		}
	}
}

static bool listed(const struct admitted_ports *ports, int protocol,
		   unsigned int port)
{
	for (size_t i = 0; i < ports->n; i++) {
		if (ports->span[i].protocol == protocol &&
		    ports->span[i].first <= port && port <= ports->span[i].last)
			return true;
	}
	return false;
}

/* The answer must be right for each protocol and port of the world; ports
 * beyond it all fare as its last ones. What may be reached by neither TCP nor
 * UDP is refused, and the reason is its kind if that alone stands against it
 * anywhere. */
static void check_admitted(const struct model *m, const char *name,
			   const struct address *a, bool private_ok,
			   enum admission got,
			   const struct admitted_ports *ports)
{
	static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
	bool any = false, all = true, cut = false;

	for (unsigned int i = 0; i < 3 * (PORT_WORLD + 12); i++) {
		unsigned int port = i / 3;
		int protocol = protocols[i % 3];
		bool want =
			model_admits(m, name, a, private_ok, protocol, port);

		all &= want;
		cut |= !want && model_admits(m, name, a, true, protocol, port);
		if (protocol == IPPROTO_SCTP)
			continue;
		any |= want;
		if (got == ADMIT_PORTS)
			assert_int_equal(want, listed(ports, protocol, port));
	}
	if (all)
		assert_int_equal(got, ADMIT);
	else if (any)
		assert_int_equal(got, ADMIT_PORTS);
	else
		assert_int_equal(got, cut ? REFUSE_PRIVATE : REFUSE_RULE);
}

static void check_admissions(const struct model *m, const struct policy *policy)
{
	for (int i = 0; i < 3; i++) {
		struct admitted_ports ports;
		struct domain_name name;
		struct address a;
		bool private_ok = pick(4) == 0;
		enum admission got;
		enum address_kind kind;
		const char *why;
		char text[64];

		random_name(text);
		random_address(&a);
		kind = address_kind(&a);
		assert_int_equal(domain_name_from_text(&name, text, &why), 0);
		got = policy_admission(policy, &name, &a, private_ok, &ports);
		if (!model_allows(m, model_first_name(m, text)))
			assert_int_equal(got, REFUSE_NAME);
		else if (kind != ADDRESS_PUBLIC && kind != ADDRESS_PRIVATE)
			assert_int_equal(got, REFUSE_KIND);
		else
			check_admitted(m, text, &a, private_ok, got, &ports);
	}
}

static unsigned long number_from_environment(const char *name,
					     unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

static void compiled_policies_agree_with_the_reference(void **state)
{
	unsigned long cases = number_from_environment("MODEL_CASES", 100000);
	unsigned long seed = number_from_environment("MODEL_SEED",
						     (unsigned long)time(NULL));
	struct model m;

	(void)state;
	print_message("MODEL_SEED=%lu MODEL_CASES=%lu\n", seed, cases);
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (unsigned long i = 0; i < cases; i++) {
		struct policy *policy = make_policy(&m);

		check_names(&m, policy);
		check_addresses(&m, policy);
		check_shape(policy);
		check_admissions(&m, policy);
		policy_unref(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiled_policies_agree_with_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
