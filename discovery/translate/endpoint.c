/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "policy/policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
	ENDPOINT_MAX = 256, /* bytes, the end's NUL included */
	NAME_MAX_LEN = 253,
	LABEL_MAX = 63,
};

static int refuse_kind(struct translation *t, const char *what,
		       const char *text, const char *kind)
{
	return translation_refuse(t,
				  "%s: \"%.60s\" is a %s address, where no "
				  "sandbox is",
				  what, text, kind);
}

static int check_address(struct translation *t, const char *what,
			 const char *text, const struct address *a)
{
	enum address_kind kind = address_kind(a);

	if (kind == ADDRESS_PUBLIC || kind == ADDRESS_PRIVATE ||
	    (kind == ADDRESS_LOOPBACK && t->allow_loopback))
		return 0;
	return refuse_kind(t, what, text, address_kind_name(kind));
}

/* Letters, digits, hyphens and underscores in labels, of which the last is no
 * number; no form of an IPv4 address that only inet_aton(3) reads. */
static bool is_name(const char *text)
{
	struct in_addr address;
	size_t label = 0, i;

	for (i = 0; i <= NAME_MAX_LEN && text[i]; i++) {
		if (text[i] == '.') {
			if (label == 0 || text[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-",
			    text[i] | (text[i] >= 'A' && text[i] <= 'Z' ? 0x20
									: 0)) ||
		    (label == 0 && text[i] == '-') || ++label > LABEL_MAX)
			return false;
	}
	return label > 0 && text[i - 1] != '-' && i <= NAME_MAX_LEN &&
	       strspn(text + i - label, "0123456789") < label &&
	       !inet_aton(text, &address);
}

/* Names that mean the gateway's own host (RFC 6761, hosts files), or a
 * metadata service. */
static const struct special_name {
	const char *name;
	enum address_kind kind;
} special_names[] = {
	{"localhost", ADDRESS_LOOPBACK},
	{"localhost.localdomain", ADDRESS_LOOPBACK},
	{"ip6-localhost", ADDRESS_LOOPBACK},
	{"ip6-loopback", ADDRESS_LOOPBACK},
	{"metadata", ADDRESS_METADATA},
	{"metadata.goog", ADDRESS_METADATA},
	{"metadata.google.internal", ADDRESS_METADATA},
	{"instance-data", ADDRESS_METADATA},
	{"instance-data.ec2.internal", ADDRESS_METADATA},
};

static int check_name(struct translation *t, const char *what, const char *text)
{
	size_t len = strlen(text);

	if (!is_name(text))
		return translation_refuse(
			t,
			"%s: \"%.60s\" is neither an address nor a host name",
			what, text);
	for (size_t i = 0; i < sizeof(special_names) / sizeof(*special_names);
	     i++) {
		const struct special_name *s = &special_names[i];
		size_t n = strlen(s->name);

		if (len < n || strcasecmp(text + len - n, s->name) != 0 ||
		    (len > n && text[len - n - 1] != '.'))
			continue;
		if (s->kind == ADDRESS_LOOPBACK && t->allow_loopback)
			return 0;
		return refuse_kind(t, what, text, address_kind_name(s->kind));
	}
	return 0;
}

/* The endpoint in its canonical form, a host name only where that may be.
 * 0 or -EINVAL. */
static int read_endpoint(struct translation *t, const char *what,
			 const char *text, bool names, char out[ENDPOINT_MAX])
{
	char bare[ADDRESS_TEXT_MAX], canonical[ADDRESS_TEXT_MAX];
	size_t len = strlen(text);
	struct address a;
	int err;

	if (len > 2 && len - 2 < sizeof(bare) && text[0] == '[' &&
	    text[len - 1] == ']') {
		memcpy(bare, text + 1, len - 2);
		bare[len - 2] = '\0';
	} else if (len < sizeof(bare)) {
		memcpy(bare, text, len + 1);
	} else {
		bare[0] = '\0';
	}
	if (address_from_text(&a, bare) == 0) {
		address_to_text(&a, canonical);
		snprintf(out, ENDPOINT_MAX, a.family == AF_INET ? "%s" : "[%s]",
			 canonical);
		return check_address(t, what, text, &a);
	}
	snprintf(out, ENDPOINT_MAX, "%s", text);
	err = check_name(t, what, text);
	if (err || names)
		return err;
	return translation_refuse(t,
				  "%s: \"%.60s\" is a host name, expected an "
				  "address",
				  what, text);
}

static int set_endpoint(struct translation *t, const char *what,
			const char *text, bool names)
{
	char endpoint[ENDPOINT_MAX];
	int err = read_endpoint(t, what, text, names, endpoint);

	return err ? err
		   : translation_set(t, "endpoint", json_string(endpoint));
}

int translate_address(struct translation *t, const char *what, const char *text)
{
	return set_endpoint(t, what, text, false);
}

int translate_endpoint(struct translation *t, const char *what,
		       const char *text)
{
	return set_endpoint(t, what, text, true);
}

int translate_port(struct translation *t, const char *what, unsigned port,
		   const char *address, unsigned to)
{
	char endpoint[ENDPOINT_MAX], key[16];
	json_t *map;
	int err;

	if (port == 0 || port > 65535 || to == 0 || to > 65535)
		return translation_refuse(
			t, "%s: expected ports from 1 to 65535", what);
	err = read_endpoint(t, what, address, false, endpoint);
	if (err)
		return err;
	map = json_object_get(t->record, "portMap");
	if (!map) {
		map = json_object();
		err = translation_set(t, "portMap", map);
		if (err)
			return err;
	}
	snprintf(key, sizeof(key), "%u", port);
	json_object_set_new(map, key, json_sprintf("%s:%u", endpoint, to));
	return 0;
}
