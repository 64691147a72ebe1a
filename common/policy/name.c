/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_MAX 63

static uint64_t hash_key[2];

__attribute__((constructor)) static void draw_hash_key(void)
{
	if (getentropy(hash_key, sizeof(hash_key)) < 0)
		abort();
}

/* ASCII alone, whatever the locale (RFC 4343) */
static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Eight octets at once: those from 'A' to 'Z' get bit 5. */
static uint64_t fold_word(uint64_t x)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t low = x & 0x7f * ones;
	uint64_t from_a = low + (0x80 - 'A') * ones;
	uint64_t behind_z = low + (0x7f - 'Z') * ones;

	return x | ((from_a ^ behind_z) & ~x & 0x80 * ones) >> 2;
}

void domain_octets_fold(uint8_t *to, const uint8_t *from, size_t n)
{
	uint64_t word;

	while (n >= sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		word = fold_word(word);
		memcpy(to, &word, sizeof(word));
		from += sizeof(word);
		to += sizeof(word);
		n -= sizeof(word);
	}
	while (n-- > 0)
		*to++ = fold(*from++);
}

static bool is_host_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

static const char *bad_char(uint8_t c)
{
	if (c >= 0x80)
		return "internationalised names must be given as A-labels "
		       "(xn--...)";
	if (c == '*')
		return "'*' may stand alone or be the whole first label";
	return "a character that is not a letter, digit, '-', '_' or '.'";
}

int domain_name_from_text(struct domain_name *name, const char *text,
			  const char **why)
{
	size_t label = 0, at = 1;

	if (text[0] == '\0' || (text[0] == '.' && text[1] == '\0')) {
		*why = "the name is empty";
		return -EINVAL;
	}
	for (;; text++) {
		uint8_t c = fold((uint8_t)*text);

		if (c == '.' || c == '\0') {
			size_t len = at - label - 1;

			if (len == 0) {
				*why = "an empty label";
				return -EINVAL;
			}
			name->wire[label] = (uint8_t)len;
			label = at++;
			if (c == '\0' || text[1] == '\0')
				break;
			continue;
		}
		if (!is_host_char(c)) {
			*why = bad_char(c);
			return -EINVAL;
		}
		if (at - label > LABEL_MAX) {
			*why = "a label is longer than 63 characters";
			return -EINVAL;
		}
		/* the root's octet must still follow */
		if (at >= DOMAIN_NAME_MAX - 1) {
			*why = "the name is longer than 255 octets";
			return -EINVAL;
		}
		name->wire[at++] = c;
	}
	name->wire[label] = 0;
	name->len = (uint8_t)(label + 1);
	*why = NULL;
	return 0;
}

int domain_name_from_wire(struct domain_name *name, const uint8_t *wire,
			  size_t len)
{
	size_t at = 0;

	for (;;) {
		size_t octets;

		if (at >= len || at >= DOMAIN_NAME_MAX)
			return -EINVAL;
		octets = wire[at++];
		if (octets == 0)
			break;
		if (octets > LABEL_MAX || octets > len - at ||
		    octets > DOMAIN_NAME_MAX - at)
			return -EINVAL;
		at += octets;
	}
	/* Length octets are below 'A' and fold to themselves. */
	domain_octets_fold(name->wire, wire, at);
	name->len = (uint8_t)at;
	return (int)at;
}

char *domain_name_to_text(const struct domain_name *name, char *out)
{
	const uint8_t *label = name->wire;
	char *to = out;

	if (label[0] == 0)
		*to++ = '.';
	while (label[0] != 0) {
		if (to != out)
			*to++ = '.';
		for (size_t i = 1; i <= label[0]; i++) {
			uint8_t c = label[i];

			if (is_host_char(c)) {
				*to++ = (char)c;
				continue;
			}
			*to++ = '\\';
			*to++ = (char)('0' + c / 100);
			*to++ = (char)('0' + c / 10 % 10);
			*to++ = (char)('0' + c % 10);
		}
		label += label[0] + 1;
	}
	*to = '\0';
	return out;
}

struct domain_name *domain_name_copy(const struct domain_name *name)
{
	size_t size = offsetof(struct domain_name, wire) + name->len;
	struct domain_name *copy = malloc(size);

	if (copy)
		memcpy(copy, name, size);
	return copy;
}

int domain_name_compare(const struct domain_name *a,
			const struct domain_name *b)
{
	if (a->len != b->len)
		return (int)a->len - (int)b->len;
	return memcmp(a->wire, b->wire, a->len);
}

bool domain_name_equal(const struct domain_name *a, const struct domain_name *b)
{
	return domain_name_compare(a, b) == 0;
}

size_t domain_name_labels(const struct domain_name *name,
			  uint8_t offset[DOMAIN_LABELS_MAX])
{
	size_t n = 0;

	for (size_t at = 0; name->wire[at] != 0; at += name->wire[at] + 1u)
		offset[n++] = (uint8_t)at;
	return n;
}

bool domain_name_ends_in_number(const struct domain_name *name)
{
	const uint8_t *label = name->wire;

	if (label[0] == 0)
		return false;
	while (label[label[0] + 1] != 0)
		label += label[0] + 1;
	if (label[0] >= 2 && label[1] == '0' && label[2] == 'x')
		return true;
	for (size_t i = 1; i <= label[0]; i++) {
		if ((label[i] < '0' || label[i] > '9') && label[i] != '-')
			return false;
	}
	return true;
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

static inline uint64_t load32(const uint8_t *from)
{
	uint32_t word;

	memcpy(&word, from, sizeof(word));
	return le32toh(word);
}

/* Up to seven octets as a word, the first one lowest, without reading past
 * them: two halves or three octets, which agree where they overlap. */
static inline uint64_t load_few(const uint8_t *from, size_t n)
{
	if (n >= 4)
		return load32(from) | load32(from + n - 4) << 8 * (n - 4);
	if (n == 0)
		return 0;
	return from[0] | (uint64_t)from[n / 2] << 8 * (n / 2) |
	       (uint64_t)from[n - 1] << 8 * (n - 1);
}

/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF") of
 * the suffix's hash and the label with its length octet, which also ends the
 * message: no two labels pad to the same words.
 */
uint64_t domain_name_hash_label(uint64_t suffix, const uint8_t *label)
{
	struct sip s = {
		hash_key[0] ^ UINT64_C(0x736f6d6570736575),
		hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
		hash_key[0] ^ UINT64_C(0x6c7967656e657261),
		hash_key[1] ^ UINT64_C(0x7465646279746573),
	};
	size_t left = label[0] + 1u;
	uint64_t word;

	sip_word(&s, suffix);
	for (; left >= sizeof(word); left -= sizeof(word)) {
		memcpy(&word, label, sizeof(word));
		sip_word(&s, word);
		label += sizeof(word);
	}
	if (left)
		sip_word(&s, load_few(label, left));
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t domain_name_hash(const struct domain_name *name)
{
	uint8_t offset[DOMAIN_LABELS_MAX];
	size_t n = domain_name_labels(name, offset);
	uint64_t hash = 0;

	while (n > 0)
		hash = domain_name_hash_label(hash, name->wire + offset[--n]);
	return hash;
}
