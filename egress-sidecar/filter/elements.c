/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void elements_free(struct elements *list)
{
	free(list->e);
	free(list->text);
	memset(list, 0, sizeof(*list));
}

struct set_element *elements_add(struct elements *list)
{
	if (list->n == list->size) {
		size_t size = list->size ? list->size * 2 : 64;
		struct set_element *wider =
			realloc(list->e, size * sizeof(*wider));

		if (!wider)
			return NULL;
		list->e = wider;
		list->size = size;
	}
	memset(&list->e[list->n], 0, sizeof(list->e[0]));
	return &list->e[list->n++];
}

void elements_clear(struct elements *list)
{
	list->n = 0;
	list->text_len = 0;
}

int elements_comment(struct elements *list, struct set_element *e,
		     const char *comment)
{
	size_t len = strlen(comment) + 1;

	if (len > SET_COMMENT_MAX)
		return 0;
	if (list->text_size - list->text_len < len) {
		size_t size = list->text_size ? list->text_size * 2 : 4096;
		char *wider = realloc(list->text, size);

		if (!wider)
			return -ENOMEM;
		list->text = wider;
		list->text_size = size;
	}
	memcpy(list->text + list->text_len, comment, len);
	e->comment = (uint32_t)list->text_len + 1;
	list->text_len += len;
	return 0;
}

void element_address(struct set_element *e, const struct address *a)
{
	memcpy(e->key, a->bytes, address_size(a));
}

void element_address_port(struct set_element *e, const struct address *a,
			  uint16_t port)
{
	uint16_t wire = htons(port);

	element_address(e, a);
	memcpy(e->key + address_size(a), &wire, sizeof(wire));
}

void element_address_number(struct set_element *e, const struct address *a,
			    uint32_t number)
{
	element_address(e, a);
	memcpy(e->key + address_size(a), &number, sizeof(number));
}

static int compare_elements(const void *a, const void *b)
{
	const struct set_element *x = a, *y = b;
	int order = memcmp(x->key, y->key, sizeof(x->key));

	if (order != 0)
		return order;
	return x->timeout_s < y->timeout_s   ? 1
	       : x->timeout_s > y->timeout_s ? -1
					     : 0;
}

void elements_unique(struct elements *list)
{
	size_t kept = 0;

	if (list->n < 2)
		return;
	qsort(list->e, list->n, sizeof(list->e[0]), compare_elements);
	for (size_t i = 1; i < list->n; i++) {
		if (memcmp(list->e[i].key, list->e[kept].key, SET_KEY_MAX) != 0)
			list->e[++kept] = list->e[i];
	}
	list->n = kept + 1;
}

/* The next address; false behind the last of the family. */
static bool address_step(struct address *a)
{
	for (size_t i = address_size(a); i-- > 0;) {
		if (++a->bytes[i] != 0)
			return true;
	}
	return false;
}

int elements_add_range(struct elements *list, const struct address_range *r,
		       const struct verdict *verdict)
{
	struct address end = r->last;
	struct set_element *e = elements_add(list);

	if (!e)
		return -ENOMEM;
	element_address(e, &r->first);
	e->verdict = verdict;
	if (!address_step(&end))
		return 0;
	e = elements_add(list);
	if (!e)
		return -ENOMEM;
	element_address(e, &end);
	e->end = true;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct address_range *x = a, *y = b;

	return address_compare(&x->first, &y->first);
}

size_t ranges_merge(struct address_range *r, size_t n)
{
	size_t kept = 0;

	if (n < 2)
		return n;
	qsort(r, n, sizeof(*r), compare_ranges);
	for (size_t i = 1; i < n; i++) {
		struct address next = r[kept].last;
		bool more = address_step(&next);

		if (r[i].first.family == r[kept].first.family &&
		    (!more || address_compare(&r[i].first, &next) <= 0)) {
			if (address_compare(&r[i].last, &r[kept].last) > 0)
				r[kept].last = r[i].last;
		} else {
			r[++kept] = r[i];
		}
	}
	return kept + 1;
}
