/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "life/life.h"
#include "log/log.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The warnings of rules, to be freed; NULL: none. changed: is the answer one to
 * a change? */
static char *warnings_text(const struct policy_call *call,
			   const struct rules *rules, bool changed)
{
	json_t *list = json_deep_copy(rules->warnings);
	char *text = NULL;

	if (changed && call->follows) {
		list = list ? list : json_array();
		json_array_append_new(
			list, json_sprintf("%s is followed: the next change of "
					   "the policy there replaces this one",
					   call->follows));
	}
	if (list)
		text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

/* reason: a constant without quotation marks, or NULL. */
static void reply_state(struct reply *reply, const struct policy_call *call,
			const char *reason, bool changed)
{
	const struct rules *rules = policy_rules(sandbox_policy(call->sandbox));
	char *policy = rules_to_text(rules, NULL), *body = NULL;
	char *warnings = warnings_text(call, rules, changed);

	if (policy &&
	    asprintf(&body,
		     "{\"status\":\"ok\",\"mode\":\"%s\","
		     "\"enforcementMode\":\"%s\"%s%s%s%s%s,"
		     "\"policy\":%s}",
		     sandbox_mode(call->sandbox),
		     call->settings->nft ? "dns+nft" : "dns",
		     reason ? ",\"reason\":\"" : "", reason ? reason : "",
		     reason ? "\"" : "", warnings ? ",\"warnings\":" : "",
		     warnings ? warnings : "", policy) < 0)
		body = NULL;
	free(warnings);
	free(policy);
	if (!body) {
		reply_text(reply, 500, "out of memory");
		return;
	}
	*reply = (struct reply){
		.status = 200, .type = "application/json", .body = body};
}

/* What a document that could not be read is answered; what: "policy", "patch
 * rules", "delete targets". */
static void reply_unread(struct reply *reply, const struct sandbox *sandbox,
			 const char *what, int err,
			 const struct policy_error *fault)
{
	log_event(LOG_WARN, event_update_failed.name, "policy refused",
		  "serror", fault->message[0] ? fault->message : strerror(-err),
		  "ssandbox_id",
		  sandbox_id(sandbox)[0] ? sandbox_id(sandbox) : NULL, NULL);
	if (err == -E2BIG)
		reply_text(reply, 413, "%s", fault->message);
	else if (err == -EINVAL)
		reply_text(reply, 400, "invalid %s: %s", what, fault->message);
	else
		reply_text(reply, 500, "%s", strerror(-err));
}

/* Put rules (taken over) in force and answer. */
static void put(const struct policy_call *call, struct rules *rules,
		const char *reason, struct reply *reply)
{
	char message[256];
	int err = sandbox_replace(call->sandbox, rules, message);

	if (err)
		reply_text(reply, 500, "policy not applied: %s", message);
	else
		reply_state(reply, call, reason, true);
}

static void replace(const struct policy_call *call, const char *body,
		    size_t len, struct reply *reply)
{
	struct policy_error fault = {.index = -1};
	struct rules *rules;
	int err = rules_from_text(&rules, body, len, call->settings->max_rules,
				  &fault);

	if (err) {
		reply_unread(reply, call->sandbox, "policy", err, &fault);
		return;
	}
	put(call, rules,
	    rules->given ? NULL : "policy reset to default deny-all", reply);
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\r\n");
}

/* A list of changes without any is a mistake: nothing at all, or "[]". */
static int check_changes(const char *body, struct policy_error *fault)
{
	const char *why = NULL;

	body = skip_blanks(body);
	if (*body == '\0')
		why = "empty body";
	else if (*body == '[' && *skip_blanks(body + 1) == ']' &&
		 *skip_blanks(skip_blanks(body + 1) + 1) == '\0')
		why = "empty array";
	if (!why)
		return 0;
	snprintf(fault->message, sizeof(fault->message), "%s", why);
	return -EINVAL;
}

static void patch(const struct policy_call *call, const char *body, size_t len,
		  struct reply *reply)
{
	struct policy_error fault = {.index = -1};
	struct rules *rules;
	int err = check_changes(body, &fault);

	if (!err)
		err = rules_patched(
			&rules, policy_rules(sandbox_policy(call->sandbox)),
			body, len, call->settings->max_rules, &fault);
	if (err)
		reply_unread(reply, call->sandbox, "patch rules", err, &fault);
	else
		put(call, rules, NULL, reply);
}

static void take_away(const struct policy_call *call, const char *body,
		      size_t len, struct reply *reply)
{
	struct policy_error fault = {.index = -1};
	struct rules *rules;
	size_t removed;
	int err = check_changes(body, &fault);

	if (!err)
		err = rules_without(&rules,
				    policy_rules(sandbox_policy(call->sandbox)),
				    body, len, &removed, &fault);
	if (err) {
		reply_unread(reply, call->sandbox, "delete targets", err,
			     &fault);
	} else if (removed == 0) {
		rules_free(rules);
		reply_state(reply, call, "no matching targets found", false);
	} else {
		put(call, rules, NULL, reply);
	}
}

void policy_api(const struct policy_call *call, const char *method,
		const char *body, size_t len, struct reply *reply)
{
	if (method_reads(method)) {
		reply_state(reply, call, NULL, false);
	} else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		replace(call, body, len, reply);
	} else if (strcmp(method, "PATCH") == 0) {
		patch(call, body, len, reply);
	} else if (strcmp(method, "DELETE") == 0) {
		take_away(call, body, len, reply);
	} else {
		reply_method(reply, "GET, HEAD, POST, PUT, PATCH, DELETE");
	}
}

/* Lines for those that are not as they should be, to be freed; NULL: all
 * are. */
static char *ill_sandboxes(const struct sandbox_list *list)
{
	char *text = NULL;
	size_t len;
	FILE *out = NULL;

	for (size_t i = 0; i < list->n; i++) {
		const char *what = sandbox_lost(list->at[i]);
		const char *id = sandbox_id(list->at[i]);

		if (what && !out)
			out = open_memstream(&text, &len);
		if (what && out)
			fprintf(out, "%s%s%s%s", ftell(out) > 0 ? "\n" : "", id,
				id[0] ? ": " : "", what);
	}
	if (out)
		fclose(out);
	return text;
}

void reply_health(struct reply *reply, const char *method,
		  const struct sandbox_list *list)
{
	char *ill;

	if (!method_reads(method)) {
		reply_method(reply, "GET, HEAD");
		return;
	}
	ill = ill_sandboxes(list);
	if (ill) {
		reply_text(reply, 503, "%s", ill);
		free(ill);
		return;
	}
	reply_text(reply, 200, "ok");
	/* "ok" to the byte: no newline. */
	if (reply->body)
		reply->body[2] = '\0';
}

void reply_metrics(struct reply *reply, const char *method,
		   const struct sandbox_list *list,
		   const struct sandbox_shared *shared)
{
	if (!method_reads(method)) {
		reply_method(reply, "GET, HEAD");
		return;
	}
	*reply = (struct reply){
		.status = 200,
		.type = "text/plain; version=0.0.4; charset=utf-8",
		.body = metrics_text(list, shared->settings, shared->outlets),
	};
	if (!reply->body)
		reply_text(reply, 500, "out of memory");
}
