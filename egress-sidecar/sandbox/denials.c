/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <string.h>

static struct denial *denial_of(struct denials *d,
				const struct domain_name *name)
{
	struct denial *oldest = &d->latest[0];

	for (size_t i = 0; i < DENIALS_LATEST; i++) {
		struct denial *at = &d->latest[i];

		if (at->count && domain_name_equal(&at->name, name))
			return at;
		if (at->order < oldest->order)
			oldest = at;
	}
	oldest->name.len = name->len;
	memcpy(oldest->name.wire, name->wire, name->len);
	oldest->count = 0;
	return oldest;
}

void denials_add(struct denials *d, enum denial_kind kind,
		 const struct domain_name *name, uint64_t now_s, time_t clock)
{
	struct denial_second *s = &d->second[now_s % DENIALS_SECONDS];
	struct denial *of;

	if (s->at != now_s)
		*s = (struct denial_second){.at = now_s};
	s->n[kind]++;
	if (!name)
		return;
	of = denial_of(d, name);
	of->count++;
	of->at = clock;
	of->order = ++d->order;
}

uint64_t denials_in_minute(const struct denials *d, enum denial_kind kind,
			   uint64_t now_s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < DENIALS_SECONDS; i++)
		if (now_s - d->second[i].at < DENIALS_SECONDS)
			n += d->second[i].n[kind];
	return n;
}

const struct denial *denials_latest(const struct denials *d, size_t i)
{
	const struct denial *found = NULL;
	uint64_t below = UINT64_MAX;

	for (size_t k = 0; k <= i; k++) {
		found = NULL;
		for (size_t j = 0; j < DENIALS_LATEST; j++) {
			const struct denial *at = &d->latest[j];

			if (at->count && at->order < below &&
			    (!found || at->order > found->order))
				found = at;
		}
		if (!found)
			return NULL;
		below = found->order;
	}
	return found;
}
