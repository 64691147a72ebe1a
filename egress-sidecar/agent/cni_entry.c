/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include "host/host.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".conflist"

enum {
	PATH_SIZE = 4096,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

static int fail(const char *where, const char *why)
{
	fprintf(stderr, "egress-sidecar cni-entry: %s: %s\n", where, why);
	return EXIT_FAILED;
}

static int is_list(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > strlen(SUFFIX) &&
	       strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* The list that a runtime takes: the first by name. 0 or -errno. */
static int list_find(const char *folder, char path[PATH_SIZE])
{
	struct dirent **names;
	int n = scandir(folder, &names, is_list, alphasort);
	int err = n < 0 ? -errno : n == 0 ? -ENOENT : 0;

	if (n > 0 && snprintf(path, PATH_SIZE, "%s/%s", folder,
			      names[0]->d_name) >= PATH_SIZE)
		err = -ENAMETOOLONG;
	if (n < 0)
		return err;
	while (n > 0)
		free(names[--n]);
	free(names);
	return err;
}

/* The one of its type, or a new last one. 0; 1: it is there already; -EINVAL:
 * the list has no plugins. */
static int entry_put(json_t *list, json_t *entry)
{
	const char *type = json_string_value(json_object_get(entry, "type"));
	json_t *plugins = json_object_get(list, "plugins"), *one;
	size_t i;

	if (json_array_size(plugins) == 0)
		return -EINVAL;
	json_array_foreach(plugins, i, one)
	{
		const char *is =
			json_string_value(json_object_get(one, "type"));

		if (!is || strcmp(is, type) != 0)
			continue;
		if (json_equal(one, entry))
			return 1;
		json_array_set(plugins, i, entry);
		return 0;
	}
	json_array_append(plugins, entry);
	return 0;
}

static int list_write(const char *path, const json_t *list)
{
	struct policy_file file = POLICY_FILE_NONE;
	char *text = json_dumps(list, JSON_INDENT(2));
	int err = text ? policy_file_prepare(&file, path, text, strlen(text))
		       : -ENOMEM;

	free(text);
	return err ? err : policy_file_commit(&file);
}

static int put(const char *path, json_t *entry)
{
	json_error_t error;
	json_t *list = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	int err;

	if (!list)
		return fail(path, error.text);
	err = entry_put(list, entry);
	if (err == 0)
		err = list_write(path, list);
	json_decref(list);
	if (err < 0)
		return fail(path, err == -EINVAL ? "it has no plugins"
						 : strerror(-err));
	printf("%s: %s\n", path, err ? "as it was" : "written");
	return 0;
}

int cni_entry_main(int argc, char **argv)
{
	char path[PATH_SIZE];
	json_error_t error;
	json_t *entry;
	int status, err;

	if (argc != 3 || argv[1][0] == '-') {
		fputs("usage: egress-sidecar cni-entry FILE FOLDER\n"
		      "Put a plugin's entry, the JSON object in FILE, behind "
		      "the others of the network\nconfiguration list that "
		      "container runtimes take from FOLDER (/etc/cni/net.d), "
		      "or\nin the place of the one of its type.\n\n"
		      "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
		      argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout
								  : stderr);
		return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0
								   : EXIT_USAGE;
	}
	entry = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!entry)
		return fail(argv[1], error.text);
	err = list_find(argv[2], path);
	if (!json_is_string(json_object_get(entry, "type")))
		status = fail(argv[1], "expected an object with a type");
	else if (err)
		status = fail(argv[2], err == -ENOENT ? "there is no " SUFFIX
							" in it"
						      : strerror(-err));
	else
		status = put(path, entry);
	json_decref(entry);
	return status;
}
