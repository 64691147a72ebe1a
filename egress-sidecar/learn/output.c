/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "host/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *output_text(const json_t *document)
{
	const json_t *rules = json_object_get(document, "egress");
	const char *key;
	char *text = NULL;
	size_t len, i;
	FILE *out = open_memstream(&text, &len);
	json_t *rule, *value;

	if (!out)
		return NULL;
	fputs("{", out);
	json_object_foreach((json_t *)document, key, value)
	{
		if (value == rules)
			continue;
		fprintf(out, "\"%s\": ", key);
		json_dumpf(value, out, JSON_ENCODE_ANY);
		fputs(", ", out);
	}
	fputs("\"egress\": [", out);
	json_array_foreach((json_t *)rules, i, rule)
	{
		fputs(i ? ",\n  " : "\n  ", out);
		json_dumpf(rule, out, 0);
	}
	fputs(i ? "\n]}" : "]}", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

int output_check(const char *path, bool replace)
{
	struct policy_file file = POLICY_FILE_NONE;
	int err;

	if (!replace && access(path, F_OK) == 0)
		return -EEXIST;
	err = policy_file_prepare(&file, path, "", 0);
	policy_file_abandon(&file);
	return err;
}

int output_write(const char *path, const char *text, bool replace)
{
	struct policy_file file = POLICY_FILE_NONE;
	int err = policy_file_prepare(&file, path, text, strlen(text));

	if (err || replace)
		return err ? err : policy_file_commit(&file);
	/* link(2) replaces nothing. */
	if (link(file.temporary, path) < 0)
		err = -errno;
	policy_file_abandon(&file);
	return err;
}
