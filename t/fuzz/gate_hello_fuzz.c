/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a client's first ones: read at once and piece by piece they give
 * the same, and a name that is read stands in the message.
 *
 * Counted: egress-sidecar/gate/hello.c
 * Counted: egress-sidecar/gate/name.c
 */
#include "gate/inner.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
	if (!right)
		abort();
}

/* The records' payloads in a row, folded; size bytes have room. */
static size_t join(uint8_t *to, const uint8_t *data, size_t size)
{
	size_t n = 0;

	while (size > 0) {
		size_t len = (size_t)data[3] << 8 | data[4];

		check(size >= 5 + len);
		domain_octets_fold(to + n, data + 5, len);
		n += len;
		data += 5 + len;
		size -= 5 + len;
	}
	return n;
}

static void check_name(const struct domain_name *name, const uint8_t *data,
		       size_t size)
{
	char text[DOMAIN_NAME_TEXT_MAX];
	uint8_t *message = malloc(size);

	check(message != NULL);
	size = join(message, data, size);
	domain_name_to_text(name, text);
	check(memmem(message, size, text, strlen(text)) != NULL);
	check(!strchr(text, '\\') && !strchr(text, '_'));
	free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct domain_name name = {.len = 0}, again = {.len = 0};
	struct hello whole = {0}, pieces = {0};
	enum hello_result result, last = HELLO_MORE;
	size_t step = 1;

	if (size == 0)
		return 0;
	step += data[--size] % 16;
	result = hello_read(&whole, data, size, &name);
	for (size_t n = 0; last == HELLO_MORE;) {
		last = hello_read(&pieces, data, n, &again);
		if (n == size)
			break;
		n += step < size - n ? step : size - n;
	}
	check(result == last && name.len == again.len);
	check(result == HELLO_NAME || name.len == 0);
	if (result != HELLO_NAME)
		return 0;
	check(domain_name_equal(&name, &again) && whole.len <= size &&
	      whole.len == pieces.len && whole.versions == pieces.versions &&
	      whole.early == pieces.early);
	check_name(&name, data, whole.len);
	return 0;
}
