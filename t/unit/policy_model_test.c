/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random policies, judged by the compiled policy and by the reference of
 * t/model.
 *
 * MODEL_CASES says how many policies, MODEL_SEED repeats a run.
 */
#include "model/generate.h"
#include "model/ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct always_rules *make_always(const struct model *m)
{
	struct always_rules *always = calloc(1, sizeof(*always));
	struct policy_error err;

	assert_int_equal(rules_new(&always->deny, POLICY_DENY), 0);
	assert_int_equal(rules_new(&always->allow, POLICY_DENY), 0);
	for (size_t i = 0; i < m->n_always; i++) {
		const struct model_rule *r = &m->rule[i];

		assert_int_equal(
			rules_append(r->allow ? always->allow : always->deny,
				     r->allow ? POLICY_ALLOW : POLICY_DENY,
				     r->target, &err),
			0);
	}
	return always;
}

static struct policy *make_policy(struct model *m)
{
	struct always_rules *always;
	struct policy_error err;
	struct policy *policy;
	struct rules *rules;
	json_t *document;

	model_draw_always(m);
	model_draw_policy(m);
	always = make_always(m);
	document = model_document(m);
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

		model_name(text);
		assert_int_equal(domain_name_from_text(&name, text, &why), 0);
		policy_match_name(policy, &name, &got);
		check_decision(m, model_first_name(m, text), &got);
	}
}

static int random_protocol(void)
{
	static const int protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP,
					IPPROTO_SCTP};

	return protocols[model_pick(4)];
}

static void check_addresses(const struct model *m, const struct policy *policy)
{
	for (int i = 0; i < 6; i++) {
		const struct model_rule *want;
		int protocol = random_protocol();
		unsigned int port = model_port();
		struct decision got;
		struct address a;

		model_address(&a);
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

/* The answer must be right for each protocol and port of the world. What may
 * be reached by neither TCP nor UDP is refused, and the reason is its kind if
 * that alone stands against it anywhere. */
static void check_admitted(const struct model *m, const char *name,
			   const struct address *a, bool anywhere,
			   enum admission got,
			   const struct admitted_ports *ports)
{
	static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
	struct model_ports holds;
	bool any = false, cut = false;

	model_hold(&holds, m, name, a, anywhere);
	for (unsigned int i = 0; i < 3 * (MODEL_PORTS_ALIKE + 1); i++) {
		unsigned int port = i / 3;
		int protocol = protocols[i % 3];
		bool want = model_holds(&holds, protocol, port);

		cut |= !anywhere &&
		       !model_admits(m, name, a, false, protocol, port) &&
		       model_admits(m, name, a, true, protocol, port);
		if (protocol == IPPROTO_SCTP)
			continue;
		any |= want;
		if (got == ADMIT_PORTS)
			assert_int_equal(want, listed(ports, protocol, port));
	}
	if (holds.all)
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
		bool private_ok = model_pick(4) == 0;
		enum admission got;
		enum address_kind kind;
		const char *why;
		char text[64];

		model_name(text);
		model_address(&a);
		kind = address_kind(&a);
		assert_int_equal(domain_name_from_text(&name, text, &why), 0);
		got = policy_admission(policy, &name, &a, private_ok, &ports);
		if (!model_allows(m, model_first_name(m, text)))
			assert_int_equal(got, REFUSE_NAME);
		else if (kind != ADDRESS_PUBLIC && kind != ADDRESS_PRIVATE)
			assert_int_equal(got, REFUSE_KIND);
		else
			check_admitted(m, text, &a,
				       private_ok || kind == ADDRESS_PUBLIC,
				       got, &ports);
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
	model_seed(seed);
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
