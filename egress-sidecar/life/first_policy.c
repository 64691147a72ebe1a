/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int rules_read(struct rules **rules, const char *where, const char *text,
		      size_t len, const struct settings *settings)
{
	struct policy_error fault = {.index = -1};
	int err =
		rules_from_text(rules, text, len, settings->max_rules, &fault);

	if (err)
		log_fatal("%s: %s", where,
			  fault.message[0] ? fault.message : strerror(-err));
	return err;
}

int first_policy(struct rules **rules, const struct settings *settings)
{
	const char *path = settings->policy_file;
	char *text;
	size_t len;
	int err;

	*rules = NULL;
	if (path[0]) {
		err = policy_file_read(path, POLICY_BODY_MAX, &text, &len);
		if (!err) {
			bool blank = text[strspn(text, " \t\r\n")] == '\0';

			if (!blank)
				err = rules_read(rules, path, text, len,
						 settings);
			free(text);
			if (!blank)
				return err;
		} else if (err != -ENOENT) {
			log_fatal("%s: %s", path, strerror(-err));
			return err;
		}
	}
	if (!settings->rules)
		return 0;
	return rules_read(rules, settings->rules_from, settings->rules,
			  strlen(settings->rules), settings);
}
