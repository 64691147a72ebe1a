/* SPDX-License-Identifier: Apache-2.0 */
/* What the name gate says of a connection that gives a name. */
#include "inner.h"

#include <stdio.h>
#include <string.h>

static bool is_gated_port(const struct check_gate *gate, uint16_t port)
{
	for (size_t i = 0; i < gate->n; i++)
		if (gate->port[i] == port)
			return true;
	return false;
}

/* The gate reads no other names: letters, digits, hyphens and dots. */
static bool is_host_name(const struct domain_name *name)
{
	char text[DOMAIN_NAME_TEXT_MAX];

	domain_name_to_text(name, text);
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.")] ==
	       '\0';
}

/* The rule that decides: of those that match the name or the address, on that
 * port, the first. */
static void decision_of(const struct policy *policy,
			const struct domain_name *name, const struct address *a,
			uint16_t port, struct decision *d)
{
	struct decision address;

	policy_match_name_port(policy, name, IPPROTO_TCP, port, d);
	policy_match_address(policy, a, IPPROTO_TCP, port, &address);
	if (address.rule && address.rank < d->rank)
		*d = address;
}

/* For an address that is admitted. */
static void print_verdict(const struct policy *policy,
			  const struct domain_name *name,
			  const struct address *a, uint16_t port)
{
	bool allowed =
		policy_admits_port(policy, name, a, false, IPPROTO_TCP, port);
	struct decision d;

	decision_of(policy, name, a, port, &d);
	if (allowed == (d.action == POLICY_ALLOW))
		check_print_decision(&d);
	else
		printf("deny, more ports than a name's rules can list\n");
}

void check_gate(const struct policy *policy, const struct check_gate *gate,
		const char *text, const struct domain_name *name,
		const struct address *a, uint16_t port)
{
	struct admitted_ports ports;
	enum admission admission;
	struct decision d;

	policy_match_address(policy, a, IPPROTO_TCP, port, &d);
	admission = policy_admission(policy, name, a, false, &ports);
	printf("%s: ", text);
	if (d.rule && d.action == POLICY_ALLOW) {
		printf("not gated: ");
		check_print_decision(&d);
	} else if (admission == REFUSE_NAME) {
		policy_match_name(policy, name, &d);
		check_print_decision(&d);
	} else if (admission != ADMIT && admission != ADMIT_PORTS) {
		printf("deny, ");
		check_print_refusal(admission, a);
	} else if (!is_gated_port(gate, port)) {
		printf("not gated, the port is none of --gate-ports: ");
		print_verdict(policy, name, a, port);
	} else if (!is_host_name(name)) {
		printf("deny, the gate reads names of letters, digits, hyphens "
		       "and dots alone\n");
	} else {
		print_verdict(policy, name, a, port);
	}
}
