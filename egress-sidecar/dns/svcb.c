/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <string.h>

enum { /* SvcParamKeys, RFC 9460, 14.3.2 */
	KEY_MANDATORY = 0,
	KEY_IPV4HINT = 4,
	KEY_ECH = 5,
	KEY_IPV6HINT = 6
};

static bool is_hint(uint16_t key)
{
	return key == KEY_IPV4HINT || key == KEY_IPV6HINT;
}

static bool is_cut(uint16_t key, bool ech)
{
	return is_hint(key) || (ech && key == KEY_ECH);
}

/* Priority and target; the target is never compressed (RFC 9460, 2.2). */
static int skip_target(const uint8_t *data, size_t len)
{
	struct domain_name target;
	int taken;

	if (len < 3)
		return -EBADMSG;
	taken = domain_name_from_wire(&target, data + 2, len - 2);
	return taken < 0 ? -EBADMSG : taken + 2;
}

/* Copy the keys of "mandatory" but the hints, which clients may do without;
 * none left: no parameter. Without ECH a record that demands it is none. */
static int copy_mandatory(uint8_t *out, const uint8_t *value, size_t len,
			  bool ech)
{
	size_t n = 4;

	for (size_t i = 0; i + 2 <= len; i += 2) {
		uint16_t key = wire_get16(value + i);

		if (ech && key == KEY_ECH)
			return -EBADMSG;
		if (!is_hint(key)) {
			memcpy(out + n, value + i, 2);
			n += 2;
		}
	}
	if (n == 4)
		return 0;
	wire_put16(out, KEY_MANDATORY);
	wire_put16(out + 2, (uint16_t)(n - 4));
	return (int)n;
}

int svcb_cut(uint8_t *out, const uint8_t *data, size_t len, bool ech)
{
	int target = skip_target(data, len);
	size_t at, n;

	if (target < 0)
		return target;
	at = n = (size_t)target;
	memcpy(out, data, n);
	while (at < len) {
		uint16_t key;
		size_t value;
		int mandatory;

		if (len - at < 4)
			return -EBADMSG;
		key = wire_get16(data + at);
		value = wire_get16(data + at + 2);
		if (len - at - 4 < value)
			return -EBADMSG;
		if (key == KEY_MANDATORY) {
			mandatory = copy_mandatory(out + n, data + at + 4,
						   value, ech);
			if (mandatory < 0)
				return mandatory;
			n += (size_t)mandatory;
		} else if (!is_cut(key, ech)) {
			memcpy(out + n, data + at, value + 4);
			n += value + 4;
		}
		at += value + 4;
	}
	return (int)n;
}

bool svcb_is_cut(const uint8_t *data, size_t len, bool ech)
{
	int target = skip_target(data, len);
	size_t at;

	if (target < 0)
		return true;
	for (at = (size_t)target; len - at >= 4;) {
		size_t value = wire_get16(data + at + 2);

		if (is_cut(wire_get16(data + at), ech) || len - at - 4 < value)
			return true;
		at += value + 4;
	}
	return at != len;
}
