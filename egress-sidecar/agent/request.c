/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "http/http.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int __attribute__((format(printf, 3, 4)))
bad(struct agent_fault *fault, const char *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fault->message, sizeof(fault->message), format, args);
	va_end(args);
	fault->field = field;
	return -EINVAL;
}

static int netns_read(struct agent_place *place, const json_t *value,
		      struct agent_fault *fault)
{
	const char *text = json_string_value(value);

	if (!text || !text[0] || strlen(text) >= sizeof(place->netns) ||
	    strlen(text) != json_string_length(value))
		return bad(fault, "netns",
			   "expected a name below /run/netns or an absolute "
			   "path");
	if (text[0] != '/' && strchr(text, '/'))
		return bad(fault, "netns",
			   "\"%.100s\": expected a name without slashes or an "
			   "absolute path",
			   text);
	memcpy(place->netns, text, strlen(text) + 1);
	return 0;
}

static int pid_read(struct agent_place *place, const json_t *value,
		    struct agent_fault *fault)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 1 || n > INT_MAX)
		return bad(fault, "pid", "expected the number of a process");
	place->pid = (pid_t)n;
	return 0;
}

static int url_read(struct agent_place *place, const json_t *value,
		    struct agent_fault *fault)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= sizeof(place->policy_url) ||
	    strlen(text) != json_string_length(value) || !url_is_web(text))
		return bad(fault, "policyUrl",
			   "expected an http:// or https:// URL of less than "
			   "%d bytes",
			   AGENT_URL_MAX);
	memcpy(place->policy_url, text, strlen(text) + 1);
	return 0;
}

static int pod_read(struct agent_place *place, const json_t *value,
		    struct agent_fault *fault)
{
	const char *text = json_string_value(value);

	if (!text || agent_id_read(place->pod, text, json_string_length(value)))
		return bad(fault, "pod",
			   "expected its uid, 1 to %d of a-z, 0-9, '.' and '-'",
			   AGENT_ID_MAX);
	return 0;
}

static int resolvers_read(struct agent_place *place, const json_t *value,
			  struct agent_fault *fault)
{
	size_t n = json_array_size(value);

	if (!json_is_array(value) || n > RESOLVERS_MAX)
		return bad(fault, "resolvers",
			   "expected an array of at most %d addresses",
			   RESOLVERS_MAX);
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(value, i);
		const char *text = json_string_value(item);

		if (!text || strlen(text) != json_string_length(item) ||
		    resolver_from_text(&place->resolvers[i], text))
			return bad(fault, "resolvers",
				   "[%zu]%s%.100s%s: expected an IP address "
				   "with or without a port",
				   i, text ? ": \"" : "", text ? text : "",
				   text ? "\"" : "");
	}
	place->n_resolvers = n;
	return 0;
}

int agent_place_read(struct agent_place *place, const json_t *object,
		     struct agent_fault *fault)
{
	const json_t *netns = json_object_get(object, "netns");
	const json_t *pid = json_object_get(object, "pid");
	const json_t *url = json_object_get(object, "policyUrl");
	const json_t *pod = json_object_get(object, "pod");
	const json_t *resolvers = json_object_get(object, "resolvers");

	place->netns[0] = '\0';
	place->pid = 0;
	place->policy_url[0] = '\0';
	place->pod[0] = '\0';
	place->n_resolvers = 0;
	if (resolvers && resolvers_read(place, resolvers, fault))
		return -EINVAL;
	if (url && url_read(place, url, fault))
		return -EINVAL;
	if (pod && pod_read(place, pod, fault))
		return -EINVAL;
	if (netns && pid)
		return bad(fault, "pid", "expected netns or pid, not both");
	if (netns)
		return netns_read(place, netns, fault);
	if (pid)
		return pid_read(place, pid, fault);
	return bad(fault, "netns", "expected netns or pid");
}

static json_t *resolvers_json(const struct agent_place *place)
{
	json_t *json = json_array();
	char text[RESOLVER_TEXT_MAX];

	for (size_t i = 0; i < place->n_resolvers; i++)
		json_array_append_new(
			json, json_string(resolver_to_text(&place->resolvers[i],
							   text)));
	return json;
}

json_t *agent_place_json(const struct agent_place *place)
{
	json_t *json = place->netns[0]
			       ? json_pack("{ss}", "netns", place->netns)
			       : json_pack("{si}", "pid", (int)place->pid);

	if (place->policy_url[0])
		json_object_set_new(json, "policyUrl",
				    json_string(place->policy_url));
	if (place->pod[0])
		json_object_set_new(json, "pod", json_string(place->pod));
	if (place->n_resolvers)
		json_object_set_new(json, "resolvers", resolvers_json(place));
	return json;
}

