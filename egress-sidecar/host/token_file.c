/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "options/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_token_file(const struct option_to *to, const char *value, char *why)
{
	char *text;
	size_t len;
	int err = policy_file_read(value, 4096, &text, &len);

	if (err) {
		snprintf(why, OPTION_WHY_MAX, "a file to read (%s)",
			 strerror(-err));
		return -EINVAL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	err = text[0] ? option_heap_text(to, text, why)
		      : option_expected(why, "a file that holds a token");
	free(text);
	return err;
}
