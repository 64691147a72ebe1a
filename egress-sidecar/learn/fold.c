/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <errno.h>
#include <libpsl.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARENT_LABELS_MIN = 2
};

/* The name's last labels, at most all of them. */
static void ancestor(struct domain_name *out, const struct domain_name *name,
		     size_t labels)
{
	uint8_t at[DOMAIN_LABELS_MAX];
	size_t n = domain_name_labels(name, at);
	uint8_t from = labels < n ? at[n - labels] : 0;

	memset(out, 0, sizeof(*out));
	out->len = (uint8_t)(name->len - from);
	memcpy(out->wire, name->wire + from, out->len);
}

static size_t label_count(const struct target *t)
{
	uint8_t at[DOMAIN_LABELS_MAX];

	return t->name.len ? domain_name_labels(&t->name, at) : 0;
}

/* Is the parent at or below the name's registrable domain? Above it others
 * may have names of their own. */
static bool owns(const psl_ctx_t *psl, const struct domain_name *parent,
		 const struct domain_name *name)
{
	char text[DOMAIN_NAME_TEXT_MAX], above[DOMAIN_NAME_TEXT_MAX];
	const char *domain =
		psl_registrable_domain(psl, domain_name_to_text(name, text));

	return domain &&
	       strlen(domain) <= strlen(domain_name_to_text(parent, above));
}

/* The targets from first on that lie below the parent: how many of them, and
 * how many names; *n 0 where a name among them is not the parent's to give. */
static size_t count_below(const struct targets *t, size_t first,
			  const struct domain_name *parent, size_t labels,
			  const psl_ctx_t *psl, size_t *names)
{
	struct domain_name above;
	size_t i;

	*names = 0;
	for (i = first; i < t->n && label_count(&t->at[i]) > labels; i++) {
		ancestor(&above, &t->at[i].name, labels);
		if (!domain_name_equal(&above, parent) ||
		    !owns(psl, parent, &t->at[i].name))
			break;
		*names += !t->at[i].below;
	}
	return i - first;
}

/* The first of n targets becomes "*.parent" with the ports of all. */
static int fold(struct targets *t, size_t first, size_t n,
		const struct domain_name *parent)
{
	struct target whole = {.name = *parent, .below = true};
	struct targets one = {.at = &whole, .n = 1};
	int err = 0;

	for (size_t i = first; i < first + n && !err; i++)
		for (size_t k = 0; k < t->at[i].n_uses && !err; k++)
			err = targets_use(&one, &t->at[i].use[k]);
	if (err) {
		free(whole.use);
		return err;
	}
	for (size_t i = first; i < first + n; i++)
		free(t->at[i].use);
	t->at[first] = whole;
	memmove(&t->at[first + 1], &t->at[first + n],
		(t->n - first - n) * sizeof(*t->at));
	t->n -= n - 1;
	return 0;
}

static int fold_depth(struct targets *t, size_t labels, size_t least,
		      const psl_ctx_t *psl)
{
	for (size_t i = 0; i < t->n; i++) {
		struct domain_name parent;
		size_t n, names;
		int err;

		if (label_count(&t->at[i]) <= labels)
			continue;
		ancestor(&parent, &t->at[i].name, labels);
		n = count_below(t, i, &parent, labels, psl, &names);
		if (names < least) {
			i += n ? n - 1 : 0;
			continue;
		}
		err = fold(t, i, n, &parent);
		if (err)
			return err;
	}
	return 0;
}

int targets_fold(struct targets *t, size_t least)
{
	psl_ctx_t *latest = NULL;
	const psl_ctx_t *psl = psl_builtin();
	size_t deepest = 0;
	int err = 0;

	if (!psl)
		psl = latest = psl_latest(NULL);
	if (!psl)
		return -ENOENT;
	for (size_t i = 0; i < t->n; i++)
		if (label_count(&t->at[i]) > deepest)
			deepest = label_count(&t->at[i]);
	for (size_t labels = deepest; labels > PARENT_LABELS_MIN && !err;
	     labels--)
		err = fold_depth(t, labels - 1, least, psl);
	psl_free(latest);
	return err;
}