static const char *const put_keys[] = {
	"netns",      "pid",       "policy", "policyUrl", "defaultPolicy",
	"attachment", "resolvers", "pod",    NULL};
static const char *const patch_keys[] = {"policy", NULL};

/* known ends with NULL. */
static int keys_check(const json_t *object, const char *const *known,
		      struct agent_fault *fault)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return bad(fault, NULL, "unknown key \"%.100s\"", key);
	}
	return 0;
}

int agent_attachment_read(char name[AGENT_ATTACHMENT_MAX + 1],
			  const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!text || len > AGENT_ATTACHMENT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' ||
		    text[i] == '\\')
			return -EINVAL;
	memcpy(name, text, len + 1);
	return 0;
}

static int attachment_name_read(struct agent_request *request,
				const json_t *object, struct agent_fault *fault)
{
	const json_t *value = json_object_get(object, "attachment");

	request->attachment[0] = '\0';
	if (!value)
		return 0;
	if (agent_attachment_read(request->attachment, value) ||
	    !request->attachment[0])
		return bad(fault, "attachment",
			   "expected 1 to %d printable characters without "
			   "blanks and quotation marks",
			   AGENT_ATTACHMENT_MAX);
	return 0;
}

/* Of the body's key; null and {} deny all. */
static int policy_read(struct rules **rules, const json_t *policy,
		       const char *key, size_t max_rules,
		       struct agent_fault *fault)
{
	struct policy_error error = {.index = -1};
	int err;

	if (!policy || json_is_null(policy))
		return rules_new(rules, POLICY_DENY);
	err = rules_from_json(rules, policy, max_rules, &error);
	if (err)
		bad(fault, key, "%s",
		    error.message[0] ? error.message : strerror(-err));
	return err;
}

/* request->is_default, *rules and request->otherwise. */
static int policies_read(struct agent_request *request, struct rules **rules,
			 const json_t *object, size_t max_rules,
			 struct agent_fault *fault)
{
	const json_t *own = json_object_get(object, "policy");
	json_t *otherwise = json_object_get(object, "defaultPolicy");
	struct rules *unused = NULL;
	int err;

	request->is_default = !own;
	err = policy_read(own ? &unused : rules, otherwise, "defaultPolicy",
			  max_rules, fault);
	if (!err && own) {
		rules_free(unused);
		err = policy_read(rules, own, "policy", max_rules, fault);
	}
	if (!err)
		request->otherwise = json_incref(otherwise);
	return err;
}

/* A body's object, a new reference; NULL with *err and the fault. */
static json_t *object_read(const char *body, size_t len,
			   const char *const *known, struct agent_fault *fault,
			   int *err)
{
	json_error_t error;
	json_t *object = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);

	*fault = (struct agent_fault){0};
	if (!object)
		*err = bad(fault, NULL, "not JSON: line %d: %s", error.line,
			   error.text);
	else if (!json_is_object(object))
		*err = bad(fault, NULL, "expected an object");
	else
		*err = keys_check(object, known, fault);
	if (!*err)
		return object;
	json_decref(object);
	return NULL;
}

int agent_request_read(struct agent_request *request, struct rules **rules,
		       const char *body, size_t len, size_t max_rules,
		       struct agent_fault *fault)
{
	int err;
	json_t *object = object_read(body, len, put_keys, fault, &err);

	request->otherwise = NULL;
	if (!err)
		err = agent_place_read(&request->place, object, fault);
	if (!err)
		err = attachment_name_read(request, object, fault);
	if (!err)
		err = policies_read(request, rules, object, max_rules, fault);
	json_decref(object);
	return err;
}

int agent_patch_read(struct rules **rules, const char *body, size_t len,
		     size_t max_rules, struct agent_fault *fault)
{
	int err;
	json_t *object = object_read(body, len, patch_keys, fault, &err);
	const json_t *policy = json_object_get(object, "policy");

	*rules = NULL;
	if (!err && !policy)
		err = bad(fault, "policy", "expected a policy, or null");
	if (!err && !json_is_null(policy))
		err = policy_read(rules, policy, "policy", max_rules, fault);
	json_decref(object);
	return err;
}

int agent_id_read(char *id, const char *text, size_t len)
{
	if (len == 0 || len > AGENT_ID_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '.' && c != '-')
			return -EINVAL;
		id[i] = c;
	}
	id[len] = '\0';
	return 0;
}
