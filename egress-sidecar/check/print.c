/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

void check_print_span(const struct port_span *span)
{
	const char *protocol = protocol_name(span->protocol);

	if (span->first == 0 && span->last == UINT16_MAX)
		printf(" %s", protocol);
	else if (span->first == span->last)
		printf(" %s/%u", protocol, span->first);
	else
		printf(" %s/%u-%u", protocol, span->first, span->last);
}

static void print_target(const struct rule *rule)
{
	char words[TARGET_WORDS_MAX];

	printf("%s", rule_target_words(rule, words));
	if (rule->n_ports)
		printf(", ports");
	for (size_t i = 0; i < rule->n_ports; i++)
		check_print_span(&rule->ports[i]);
}

/* Where a rule stands: egress[3], or deny.always[0]. */
static void source_text(char *out, size_t len, const struct decision *d)
{
	const char *list = strcmp(d->source, "policy") ? d->source : "egress";

	snprintf(out, len, "%s[%d]", list, d->index);
}

static void print_rules(const struct policy *policy)
{
	struct decision d;

	printf("rules, in the order of their decision:\n");
	for (uint32_t rank = 0; policy_ranked(policy, rank, &d); rank++) {
		char source[32];

		source_text(source, sizeof(source), &d);
		printf("%6u  %-18s %-5s  ", rank, source,
		       policy_action_name(d.action));
		print_target(d.rule);
		printf("\n");
	}
	printf("%6s  %-18s %-5s  everything else\n", "-", "default",
	       policy_action_name(policy_default(policy)));
}

static void print_table(const struct port_table *table)
{
	for (size_t i = 0; i < table->n_spans; i++) {
		printf("%s", i ? "," : "");
		check_print_span(&table->spans[i].span);
		printf(" %s", policy_action_name(table->spans[i].action));
	}
	printf(", else %s", policy_action_name(table->otherwise));
}

static void print_ranges(const struct policy *policy)
{
	size_t n, n_tables;
	const struct policy_range *range = policy_ranges(policy, &n);
	const struct port_table *table = policy_port_tables(policy, &n_tables);
	char text[ADDRESS_RANGE_TEXT_MAX];

	printf("addresses that no name led to:\n");
	for (size_t i = 0; i < n; i++) {
		printf("        %s", address_range_ends(&range[i].range, text));
		if (range[i].verdict == RANGE_PORTS)
			print_table(&table[range[i].table]);
		else
			printf(" %s", range[i].verdict == RANGE_ALLOW ? "allow"
								      : "deny");
		printf("\n");
	}
	printf("        everything else %s\n",
	       policy_action_name(policy_default(policy)));
}

void check_print_decision(const struct decision *d)
{
	char source[32];

	if (!d->rule) {
		printf("%s, by default\n", policy_action_name(d->action));
		return;
	}
	source_text(source, sizeof(source), d);
	printf("%s, by %s (", policy_action_name(d->action), source);
	print_target(d->rule);
	printf(")\n");
}

void check_print_refusal(enum admission admission, const struct address *a)
{
	if (admission == REFUSE_KIND)
		printf("a %s address\n", address_kind_name(address_kind(a)));
	else if (admission == REFUSE_PRIVATE)
		printf("private, and no address rule allows it\n");
	else
		printf("a rule before the name's denies the address\n");
}

static void print_hosts(const struct policy *policy)
{
	const struct hosts *hosts = policy_rules(policy)->hosts;
	char name[DOMAIN_NAME_TEXT_MAX], text[ADDRESS_TEXT_MAX];

	if (!hosts)
		return;
	printf("names that need no resolver:\n");
	for (size_t i = 0; i < hosts->n; i++) {
		const struct host *host = &hosts->host[i];

		printf("        %s", domain_name_to_text(host->name, name));
		for (size_t k = 0; k < host->n; k++)
			printf(" %s", address_to_text(&host->a[k], text));
		printf("\n");
	}
}

static void print_limits(const struct policy *policy)
{
	const struct policy_limits *limits = policy_limits(policy);
	bool any = false;

	for (int i = 0; i < POLICY_LIMITS; i++) {
		if (!limits->most[i])
			continue;
		if (!any)
			printf("limits:\n");
		any = true;
		printf("        %s %" PRIu64 "\n",
		       policy_limit_name((enum policy_limit)i),
		       limits->most[i]);
	}
}

void check_print_policy(const struct policy *policy)
{
	print_rules(policy);
	print_limits(policy);
	print_hosts(policy);
	print_ranges(policy);
}
