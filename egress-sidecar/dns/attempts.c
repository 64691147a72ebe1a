/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attempts that are under way, by their ids, which are random (RFC 5452):
 * what arrives on a carrier is an answer only where it belongs to one of them.
 */
#include "upstream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

uint16_t attempts_random16(struct resolvers *r)
{
	uint16_t value;

	if (r->random_left < sizeof(value)) {
		/* Not interrupted up to 256 bytes, getrandom(2). */
		if (getrandom(r->random, sizeof(r->random), 0) !=
		    sizeof(r->random))
			abort();
		r->random_left = sizeof(r->random);
	}
	r->random_left -= sizeof(value);
	memcpy(&value, r->random + r->random_left, sizeof(value));
	return value;
}

static struct attempt **bucket_of(struct resolvers *r, uint16_t id)
{
	return &r->bucket[id % ATTEMPT_BUCKETS];
}

void attempts_enter(struct resolvers *r, struct attempt *a)
{
	struct attempt *other;

	do {
		a->id = attempts_random16(r);
		other = *bucket_of(r, a->id);
		while (other &&
		       (other->id != a->id || other->socket != a->socket ||
			other->link != a->link))
			other = other->next;
	} while (other);
	a->next = *bucket_of(r, a->id);
	*bucket_of(r, a->id) = a;
	a->live = true;
	a->question->n_live++;
}

void attempts_leave(struct resolvers *r, struct attempt *a)
{
	struct attempt **at = bucket_of(r, a->id);

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->live = false;
	a->question->n_live--;
}

/* Does the message repeat our question (RFC 5452, 9.1)? Ours is in lower
 * case; label lengths are below 'A' and fold to themselves. */
static bool same_question(const struct resolver_question *q,
			  const uint8_t *message, size_t len)
{
	uint8_t name[DOMAIN_NAME_MAX];
	size_t name_len = q->question_end - DNS_HEADER - 4U;

	if (len < q->question_end || !(message[2] & FLAG2_QR) ||
	    wire_get16(message + 4) != 1)
		return false;
	domain_octets_fold(name, message + DNS_HEADER, name_len);
	return memcmp(name, q->message + DNS_HEADER, name_len) == 0 &&
	       memcmp(message + DNS_HEADER + name_len,
		      q->message + DNS_HEADER + name_len, 4) == 0;
}

struct attempt *attempts_match(struct resolvers *r,
			       const struct udp_socket *socket,
			       const struct tcp_link *link,
			       const uint8_t *message, size_t len)
{
	struct attempt *a = NULL;
	uint16_t id;

	if (len >= DNS_HEADER) {
		id = wire_get16(message);
		for (a = *bucket_of(r, id); a; a = a->next)
			if (a->id == id && a->socket == socket &&
			    a->link == link &&
			    same_question(a->question, message, len))
				break;
	}
	if (!a)
		r->counts.spoofed++;
	return a;
}

void attempts_carrier_closed(struct resolvers *r)
{
	if (--r->handles == 0)
		free(r);
}
