/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

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
	    strlen(text) != json_string_length(value) ||
	    (strncmp(text, "http://", 7) && strncmp(text, "https://", 8)))
		return bad(fault, "policyUrl",
			   "expected an http:// or https:// URL of less than "
			   "%d bytes",
			   AGENT_URL_MAX);
	memcpy(place->policy_url, text, strlen(text) + 1);
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
	const json_t *resolvers = json_object_get(object, "resolvers");

	place->netns[0] = '\0';
	place->pid = 0;
	place->policy_url[0] = '\0';
	place->n_resolvers = 0;
	if (resolvers && resolvers_read(place, resolvers, fault))
		return -EINVAL;
	if (url && url_read(place, url, fault))
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
	if (place->n_resolvers)
		json_object_set_new(json, "resolvers", resolvers_json(place));
	return json;
}

static int keys_check(const json_t *object, struct agent_fault *fault)
{
	static const char *const known[] = {
		"netns",         "pid",        "policy",   "policyUrl",
		"defaultPolicy", "attachment", "resolvers"};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(*known) &&
		       strcmp(known[i], key) != 0)
			i++;
		if (i == sizeof(known) / sizeof(*known))
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

static int policy_read(struct agent_request *request, struct rules **rules,
		       const json_t *object, size_t max_rules,
		       struct agent_fault *fault)
{
	const json_t *own = json_object_get(object, "policy");
	const json_t *policy = json_object_get(object, "defaultPolicy");
	struct policy_error error = {.index = -1};
	int err;

	if (own && policy)
		return bad(fault, "defaultPolicy",
			   "expected policy or defaultPolicy, not both");
	request->is_default = !own;
	if (own)
		policy = own;
	if (!policy || json_is_null(policy))
		return rules_new(rules, POLICY_DENY);
	err = rules_from_json(rules, policy, max_rules, &error);
	if (err)
		bad(fault, own ? "policy" : "defaultPolicy", "%s",
		    error.message[0] ? error.message : strerror(-err));
	return err;
}

int agent_request_read(struct agent_request *request, struct rules **rules,
		       const char *body, size_t len, size_t max_rules,
		       struct agent_fault *fault)
{
	json_error_t error;
	json_t *object = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
	int err;

	*fault = (struct agent_fault){0};
	if (!object)
		return bad(fault, NULL, "not JSON: line %d: %s", error.line,
			   error.text);
	if (!json_is_object(object))
		err = bad(fault, NULL, "expected an object");
	else
		err = keys_check(object, fault);
	if (!err)
		err = agent_place_read(&request->place, object, fault);
	if (!err)
		err = attachment_name_read(request, object, fault);
	if (!err)
		err = policy_read(request, rules, object, max_rules, fault);
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
