/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the readers of rules: how a target, a list of ports and an error
 * are made. Nobody outside this folder includes it.
 */
#ifndef EGRESS_POLICY_PARSE_H
#define EGRESS_POLICY_PARSE_H

#include "rules.h"

/* Around a target or an action they mean nothing. */
#define POLICY_BLANKS " \t\r\n\v\f"

/* Fill err and return -EINVAL. Control characters, which a caller's values may
 * hold, become '?', so that the message stays one line. err may be NULL. */
int policy_error_set(struct policy_error *err, int index, const char *format,
		     ...) __attribute__((format(printf, 3, 4)));

/* Note in rules what was taken in another sense than it was written. What does
 * not fit, or finds no memory, is left out. */
void rules_warn(struct rules *rules, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Read a target, without blanks around it, into kind, name and range, which
 * hold nothing before. 0; 1 where a range's host bits were set, and are not
 * now; -EINVAL with *why, or -ENOMEM. */
int rule_read_target(struct rule *rule, const char *text, const char **why);

/*
 * Read "ports" and "protocol" (each NULL or JSON null where absent) into
 * rule->ports: sorted by protocol and port, overlaps merged. What a rule for
 * names may not have is refused here as well, so kind and action must be set.
 * 0, -EINVAL with *key, the key at fault, and *why, or -ENOMEM.
 */
int rule_read_ports(struct rule *rule, const json_t *ports,
		    const json_t *protocol, const char **key, const char **why);

/* An order of targets for sorting and searching; 0 for the same name, wildcard
 * or range, however spelled. */
int rule_compare_target(const struct rule *a, const struct rule *b);

/* Read text as JSON, refusing NUL, duplicate keys and more than
 * POLICY_BODY_MAX bytes. White space alone gives *out NULL and 0. */
int policy_json_load(json_t **out, const char *text, size_t len,
		     struct policy_error *err);

/* Read a document in its plain form (plain.c). *out as rules_from_text(). 0,
 * -ENOMEM, or -EOPNOTSUPP: it is not plain, or is wrong. */
int rules_from_plain(struct rules **out, const char *text, size_t len,
		     size_t max_rules);

/* Read "hosts", an object of arrays of addresses by name; *out is NULL where
 * there are none. The caller holds one reference. 0, -EINVAL with err, which
 * names the entry, -ENOMEM. */
int hosts_from_json(struct hosts **out, json_t *json, struct policy_error *err);

/* One holder more, and one less; NULL is nothing. */
struct hosts *hosts_ref(struct hosts *hosts);
void hosts_unref(struct hosts *hosts);

/* A value for an error message: a string as itself, the rest by its type. */
const char *policy_json_shown(const json_t *json);

/* Read the rule that stands at index of the array called array; err and the
 * warnings, which go to list, name both. 0, -EINVAL, -ENOMEM; on error rule
 * holds nothing. */
int rule_from_json(struct rule *rule, json_t *json, struct rules *list,
		   const char *array, size_t index, struct policy_error *err);

/* The same of an action: 1 where there is none (absent, null, ""), *action is
 * then untouched. 0, -EINVAL. */
int action_from_json(enum policy_action *action, const json_t *json);

/* A key of object that is none of those known: where it looks like one of them
 * mistyped, -EINVAL with err, else a warning in list for each. where is put
 * before the key. */
int unknown_keys(json_t *object, const char *const *known, struct rules *list,
		 int index, const char *where, struct policy_error *err);

/* Copy both texts into the rule. 0 or -ENOMEM. */
int rule_keep_text(struct rule *rule, const char *target, size_t target_len,
		   const char *json, size_t json_len);

/* Put rule at the end; takes over what it holds, on success alone. 0 or
 * -ENOMEM. */
int rules_push(struct rules *rules, const struct rule *rule);

/* Put a copy of rule at the end, so that both lists are freed on their own.
 * 0 or -ENOMEM. */
int rules_push_copy(struct rules *rules, const struct rule *rule);

void rule_clear(struct rule *rule);

#endif
