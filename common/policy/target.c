/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <string.h>

static int read_range(struct rule *rule, const char *text, const char **why)
{
	rule->kind = TARGET_RANGE;
	return address_range_from_text(&rule->range, text, why);
}

/* What somebody meant by a name that ends in a number. */
static const char *number_meant(const char *text)
{
	if (strchr(text, '-'))
		return "a range of addresses; give its prefixes (10.0.0.0/8)";
	return "not a name, for its last label is a number; an IPv4 address "
	       "has four decimal parts";
}

static int read_name(struct rule *rule, const char *text, const char **why)
{
	struct domain_name name;
	int ret = domain_name_from_text(&name, text, why);

	if (ret < 0)
		return ret;
	if (domain_name_ends_in_number(&name)) {
		*why = number_meant(text);
		return -EINVAL;
	}
	*why = "out of memory";
	rule->name = domain_name_copy(&name);
	return rule->name ? 0 : -ENOMEM;
}

/* Text with a colon is an IPv6 address or prefix; where it is not, the likely
 * slips deserve their own words. */
static int read_with_colon(struct rule *rule, const char *text,
			   const char **why)
{
	const char *colon = strchr(text, ':');
	int ret;

	if (strstr(text, "://")) {
		*why = "a URL; give its host name alone";
		return -EINVAL;
	}
	ret = read_range(rule, text, why);
	if (ret >= 0)
		return ret;
	if (text[0] == '[')
		*why = "an IPv6 address stands without brackets";
	else if (!strchr(colon + 1, ':'))
		*why = "a target holds no port; list it under \"ports\"";
	else if (strchr(text, '%'))
		*why = "an address stands without a zone";
	return -EINVAL;
}

int rule_read_target(struct rule *rule, const char *text, const char **why)
{
	if (!strcmp(text, "*")) {
		rule->kind = TARGET_ANY;
		*why = NULL;
		return 0;
	}
	if (strchr(text, ':'))
		return read_with_colon(rule, text, why);
	/* digits and dots alone are a (mistyped) address, never a name */
	if (strchr(text, '/') ||
	    (text[0] != '\0' && text[strspn(text, "0123456789.")] == '\0'))
		return read_range(rule, text, why);

	rule->kind = TARGET_NAME;
	if (!strncmp(text, "*.", 2)) {
		rule->kind = TARGET_BELOW;
		text += 2;
	}
	return read_name(rule, text, why);
}

int rule_compare_target(const struct rule *a, const struct rule *b)
{
	int order;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case TARGET_NAME:
	case TARGET_BELOW:
		if (a->name->len != b->name->len)
			return a->name->len < b->name->len ? -1 : 1;
		return memcmp(a->name->wire, b->name->wire, a->name->len);
	case TARGET_RANGE:
		order = address_compare(&a->range.first, &b->range.first);
		if (order)
			return order;
		return address_compare(&a->range.last, &b->range.last);
	case TARGET_ANY:
		break;
	}
	return 0;
}
