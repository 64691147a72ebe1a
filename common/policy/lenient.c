/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy document may leave out or say too much: keys that mean nothing
 * to us, an action that is missing. Each is taken so that nothing opens that
 * the author did not write, and is noted.
 */
#include "inner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void rules_warn(struct rules *rules, const char *format, ...)
{
	char text[240];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* cut UTF-8 would be no JSON */
	for (char *c = text; *c; c++) {
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	}
	if (!rules->warnings)
		rules->warnings = json_array();
	if (++rules->n_warnings <= POLICY_WARNINGS_MAX) {
		json_array_append_new(rules->warnings, json_string(text));
		return;
	}
	snprintf(text, sizeof(text), "and %zu more",
		 rules->n_warnings - POLICY_WARNINGS_MAX);
	if (json_array_size(rules->warnings) > POLICY_WARNINGS_MAX)
		json_array_remove(rules->warnings, POLICY_WARNINGS_MAX);
	json_array_append_new(rules->warnings, json_string(text));
}

int action_from_json(enum policy_action *action, const json_t *json)
{
	const char *text = json_string_value(json);
	size_t len;

	if (!json || json_is_null(json))
		return 1;
	if (!text)
		return -EINVAL;
	text += strspn(text, POLICY_BLANKS);
	len = strcspn(text, POLICY_BLANKS);
	if (text[len + strspn(text + len, POLICY_BLANKS)] != '\0')
		return -EINVAL;
	if (len == 0)
		return 1;
	if (len == 5 && !strncasecmp(text, "allow", len))
		*action = POLICY_ALLOW;
	else if (len == 4 && !strncasecmp(text, "deny", len))
		*action = POLICY_DENY;
	else
		return -EINVAL;
	return 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Are the words the same but for case and one slip: a letter too many, too few
 * or wrong, or two that have changed places? */
static bool is_near(const char *a, const char *b)
{
	size_t n, m;

	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	n = strlen(a);
	m = strlen(b);
	while (n > 0 && m > 0 && lower(a[n - 1]) == lower(b[m - 1])) {
		n--;
		m--;
	}
	if (n <= 1 && m <= 1)
		return true;
	return n == 2 && m == 2 && lower(a[0]) == lower(b[1]) &&
	       lower(a[1]) == lower(b[0]);
}

int unknown_keys(json_t *object, const char *const *known, struct rules *list,
		 int index, const char *where, struct policy_error *err)
{
	const char *key, *colon = where[0] ? ": " : "";
	json_t *value;

	json_object_foreach(object, key, value)
	{
		const char *const *k = known;

		while (*k && strcmp(*k, key))
			k++;
		if (*k)
			continue;
		/* without it the rule could say more than was meant */
		for (k = known; *k; k++) {
			if (is_near(key, *k))
				return policy_error_set(
					err, index,
					"%s%sunknown key \"%.80s\"; did you "
					"mean \"%s\"?",
					where, colon, key, *k);
		}
		rules_warn(list, "%s%sunknown key \"%.80s\" ignored", where,
			   colon, key);
	}
	return 0;
}
