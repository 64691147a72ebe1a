/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decimal without sign or leading zeros, 1 to 65535; *end is behind it. */
static int port_from_text(uint16_t *port, const char *text, const char **end)
{
	unsigned int value = 0;

	if (*text < '1' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > UINT16_MAX)
			return -EINVAL;
	}
	*port = (uint16_t)value;
	*end = text;
	return 0;
}

/* One entry of "ports": 443, "443" or "8000-8010" */
static int span_from_json(struct port_span *span, const json_t *json)
{
	const char *at;

	if (json_is_integer(json)) {
		json_int_t value = json_integer_value(json);

		if (value < 1 || value > UINT16_MAX)
			return -EINVAL;
		span->first = span->last = (uint16_t)value;
		return 0;
	}
	if (!json_is_string(json) ||
	    port_from_text(&span->first, json_string_value(json), &at) < 0)
		return -EINVAL;
	span->last = span->first;
	if (*at == '-' && port_from_text(&span->last, at + 1, &at) < 0)
		return -EINVAL;
	return *at == '\0' && span->first <= span->last ? 0 : -EINVAL;
}

static int protocols_from_json(uint8_t protocols[2], size_t *n,
			       const json_t *json)
{
	const char *text = json_string_value(json);

	if (!json || json_is_null(json)) {
		protocols[0] = IPPROTO_TCP;
		protocols[1] = IPPROTO_UDP;
		*n = 2;
		return 0;
	}
	if (!text || (strcasecmp(text, "tcp") && strcasecmp(text, "udp")))
		return -EINVAL;
	protocols[0] = strcasecmp(text, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	*n = 1;
	return 0;
}

static int compare_spans(const void *left, const void *right)
{
	const struct port_span *a = left, *b = right;

	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	return (a->first > b->first) - (a->first < b->first);
}

/* Sort, and melt what overlaps or touches into one span. */
static void merge_spans(struct port_span *spans, size_t *n)
{
	size_t kept = 0;

	qsort(spans, *n, sizeof(*spans), compare_spans);
	for (size_t i = 1; i < *n; i++) {
		struct port_span *last = &spans[kept];

		if (spans[i].protocol == last->protocol &&
		    spans[i].first <= last->last + 1) {
			if (spans[i].last > last->last)
				last->last = spans[i].last;
			continue;
		}
		spans[++kept] = spans[i];
	}
	*n = kept + 1;
}

/* Ports that the rule lists for one protocol. */
static unsigned int count_ports(const struct rule *rule)
{
	unsigned int count = 0;

	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct port_span *span = &rule->ports[i];

		if (span->protocol == rule->ports[0].protocol)
			count += (unsigned int)(span->last - span->first) + 1;
	}
	return count;
}

static int check_name_ports(const struct rule *rule, bool listed,
			    const char **why)
{
	if (!rule_has_name(rule))
		return 0;
	/* a name is resolved or not; a port is not known yet at that time */
	if (rule->action == POLICY_DENY) {
		*why = "a deny rule for a name holds for every port; only "
		       "allow rules and addresses may be limited";
		return -EINVAL;
	}
	if (listed && count_ports(rule) > POLICY_NAME_PORTS_MAX) {
		*why = "more than 64 ports for a name";
		return -EINVAL;
	}
	return 0;
}

static int fill_spans(struct rule *rule, const json_t *ports,
		      const uint8_t *protocols, size_t n_protocols)
{
	size_t n = ports ? json_array_size(ports) : 1;
	struct port_span span = {.first = 0, .last = UINT16_MAX};

	rule->ports = calloc(n * n_protocols, sizeof(*rule->ports));
	if (!rule->ports)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (ports && span_from_json(&span, json_array_get(ports, i)))
			return -EINVAL;
		for (size_t j = 0; j < n_protocols; j++) {
			span.protocol = protocols[j];
			rule->ports[rule->n_ports++] = span;
		}
	}
	merge_spans(rule->ports, &rule->n_ports);
	return 0;
}

int rule_read_ports(struct rule *rule, const json_t *ports,
		    const json_t *protocol, const char **key, const char **why)
{
	uint8_t protocols[2];
	size_t n_protocols;
	int ret;

	if (json_is_null(ports))
		ports = NULL;
	if (json_is_null(protocol))
		protocol = NULL;
	if (!ports && !protocol)
		return 0;

	*key = "protocol";
	*why = "not \"tcp\" or \"udp\"";
	if (protocols_from_json(protocols, &n_protocols, protocol) < 0)
		return -EINVAL;
	if (ports) {
		*key = "ports";
		*why = "not an array of ports (443) and ranges "
		       "(\"8000-8010\")";
		if (!json_is_array(ports))
			return -EINVAL;
		*why = "the array is empty; leave it out for every port";
		if (json_array_size(ports) == 0)
			return -EINVAL;
		*why = "an entry is not a port of 1 to 65535 or a range like "
		       "\"8000-8010\"";
	}
	ret = fill_spans(rule, ports, protocols, n_protocols);
	return ret < 0 ? ret : check_name_ports(rule, ports != NULL, why);
}
