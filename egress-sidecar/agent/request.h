/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of the agent asks for. Pure. */
#ifndef EGRESS_CONTROL_AGENT_REQUEST_H
#define EGRESS_CONTROL_AGENT_REQUEST_H

#include "dns/resolvers.h"
#include "policy/rules.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
	AGENT_ID_MAX = 63,
	AGENT_NETNS_MAX = 4096,
	AGENT_URL_MAX = 1024,
	AGENT_ATTACHMENT_MAX = 127
};

/* Where a sandbox is, by netns or by pid, and its policy. */
struct agent_place {
	char netns[AGENT_NETNS_MAX];    /* name or absolute path, "": none */
	pid_t pid;                      /* 0: none */
	char policy_url[AGENT_URL_MAX]; /* "": what came with it */
	struct resolver_address resolvers[RESOLVERS_MAX];
	size_t n_resolvers; /* 0: those of the agent */
};

/* All that a PUT says. */
struct agent_request {
	struct agent_place place;
	char attachment[AGENT_ATTACHMENT_MAX + 1]; /* "": by hand */
	bool is_default; /* the policy is for a namespace that has none yet */
};

/* field is a constant and names the key, NULL: the whole body. */
struct agent_fault {
	const char *field;
	char message[256];
};

/*
 * Read {"netns"|"pid","attachment","policy"|"defaultPolicy","policyUrl",
 * "resolvers"}; unknown keys and wrong types are errors. null and {} deny all,
 * and so does no policy, which is a default. The caller frees *rules. 0,
 * -EINVAL, -E2BIG (rules over max_rules), -ENOMEM.
 */
int agent_request_read(struct agent_request *request, struct rules **rules,
		       const char *body, size_t len, size_t max_rules,
		       struct agent_fault *fault);

/* The name of an attachment: "", or up to AGENT_ATTACHMENT_MAX printable
 * characters of ASCII without blanks and quotation marks. 0 or -EINVAL. */
int agent_attachment_read(char name[AGENT_ATTACHMENT_MAX + 1],
			  const json_t *value);

/* The place's half alone, of a JSON object, from and to. 0 or -EINVAL. */
int agent_place_read(struct agent_place *place, const json_t *object,
		     struct agent_fault *fault);
json_t *agent_place_json(const struct agent_place *place);

/* 1 to 63 characters of [a-z0-9.-], upper case folded, into id (64 bytes).
 * 0 or -EINVAL. */
int agent_id_read(char *id, const char *text, size_t len);

#endif
