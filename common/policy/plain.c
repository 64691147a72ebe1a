/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy documents in their plain form, which nearly all have: no keys but
 * those that are common, no escapes, ASCII. They are read in one pass without
 * a tree. Whatever is not plain, mistakes among it, is left to the reader of
 * all JSON, which alone words errors.
 *
 * Why there are two: replacing a policy of 4,096 rules may take 10 ms in all;
 * this reads it in 0.9 to 1.5 ms, the reader of all JSON in 7.6 to 13.5 ms. A
 * test holds that both say the same (t/unit/policy_rules_test.c).
 */
#include "inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PRIORITY_DIGITS_MAX = 9, /* always fit an int */
	NOT_PLAIN = -EOPNOTSUPP
};

struct reader {
	const char *at, *end;
};

/* Text between quotation marks. */
struct slice {
	const char *text; /* NULL: none yet */
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && is_blank(*r->at))
		r->at++;
}

/* Take this character, blanks before it. */
static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* Take a string of printable ASCII without escapes, blanks before it. It must
 * be the first for its key. */
static bool take_string(struct reader *r, struct slice *out)
{
	const char *from;

	if (out->text || !take(r, '"'))
		return false;
	from = r->at;
	while (r->at < r->end && *r->at != '"') {
		if (*r->at < 0x20 || *r->at > 0x7e || *r->at == '\\')
			return false;
		r->at++;
	}
	*out = (struct slice){from, (size_t)(r->at - from)};
	return take(r, '"');
}

static bool slice_is(const struct slice *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->text, text, s->len) == 0;
}

static bool take_key(struct reader *r, struct slice *key)
{
	*key = (struct slice){NULL, 0};
	return take_string(r, key) && take(r, ':');
}

static bool take_action(struct reader *r, struct slice *seen,
			enum policy_action *action)
{
	if (!take_string(r, seen))
		return false;
	*action = slice_is(seen, "allow") ? POLICY_ALLOW : POLICY_DENY;
	return *action == POLICY_ALLOW || slice_is(seen, "deny");
}

/* An integer as JSON writes it, the first for its key; not "-0". */
static bool take_priority(struct reader *r, struct rule *rule)
{
	bool negative = take(r, '-');
	const char *from;
	int value = 0;

	if (!negative)
		skip_blanks(r);
	from = r->at;
	while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
		if (r->at - from == PRIORITY_DIGITS_MAX)
			return false;
		value = value * 10 + (*r->at++ - '0');
	}
	if (r->at == from || rule->has_priority ||
	    (*from == '0' && (negative || r->at - from > 1)))
		return false;
	/* a fraction or an exponent */
	if (r->at < r->end && *r->at != ',' && *r->at != '}' &&
	    !is_blank(*r->at))
		return false;
	rule->priority = negative ? -value : value;
	rule->has_priority = true;
	return true;
}

/* The keys of a rule, between braces. */
static bool take_members(struct reader *r, struct rule *rule,
			 struct slice *target)
{
	struct slice key, action = {NULL, 0};

	if (!take(r, '{'))
		return false;
	do {
		bool known;

		if (!take_key(r, &key))
			return false;
		if (slice_is(&key, "action"))
			known = take_action(r, &action, &rule->action);
		else if (slice_is(&key, "target"))
			known = take_string(r, target);
		else
			known = slice_is(&key, "priority") &&
				take_priority(r, rule);
		if (!known)
			return false;
	} while (take(r, ','));
	return take(r, '}') && action.text && target->text;
}

/* The text without its blanks; those within strings stay. */
static size_t squeeze(char *to, size_t len)
{
	bool within = false;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		within ^= to[i] == '"';
		if (within || !is_blank(to[i]))
			to[n++] = to[i];
	}
	return n;
}

static int take_rule(struct reader *r, struct rule *rule, size_t index)
{
	struct slice target = {NULL, 0};
	const char *from, *why;
	size_t len;
	int ret;

	memset(rule, 0, sizeof(*rule));
	rule->priority = (int)index;
	skip_blanks(r);
	from = r->at;
	if (!take_members(r, rule, &target))
		return NOT_PLAIN;
	ret = rule_keep_text(rule, target.text, target.len, from,
			     (size_t)(r->at - from));
	if (ret < 0)
		return ret;
	len = squeeze(rule->json, (size_t)(r->at - from));
	rule->json[len] = '\0';
	ret = rule_read_target(rule, rule->target, &why);
	if (ret)
		rule_clear(rule);
	return ret == -ENOMEM || ret == 0 ? ret : NOT_PLAIN;
}

static int take_egress(struct reader *r, struct rules *rules, size_t max_rules)
{
	struct rule rule;
	int ret;

	if (!take(r, '['))
		return NOT_PLAIN;
	if (take(r, ']'))
		return 0;
	do {
		if (max_rules && rules->n_rules == max_rules)
			return NOT_PLAIN;
		ret = take_rule(r, &rule, rules->n_rules);
		if (ret < 0)
			return ret;
		ret = rules_push(rules, &rule);
		if (ret < 0) {
			rule_clear(&rule);
			return ret;
		}
	} while (take(r, ','));
	return take(r, ']') ? 0 : NOT_PLAIN;
}

static int take_document(struct reader *r, struct rules *rules,
			 size_t max_rules)
{
	struct slice key, action = {NULL, 0};
	bool egress = false;
	int ret = NOT_PLAIN;

	if (!take(r, '{'))
		return ret;
	do {
		if (!take_key(r, &key))
			return NOT_PLAIN;
		if (slice_is(&key, "egress") && !egress) {
			ret = take_egress(r, rules, max_rules);
			egress = true;
		} else if (slice_is(&key, "defaultAction")) {
			ret = take_action(r, &action, &rules->default_action)
				      ? 0
				      : NOT_PLAIN;
		} else {
			ret = NOT_PLAIN;
		}
		if (ret < 0)
			return ret;
	} while (take(r, ','));
	if (!take(r, '}'))
		return NOT_PLAIN;
	skip_blanks(r);
	return r->at == r->end ? 0 : NOT_PLAIN;
}

int rules_from_plain(struct rules **out, const char *text, size_t len,
		     size_t max_rules)
{
	struct reader r = {text, text + len};
	struct rules *rules;
	int ret;

	if (len > POLICY_BODY_MAX)
		return NOT_PLAIN;
	ret = rules_new(&rules, POLICY_DENY);
	if (ret < 0)
		return ret;
	ret = take_document(&r, rules, max_rules);
	if (ret < 0)
		rules_free(rules);
	else
		*out = rules;
	return ret;
}
