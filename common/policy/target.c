/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of targets: a row each, in the order in which a text is tried.
 */
#include "inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_any(const char *text)
{
	return !strcmp(text, "*");
}

static int read_any(struct rule *rule, const char *text, const char **why)
{
	(void)rule;
	(void)text;
	*why = NULL;
	return 0;
}

static bool any_range(const struct rule *rule, uint8_t family,
		      struct address_range *range)
{
	(void)rule;
	memset(range, 0, sizeof(*range));
	range->first.family = range->last.family = family;
	memset(range->last.bytes, 0xff, address_size(&range->last));
	return true;
}

/* Digits and dots alone are a (mistyped) address, never a name. */
static bool is_range(const char *text)
{
	return strpbrk(text, ":/") ||
	       (text[0] != '\0' && text[strspn(text, "0123456789.")] == '\0');
}

/* Text with a colon is an IPv6 address or prefix; where it is not, the likely
 * slips deserve their own words. */
static int read_range(struct rule *rule, const char *text, const char **why)
{
	const char *colon = strchr(text, ':');
	int ret;

	if (strstr(text, "://")) {
		*why = "a URL; give its host name alone";
		return -EINVAL;
	}
	ret = address_range_from_text(&rule->range, text, why);
	if (ret >= 0 || !colon)
		return ret;
	if (text[0] == '[')
		*why = "an IPv6 address stands without brackets";
	else if (!strchr(colon + 1, ':'))
		*why = "a target holds no port; list it under \"ports\"";
	else if (strchr(text, '%'))
		*why = "an address stands without a zone";
	return -EINVAL;
}

static bool own_range(const struct rule *rule, uint8_t family,
		      struct address_range *range)
{
	*range = rule->range;
	return range->first.family == family;
}

/* What somebody meant by a name that ends in a number. */
static const char *number_meant(const char *text)
{
	if (strchr(text, '-'))
		return "a range of addresses; give its prefixes (10.0.0.0/8)";
	return "not a name, for its last label is a number; an IPv4 address "
	       "has four decimal parts";
}

static bool is_name(const char *text)
{
	(void)text;
	return true;
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

static bool is_below(const char *text)
{
	return !strncmp(text, "*.", 2);
}

static int read_below(struct rule *rule, const char *text, const char **why)
{
	return read_name(rule, text + 2, why);
}

const struct target_row target_rows[] = {
	[TARGET_ANY] = {is_any, read_any, NAMES_ALL, any_range,
			"every name and address"},
	[TARGET_RANGE] = {is_range, read_range, NAMES_NONE, own_range, ""},
	[TARGET_BELOW] = {is_below, read_below, NAMES_BELOW, NULL,
			  "every name below "},
	[TARGET_NAME] = {is_name, read_name, NAMES_ONE, NULL, "the name "},
};

int rule_read_target(struct rule *rule, const char *text, const char **why)
{
	int kind = 0;

	while (!target_rows[kind].is(text))
		kind++;
	rule->kind = (enum target_kind)kind;
	return target_rows[kind].read(rule, text, why);
}

int rule_compare_target(const struct rule *a, const struct rule *b)
{
	int order;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (rule_has_name(a))
		return domain_name_compare(a->name, b->name);
	order = address_compare(&a->range.first, &b->range.first);
	return order ? order : address_compare(&a->range.last, &b->range.last);
}

char *rule_target_words(const struct rule *rule, char *out)
{
	const char *words = target_rows[rule->kind].words;
	char *end = stpcpy(out, words);

	if (rule_has_name(rule))
		domain_name_to_text(rule->name, end);
	else if (rule->range.first.family)
		address_range_ends(&rule->range, end);
	return out;
}
