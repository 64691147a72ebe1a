/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "limits" of a policy document: {"connections":1000,"bytesTotal":1000000000}.
 */
#include "inner.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The kernel walks through the connections that it counts at each new one: with
 * 10,000 of them that takes a tenth of a millisecond, with 50,000 milliseconds.
 * It counts packets a second in 32 bits, and time in nanoseconds; numbers up to
 * 2^53 are exact in every reader of JSON. */
static const struct {
	const char *key;
	uint64_t max;
} limits[POLICY_LIMITS] = {
	[LIMIT_CONNECTIONS] = {"connections", 10000},
	[LIMIT_NEW_CONNECTIONS] = {"newConnectionsPerSecond", 1000000},
	[LIMIT_BYTES_PER_SECOND] = {"bytesPerSecond", 10000000000},
	[LIMIT_BYTES_TOTAL] = {"bytesTotal", UINT64_C(1) << 53},
	[LIMIT_DNS] = {"dnsPerSecond", 1000000},
};

const char *policy_limit_name(enum policy_limit limit)
{
	return limits[limit].key;
}

static int read_limit(struct policy_limits *out, enum policy_limit i,
		      const json_t *json, struct policy_error *err)
{
	json_int_t value = json_integer_value(json);
	char *text;
	int ret;

	if (!json || json_is_null(json))
		return 0;
	if (json_is_integer(json) && value > 0 &&
	    (uint64_t)value <= limits[i].max) {
		out->most[i] = (uint64_t)value;
		return 0;
	}
	text = json_dumps(json, JSON_ENCODE_ANY); /* a string in its quotes */
	ret = policy_error_set(err, -1,
			       "limits.%s: not an integer from 1 to %" PRIu64
			       ": %.80s",
			       limits[i].key, limits[i].max, text ? text : "");
	free(text);
	return ret;
}

int limits_from_json(struct rules *rules, json_t *json,
		     struct policy_error *err)
{
	const char *known[POLICY_LIMITS + 1] = {NULL};
	int ret;

	if (!json || json_is_null(json))
		return 0;
	if (!json_is_object(json))
		return policy_error_set(err, -1, "limits: not an object: %.80s",
					policy_json_shown(json));
	for (int i = 0; i < POLICY_LIMITS; i++)
		known[i] = limits[i].key;
	ret = unknown_keys(json, known, rules, -1, "limits", err);
	for (int i = 0; i < POLICY_LIMITS && ret == 0; i++)
		ret = read_limit(&rules->limits, (enum policy_limit)i,
				 json_object_get(json, limits[i].key), err);
	return ret;
}

size_t limits_to_text(const struct policy_limits *from,
		      char out[LIMITS_TEXT_MAX])
{
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < POLICY_LIMITS; i++) {
		if (!from->most[i])
			continue;
		n += (size_t)snprintf(out + n, LIMITS_TEXT_MAX - n,
				      "%s\"%s\":%" PRIu64, n ? "," : "{",
				      limits[i].key, from->most[i]);
	}
	if (n)
		n += (size_t)snprintf(out + n, LIMITS_TEXT_MAX - n, "}");
	assert(n < LIMITS_TEXT_MAX);
	return n;
}
