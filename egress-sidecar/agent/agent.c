/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "filter/filter.h"
#include "host/host.h"
#include "life/life.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLLECTION "/v1/sandboxes"

enum {
	SANDBOXES_MAX = 8192,
	LIST_MAX = 1000, /* in one answer */
	BODY_MAX = 2 * POLICY_BODY_MAX + AGENT_NETNS_MAX + AGENT_URL_MAX + 1024,
};

struct agent {
	struct registry registry;
	struct server *server;
	struct server *metrics; /* NULL: none */
};

/* Answers */

static void __attribute__((format(printf, 5, 6)))
reply_fault(struct reply *reply, unsigned status, const char *code,
	    const char *field, const char *format, ...)
{
	char message[512];
	va_list args;
	json_t *json;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	json = json_pack("{ss ss}", "code", code, "message", message);
	if (field)
		json_object_set_new(json, "field", json_string(field));
	reply_json(reply, status, json);
}

/* allow: a constant. */
static void reply_not_allowed(struct reply *reply, const char *allow)
{
	reply_fault(reply, 405, "method_not_allowed", NULL, "expected %s",
		    allow);
	reply->allow = allow;
}

static json_t *counts_json(struct sandbox *sandbox)
{
	struct sandbox_counts counts;
	json_t *json = json_object();

	sandbox_counts(sandbox, &counts);
	for (const struct meter *m = sandbox_meters; m->name; m++)
		json_object_set_new(
			json, m->name + strlen("egress."),
			json_integer((json_int_t)meter_value(m, &counts)));
	return json;
}

static json_t *entry_json(const struct registry_entry *g, bool whole)
{
	const struct rules *rules = policy_rules(sandbox_policy(g->sandbox));
	json_t *json = agent_place_json(&g->record.place);

	json_object_set_new(json, "id", json_string(g->record.id));
	json_object_set_new(json, "state", json_string("guarded"));
	json_object_set_new(json, "mode",
			    json_string(sandbox_mode(g->sandbox)));
	json_object_set_new(json, "enforcementMode",
			    json_string(g->owner->shared->settings->nft
						? "dns+nft"
						: "dns"));
	json_object_set_new(json, "attachments",
			    attachments_json(&g->attachments));
	if (!whole) {
		json_object_set_new(json, "rules",
				    json_integer((json_int_t)rules->n_rules));
		return json;
	}
	json_object_set_new(json, "policy", rules_to_json(rules));
	if (rules->warnings)
		json_object_set(json, "warnings", rules->warnings);
	json_object_set_new(json, "counts", counts_json(g->sandbox));
	return json;
}

/* Of a body that cannot be taken. */
static void reply_unread(struct reply *reply, int err,
			 const struct agent_fault *fault)
{
	if (err == -E2BIG)
		reply_fault(reply, 413, "too_large", fault->field, "%s",
			    fault->message);
	else if (err == -EINVAL)
		reply_fault(reply, 400, "bad_request", fault->field, "%s",
			    fault->message);
	else
		reply_fault(reply, 500, "internal", NULL, "%s", strerror(-err));
}

/* PUT /v1/sandboxes/{id} */

static void reply_place(struct reply *reply, const struct agent_place *place,
			int err)
{
	const char *why =
		err == -EINVAL ? "not a network namespace" : strerror(-err);

	if (place->netns[0])
		reply_fault(reply, 400, "bad_request", "netns", "%s: %s",
			    place->netns, why);
	else
		reply_fault(reply, 400, "bad_request", "pid", "%d: %s",
			    (int)place->pid, why);
}

static void reply_guarded(struct reply *reply, unsigned status,
			  const struct registry_entry *g, int err,
			  const char *message)
{
	if (err)
		reply_fault(reply, 500, "internal", NULL, "%s", message);
	else
		reply_json(reply, status, entry_json(g, true));
}

static void reply_put(struct reply *reply, unsigned status,
		      const struct registry_entry *g, bool packet)
{
	static const char warning[] =
		"a packet socket is bound to a device, as gVisor's network "
		"stack and packet captures do: its frames are not judged but "
		"dropped, so that a sandbox without another network has none";
	json_t *json = entry_json(g, true);

	if (packet)
		json_object_set_new(json, "warnings",
				    json_pack("[s]", warning));
	reply_json(reply, status, json);
}

/* One namespace has one policy: that of whoever came first. Whoever asks for
 * another one is told so; a default gives way. */
static bool may_join(const struct registry_entry *there,
		     const struct registry_request *wish, bool is_default,
		     struct reply *reply)
{
	const char *id = wish->record->id;
	const struct agent_place *asked = &wish->record->place;
	const struct agent_place *place = &there->record.place;
	const char *url = asked->policy_url;

