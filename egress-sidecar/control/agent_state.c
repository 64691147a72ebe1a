/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_state.h"

#include "../log.h"
#include "../policy_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE ".place"

enum {
	PATH_SIZE = 4096,
	PLACE_FILE_MAX = 16 * 1024
};

static void path_of(const char *folder, const char *id, const char *kind,
		    char *path)
{
	snprintf(path, PATH_SIZE, "%s/%s%s", folder, id, kind);
}

void agent_state_policy(const char *folder, const char *id, char *path)
{
	path_of(folder, id, ".policy", path);
}

int agent_state_open(const char *folder)
{
	char path[PATH_SIZE];
	char *slash = path;

	snprintf(path, sizeof(path), "%s", folder);
	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Takes the reference of json. */
static int file_put(const char *path, json_t *json)
{
	struct policy_file file;
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err = text ? 0 : -ENOMEM;

	json_decref(json);
	if (!err)
		err = policy_file_prepare(&file, path, text, strlen(text));
	if (!err)
		err = policy_file_commit(&file);
	free(text);
	return err;
}

int agent_state_place(const char *folder, const struct agent_record *record)
{
	char path[PATH_SIZE];
	json_t *json = agent_place_json(&record->place);

	json_object_set_new(json, "device",
			    json_integer((json_int_t)record->identity[0]));
	json_object_set_new(json, "inode",
			    json_integer((json_int_t)record->identity[1]));
	path_of(folder, record->id, PLACE, path);
	return file_put(path, json);
}

int agent_state_save(const char *folder, const struct agent_record *record,
		     const struct rules *rules)
{
	char path[PATH_SIZE];
	int err;

	/* The place last: without it there is no record. */
	agent_state_policy(folder, record->id, path);
	err = file_put(path, rules_to_json(rules));
	if (err)
		return err;
	err = agent_state_place(folder, record);
	if (err)
		agent_state_forget(folder, record->id);
	return err;
}

void agent_state_forget(const char *folder, const char *id)
{
	char path[PATH_SIZE];

	path_of(folder, id, PLACE, path);
	unlink(path);
	agent_state_policy(folder, id, path);
	unlink(path);
}

static int record_read(struct agent_record *record, const char *path)
{
	struct agent_fault fault;
	json_t *json;
	char *text;
	size_t len;
	int err = policy_file_read(path, PLACE_FILE_MAX, &text, &len);

	if (err)
		return err;
	json = json_loadb(text, len, 0, NULL);
	free(text);
	if (!json_is_object(json))
		err = -EINVAL;
	else
		err = agent_place_read(&record->place, json, &fault);
	record->identity[0] =
		(uint64_t)json_integer_value(json_object_get(json, "device"));
	record->identity[1] =
		(uint64_t)json_integer_value(json_object_get(json, "inode"));
	json_decref(json);
	return err;
}

/* Deny all where the file cannot be used; *why then says so. */
static struct rules *policy_read(const char *path, size_t max_rules,
				 struct policy_error *fault, const char **why)
{
	struct rules *rules = NULL;
	char *text = NULL;
	size_t len;
	int err = policy_file_read(path, POLICY_BODY_MAX, &text, &len);

	if (!err)
		err = rules_from_text(&rules, text, len, max_rules, fault);
	free(text);
	*why = NULL;
	if (!err)
		return rules;
	*why = fault->message[0] ? fault->message : strerror(-err);
	return rules_new(&rules, POLICY_DENY) == 0 ? rules : NULL;
}

int agent_state_each(const char *folder, size_t max_rules,
		     void (*each)(void *arg, const struct agent_record *record,
				  struct rules *rules, const char *why),
		     void *arg)
{
	const size_t suffix = sizeof(PLACE) - 1;
	struct dirent **names;
	char path[PATH_SIZE];
	/* The whole list first: each() may forget records. */
	int n = scandir(folder, &names, NULL, alphasort);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct agent_record record = {0};
		struct policy_error fault = {.index = -1};
		size_t len = strlen(names[i]->d_name);
		struct rules *rules;
		const char *why;
		int err;

		if (len <= suffix ||
		    strcmp(names[i]->d_name + len - suffix, PLACE) != 0 ||
		    agent_id_read(record.id, names[i]->d_name, len - suffix))
			continue;
		path_of(folder, record.id, PLACE, path);
		err = record_read(&record, path);
		if (err) {
			log_event(LOG_ERROR, NULL,
				  "a sandbox's record cannot be read", "sfile",
				  path, "serror", strerror(-err), NULL);
			continue;
		}
		agent_state_policy(folder, record.id, path);
		rules = policy_read(path, max_rules, &fault, &why);
		each(arg, &record, rules, why);
	}
	while (n > 0)
		free(names[--n]);
	free(names);
	return 0;
}
