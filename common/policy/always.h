/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that precede every policy: deny.always and allow.always, and
 * log_skip.always, which silences log lines. One target a line; '#' starts a
 * comment; blank lines do not count.
 */
#ifndef EGRESS_POLICY_ALWAYS_H
#define EGRESS_POLICY_ALWAYS_H

#include "rules.h"

struct always_rules {
	struct rules *deny;
	struct rules *allow;
	struct rules *log_skip;
};

/* Read one file's text into rules of one action. err->message names the line.
 * 0, -EINVAL, -ENOMEM. Pure: also a fuzzer's target. */
int always_from_text(struct rules **out, const char *text, size_t len,
		     enum policy_action action, struct policy_error *err);

/* Read the three files of folder; an absent file or folder is an empty one.
 * On error nothing is kept and err->message names file and line.
 * 0, -EINVAL, -ENOMEM, or what open and read said. */
int always_load(struct always_rules **out, const char *folder,
		struct policy_error *err);

void always_free(struct always_rules *always);

#endif