	if (strcmp(there->record.id, id) != 0 &&
	    registry_find(there->owner, id)) {
		reply_fault(reply, 409, "conflict", NULL,
			    "the namespace is that of sandbox %s, and %s is "
			    "guarded in another one",
			    there->record.id, id);
		return false;
	}
	if ((!is_default && wish->record->asked != there->record.asked) ||
	    (url[0] && strcmp(url, there->record.place.policy_url) != 0)) {
		reply_fault(reply, 409, "conflict",
			    url[0] ? "policyUrl" : "policy",
			    "the namespace is that of sandbox %s already, "
			    "under another policy: a namespace has one, so "
			    "give all that share it the same",
			    there->record.id);
		return false;
	}
	if (asked->n_resolvers &&
	    !resolver_addresses_same(asked->resolvers, asked->n_resolvers,
				     place->resolvers, place->n_resolvers)) {
		reply_fault(reply, 409, "conflict", "resolvers",
			    "the namespace is that of sandbox %s already, "
			    "with other resolvers: a namespace has one list, "
			    "so give all that share it the same, or none",
			    there->record.id);
		return false;
	}
	return true;
}

/* Where the namespace is guarded already. */
static void put_there(struct registry_entry *there,
		      const struct registry_request *wish, bool is_default,
		      struct reply *reply)
{
	bool same = strcmp(there->record.id, wish->record->id) == 0;
	char message[256];
	int err;

	if (!wish->name[0] && !same) {
		reply_fault(reply, 409, "conflict", NULL,
			    "the namespace is that of sandbox %s",
			    there->record.id);
	} else if (!wish->name[0] ||
		   (same &&
		    !attachments_others(&there->attachments, wish->record->id,
					wish->name))) {
		err = registry_replace(there, wish, message);
		reply_guarded(reply, 200, there, err, message);
		return;
	} else if (may_join(there, wish, is_default, reply)) {
		err = registry_join(there, wish, message);
		reply_guarded(reply, 200, there, err, message);
		return;
	}
	rules_free(wish->rules);
}

/* A virtual machine whose frames are redirected would have no network, or one
 * without rules where the kernel lacks the egress hook. What the sandbox itself
 * may do at any time, such as a socket of packet(7), is no reason to leave it
 * open: it is told. */
static bool may_guard(int netns, struct filter_bypass *found,
		      struct reply *reply)
{
	int err = filter_bypass(netns, found);

	if (err)
		reply_fault(reply, 500, "internal", NULL,
			    "the namespace's devices: %s", strerror(-err));
	else if (found->redirected[0])
		reply_fault(reply, 422, "unsupported", "netns",
			    "tc redirects the frames of %s (mirred, as Kata's "
			    "tcfilter and Firecracker's CNI plugin do) past "
			    "the packet filter: give the machine a routed tap",
			    found->redirected);
	return !err && !found->redirected[0];
}

static void put_new(struct agent *agent, const struct registry_request *wish,
		    int netns, struct registry_entry *old, struct reply *reply)
{
	struct filter_bypass found;
	struct registry_entry *g = NULL;
	char message[256];
	int err;

	if (!may_guard(netns, &found, reply)) {
		close(netns);
		rules_free(wish->rules);
		return;
	}
	err = registry_put(&g, &agent->registry, wish, netns, old, message);
	if (err) {
		reply_guarded(reply, 500, g, err, message);
		return;
	}
	reply_put(reply, old ? 200 : 201, g, found.packet);
}

static void put_at(struct agent *agent, struct agent_record *record,
		   const struct registry_request *wish, bool is_default,
		   struct reply *reply)
{
	struct registry_entry *old = registry_find(&agent->registry,
						   record->id),
			      *there = NULL;
	int netns = registry_netns(&record->place), err = netns < 0 ? netns : 0;

	if (!err) {
		err = netns_identity(netns, record->identity);
		there = registry_of(&agent->registry, record->identity);
	}
	if (err) {
		reply_place(reply, &record->place, err);
	} else if (netns_is_current(netns)) {
		reply_fault(reply, 400, "bad_request",
			    record->place.netns[0] ? "netns" : "pid",
			    "the agent's own namespace");
	} else if (there) {
		close(netns);
		put_there(there, wish, is_default, reply);
		return;
	} else if (!old && agent->registry.list.n == SANDBOXES_MAX) {
		reply_fault(reply, 507, "full", NULL, "%d sandboxes already",
			    SANDBOXES_MAX);
	} else {
		put_new(agent, wish, netns, old, reply);
		return;
	}
	if (netns >= 0)
		close(netns);
	rules_free(wish->rules);
}

