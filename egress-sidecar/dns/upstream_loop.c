/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolver that runs in the sandbox's own namespace (Docker's 127.0.0.11,
 * say) and forwards from there meets our redirection: our question comes back
 * to us, and from us goes to it again. Each resolver is asked once for a name
 * that nobody else knows; if that name comes in, it is in such a loop.
 *
 *   r.4f1d0c22a7be913i.   A   i: the resolver's place, one hex digit
 */
#include "inner.h"
#include "upstream.h"

#include <stdio.h>
#include <string.h>

static const char hex[16] = "0123456789abcdef";

static void on_looked(void *arg, enum resolver_result result,
		      const uint8_t *message, size_t len)
{
	(void)arg;
	(void)result;
	(void)message;
	(void)len;
}

void resolvers_look_for_loops(struct resolvers *r)
{
	for (size_t i = 0; i < LOOP_TOKEN; i++)
		r->loop_token[i] = hex[attempts_random16(r) % 16];
	for (size_t i = 0; i < r->settings.n; i++) {
		struct question q = {.type = TYPE_A, .class = CLASS_IN};
		uint8_t message[QUESTION_UPSTREAM_MAX];
		struct resolver_question *unused;
		char text[2 + LOOP_TOKEN + 2];
		const char *why;

		snprintf(text, sizeof(text), "r.%.*s%c", LOOP_TOKEN,
			 r->loop_token, hex[i]);
		if (domain_name_from_text(&q.name, text, &why) == 0)
			(void)upstream_ask(r, NULL, message,
					   question_upstream(&q, message),
					   (int)i, on_looked, NULL, &unused);
	}
}

bool resolvers_saw(struct resolvers *r, const struct domain_name *name)
{
	const uint8_t *label;
	const char *digit;

	/* Its last label, before the root: a resolver may ask for that alone.
	 */
	if (!r || !r->loop_token[0] || name->len < LOOP_TOKEN + 3)
		return false;
	label = name->wire + name->len - LOOP_TOKEN - 3;
	if (label[0] != LOOP_TOKEN + 1 ||
	    memcmp(label + 1, r->loop_token, LOOP_TOKEN) != 0)
		return false;
	digit = memchr(hex, label[1 + LOOP_TOKEN], sizeof(hex));
	if (digit && (size_t)(digit - hex) < r->settings.n)
		upstream_loops(r, (size_t)(digit - hex));
	return true;
}
