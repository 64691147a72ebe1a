/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE   ".place"
#define DEFAULT ".default"

enum {
	PATH_SIZE = 4096,
	PLACE_FILE_MAX = 1 << 20
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
static int file_prepare(struct policy_file *file, const char *path,
			json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err = text ? 0 : -ENOMEM;

	json_decref(json);
	*file = (struct policy_file)POLICY_FILE_NONE;
	if (!err)
		err = policy_file_prepare(file, path, text, strlen(text));
	free(text);
	return err;
}

static int place_prepare(struct policy_file *file, const char *folder,
			 const struct agent_record *record,
			 const json_t *attachments)
{
	char path[PATH_SIZE], asked[20];
	json_t *json = agent_place_json(&record->place);

	snprintf(asked, sizeof(asked), "%016llx",
		 (unsigned long long)record->asked);
	json_object_set_new(json, "device",
			    json_integer((json_int_t)record->identity[0]));
	json_object_set_new(json, "inode",
			    json_integer((json_int_t)record->identity[1]));
	json_object_set_new(json, "asked", json_string(asked));
	json_object_set(json, "attachments", (json_t *)attachments);
	path_of(folder, record->id, PLACE, path);
	return file_prepare(file, path, json);
}

int agent_state_place(const char *folder, const struct agent_record *record,
		      const json_t *attachments)
{
	struct policy_file file;
	int err = place_prepare(&file, folder, record, attachments);

	return err ? err : policy_file_commit(&file);
}

int agent_state_prepare(struct agent_change *change, const char *folder,
			const struct agent_record *record,
			const json_t *attachments, const struct rules *rules)
{
	char path[PATH_SIZE];
	int err;

	agent_state_policy(folder, record->id, path);
	err = file_prepare(&change->policy, path, rules_to_json(rules));
	if (err)
		return err;
	err = place_prepare(&change->place, folder, record, attachments);
	if (err)
		policy_file_abandon(&change->policy);
	return err;
}

/* The place last: without it there is no record. Where it fails, what the
 * policy's file held comes back. */
int agent_state_commit(struct agent_change *change)
{
	char path[PATH_SIZE], kept[PATH_SIZE + 8];
	bool had;
	int err;

	memcpy(path, change->policy.path, sizeof(path));
	snprintf(kept, sizeof(kept), "%s.old", path);
	unlink(kept);
	had = link(path, kept) == 0;
	err = policy_file_commit(&change->policy);
	if (!err) {
		err = policy_file_commit(&change->place);
		if (err && had)
			(void)!rename(kept, path);
		else if (err)
			unlink(path);
	}
	if (had)
		unlink(kept);
	agent_state_abandon(change);
	return err;
}

void agent_state_abandon(struct agent_change *change)
{
	policy_file_abandon(&change->policy);
	policy_file_abandon(&change->place);
}

uint64_t rules_hash(const struct rules *rules)
{
	json_t *json = rules_to_json(rules);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t h = 14695981039346656037U; /* FNV-1a */

	for (const char *c = text; c && *c; c++)
		h = (h ^ (uint8_t)*c) * 1099511628211U;
	json_decref(json);
	free(text);
	return h;
}

int agent_state_set_default(const char *folder, const char *id, json_t *policy)
{
	struct policy_file file;
	char path[PATH_SIZE];
	int err;

	path_of(folder, id, DEFAULT, path);
	if (!policy)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	err = file_prepare(&file, path, json_incref(policy));
	return err ? err : policy_file_commit(&file);
}

void agent_state_forget(const char *folder, const char *id)
{
	char path[PATH_SIZE];

	path_of(folder, id, PLACE, path);
	unlink(path);
	agent_state_policy(folder, id, path);
	unlink(path);
	path_of(folder, id, DEFAULT, path);
	unlink(path);
}

/* *attachments: a new reference, NULL where there are none. */
static int record_read(struct agent_record *record, json_t **attachments,
		       const char *path)
{
	struct agent_fault fault;
	const char *asked;
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
	asked = json_string_value(json_object_get(json, "asked"));
	record->asked = asked ? strtoull(asked, NULL, 16) : 0;
	*attachments = json_incref(json_object_get(json, "attachments"));
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

struct rules *agent_state_default(const char *folder, const char *id,
				  size_t max_rules)
{
	struct policy_error fault = {.index = -1};
	struct rules *rules = NULL;
	char path[PATH_SIZE];
	const char *why;

	path_of(folder, id, DEFAULT, path);
	if (access(path, F_OK) < 0)
		return rules_new(&rules, POLICY_DENY) == 0 ? rules : NULL;
	rules = policy_read(path, max_rules, &fault, &why);
	if (why)
		log_event(LOG_ERROR, NULL,
			  "a sandbox's default policy cannot be read: it is "
			  "denied all",
			  "ssandbox_id", id, "serror", why, NULL);
	return rules;
}

static void each_record(const char *folder, const char *id, size_t max_rules,
			void (*each)(void *arg,
				     const struct agent_record *record,
				     const json_t *attachments,
				     struct rules *rules, const char *why),
			void *arg)
{
	struct agent_record record = {0};
	struct policy_error fault = {.index = -1};
	json_t *attachments = NULL;
	char path[PATH_SIZE];
	struct rules *rules;
	const char *why;
	int err;

	memcpy(record.id, id, sizeof(record.id));
	path_of(folder, id, PLACE, path);
	err = record_read(&record, &attachments, path);
	if (err) {
		log_event(LOG_ERROR, NULL, "a sandbox's record cannot be read",
			  "sfile", path, "serror", strerror(-err), NULL);
	} else {
		agent_state_policy(folder, id, path);
		rules = policy_read(path, max_rules, &fault, &why);
		each(arg, &record, attachments, rules, why);
	}
	json_decref(attachments);
}

int agent_state_each(const char *folder, size_t max_rules,
		     void (*each)(void *arg, const struct agent_record *record,
				  const json_t *attachments,
				  struct rules *rules, const char *why),
		     void *arg)
{
	const size_t suffix = sizeof(PLACE) - 1;
	struct dirent **names;
	/* The whole list first: each() may forget records. */
	int n = scandir(folder, &names, NULL, alphasort);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);
		char id[AGENT_ID_MAX + 1];

		if (len > suffix &&
		    strcmp(names[i]->d_name + len - suffix, PLACE) == 0 &&
		    agent_id_read(id, names[i]->d_name, len - suffix) == 0)
			each_record(folder, id, max_rules, each, arg);
	}
	while (n > 0)
		free(names[--n]);
	free(names);
	return 0;
}