static void put(struct agent *agent, const char *id,
		const struct server_request *request, struct reply *reply)
{
	struct agent_request asked;
	struct agent_record record = {0};
	struct registry_request wish = {&record, asked.attachment, NULL, NULL};
	struct agent_fault fault;
	int err;

	err = agent_request_read(
		&asked, &wish.rules, request->body, request->len,
		agent->registry.shared->settings->max_rules, &fault);
	if (err) {
		reply_unread(reply, err, &fault);
		return;
	}
	memcpy(record.id, id, strlen(id) + 1);
	record.place = asked.place;
	record.asked = rules_hash(wish.rules);
	wish.otherwise = asked.otherwise;
	put_at(agent, &record, &wish, asked.is_default, reply);
	json_decref(asked.otherwise);
}

/* PATCH /v1/sandboxes/{id} */

static int patch_one(struct registry_entry *g,
		     const struct server_request *request, struct reply *reply)
{
	const struct settings *settings = g->owner->shared->settings;
	struct agent_fault fault;
	struct rules *rules;
	char message[256];
	int err = agent_patch_read(&rules, request->body, request->len,
				   settings->max_rules, &fault);

	if (err) {
		reply_unread(reply, err, &fault);
		return err;
	}
	if (g->record.place.policy_url[0]) {
		rules_free(rules);
		reply_fault(reply, 409, "conflict", "policy",
			    "%s follows %s: change the policy there",
			    g->record.id, g->record.place.policy_url);
		return -EBUSY;
	}
	err = registry_set_policy(g, rules, message);
	if (err)
		reply_fault(reply, 500, "internal", NULL, "%s", message);
	return err;
}

static void policy_of(const struct agent *agent, const struct registry_entry *g,
		      const struct server_request *request, struct reply *reply)
{
	const struct policy_call call = {
		.sandbox = g->sandbox,
		.settings = agent->registry.shared->settings,
		.follows = g->record.place.policy_url[0] ? "policyUrl" : NULL,
	};

	policy_api(&call, request->method, request->body, request->len, reply);
}

/* That of this id, the first of them: a pod that is set up anew may have two
 * namespaces for a moment. */
static void patch(struct agent *agent, const char *id,
		  const struct registry_entry *last,
		  const struct server_request *request, struct reply *reply)
{
	for (size_t i = 0; i < agent->registry.list.n; i++) {
		struct registry_entry *g = agent->registry.at[i];

		if (!registry_is(g, id))
			continue;
		if (patch_one(g, request, reply))
			return;
		last = g;
	}
	reply_json(reply, 200, entry_json(last, true));
}

/* The other requests */

/* An attachment is detached, and its namespace stays closed. Without one it is
 * by hand: the namespace is set free. */
static void release(struct agent *agent, const char *id,
		    struct registry_entry *g,
		    const struct server_request *request, struct reply *reply)
{
	const char *name = server_argument(request, "attachment");

	if (name)
		g = registry_attached(&agent->registry, id, name);
	if (name && !g) {
		reply_fault(reply, 404, "not_found", "attachment",
			    "%s has no attachment %.127s", id, name);
		return;
	}
	if (!name && strcmp(g->record.id, id) != 0) {
		reply_fault(reply, 409, "conflict", NULL,
			    "%s shares the namespace of sandbox %s: detach it "
			    "(?attachment=), or delete that one",
			    id, g->record.id);
		return;
	}
	if (name)
		registry_detach(g, id, name);
	else
		registry_release(g);
	*reply = (struct reply){.status = 204};
}

static void list(const struct agent *agent,
		 const struct server_request *request, struct reply *reply)
{
	const char *after = server_argument(request, "after");
	const char *limit_text = server_argument(request, "limit");
	json_t *json, *array;
	char *end = NULL;
	unsigned long limit = LIST_MAX;
	size_t i = after ? registry_after(&agent->registry, after) : 0;

	if (limit_text)
		limit = strtoul(limit_text, &end, 10);
	if (end &&
	    (*end || end == limit_text || limit < 1 || limit > LIST_MAX)) {
		reply_fault(reply, 400, "bad_request", "limit",
			    "expected a number from 1 to %d", LIST_MAX);
		return;
	}
	array = json_array();
	for (; i < agent->registry.list.n && limit > 0; i++, limit--)
		json_array_append_new(array,
				      entry_json(agent->registry.at[i], false));
	json = json_pack("{so}", "sandboxes", array);
	if (i < agent->registry.list.n)
		json_object_set_new(
			json, "next",
			json_string(agent->registry.at[i - 1]->record.id));
	reply_json(reply, 200, json);
}

/* One sandbox; below is what follows its id in the path. */
static void answer_one(struct agent *agent, const char *id, const char *below,
		       const struct server_request *request,
		       struct reply *reply)
{
	struct registry_entry *g = registry_find(&agent->registry, id);
	bool pending = strcmp(below, "/pending") == 0;
	bool policy = strcmp(below, "/policy") == 0;
	bool flows = strcmp(below, "/flows") == 0;
	bool status = strcmp(below, "/status") == 0;
	bool whole = !below[0];
	bool patches = strcmp(request->method, "PATCH") == 0;

	if (!g)
		g = registry_alias(&agent->registry, id);
	if (!whole && !policy && !pending && !flows && !status)
		reply_fault(reply, 404, "not_found", NULL, "no such resource");
	else if (request->too_large)
		reply_fault(reply, 413, "too_large", NULL, "body over %d bytes",
			    BODY_MAX);
	else if (whole && strcmp(request->method, "PUT") == 0)
		put(agent, id, request, reply);
	else if (whole && !method_reads(request->method) && !patches &&
		 strcmp(request->method, "DELETE") != 0)
		reply_not_allowed(reply, "GET, HEAD, PUT, PATCH, DELETE");
	else if (!g)
		reply_fault(reply, 404, "not_found", NULL, "no sandbox %s", id);
	else if (flows)
		flows_api(g->sandbox, request, reply);
	else if (policy)
		policy_of(agent, g, request, reply);
	else if (pending)
		pending_api(g->sandbox, request->method, reply);
	else if (status)
		status_api(g->sandbox, request->method, reply);
	else if (method_reads(request->method))
		reply_json(reply, 200, entry_json(g, true));
	else if (patches)
		patch(agent, id, g, request, reply);
	else
		release(agent, id, g, request, reply);
}

/* Whether it asks how we are. */
static bool answer_watcher(const struct agent *agent,
			   const struct server_request *request,
			   struct reply *reply)
{
	if (strcmp(request->path, "/healthz") == 0)
		reply_health(reply, request->method, &agent->registry.list);
	else if (strcmp(request->path, "/metrics") == 0)
		reply_metrics(reply, request->method, &agent->registry.list,
			      agent->registry.shared);
	else
		return false;
	return true;
}

static void answer_metrics(void *arg, const struct server_request *request,
			   struct reply *reply)
{
	if (!answer_watcher(arg, request, reply))
		reply_fault(reply, 404, "not_found", NULL, "no such resource");
}

static void answer(void *arg, const struct server_request *request,
		   struct reply *reply)
{
	struct agent *agent = arg;
	const char *path = request->path, *rest;
	char id[AGENT_ID_MAX + 1];
	size_t len;

	if (answer_watcher(agent, request, reply))
		return;
	if (strcmp(path, COLLECTION) == 0) {
		if (method_reads(request->method))
			list(agent, request, reply);
		else
			reply_not_allowed(reply, "GET, HEAD");
		return;
	}
	if (strncmp(path, COLLECTION "/", sizeof(COLLECTION)) != 0) {
		reply_fault(reply, 404, "not_found", NULL, "no such resource");
		return;
	}
	rest = path + sizeof(COLLECTION);
	len = strcspn(rest, "/");
	if (agent_id_read(id, rest, len))
		reply_fault(reply, 400, "bad_request", "id",
			    "expected 1 to 63 of a-z, 0-9, '.' and '-'");
	else
		answer_one(agent, id, rest + len, request, reply);
}

/* Life */

int agent_open(struct agent **out, int listen_fd, int metrics_fd,
	       const struct sandbox_shared *shared, char *message)
{
	const char *folder = shared->settings->agent_state;
	struct agent *agent = calloc(1, sizeof(*agent));
	const struct server_settings server = {
		.listen_fd = listen_fd,
		.body_max = BODY_MAX,
		.arg = agent,
		.answer = answer,
	};
	const struct server_settings metrics = {
		.listen_fd = metrics_fd,
		.body_max = POLICY_BODY_MAX,
		.arg = agent,
		.answer = answer_metrics,
	};
	int err;

	if (!agent)
		return -ENOMEM;
	err = registry_open(&agent->registry, shared);
	if (!err)
		err = server_open(&agent->server, shared->loop, &server);
	if (!err && metrics_fd >= 0)
		err = server_open(&agent->metrics, shared->loop, &metrics);
	if (err) {
		snprintf(message, 256, "%.150s: %s", folder, strerror(-err));
		agent_close(agent);
		return err;
	}
	*out = agent;
	return 0;
}

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	server_close(agent->metrics);
	server_close(agent->server);
	registry_close(&agent->registry);
	free(agent);
}

const struct sandbox_list *agent_sandboxes(const struct agent *agent)
{
	return &agent->registry.list;
}
