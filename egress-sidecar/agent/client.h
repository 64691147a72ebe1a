/* SPDX-License-Identifier: Apache-2.0 */
/* Ask the agent on its unix socket, for those whom a container runtime runs. */
#ifndef EGRESS_AGENT_CLIENT_H
#define EGRESS_AGENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#define AGENT_SOCKET_DEFAULT "/run/opensandbox/egress.sock"
/* The annotation that holds a sandbox's policy, as JSON text. */
#define POLICY_ANNOTATION "opensandbox.io/egress-policy"

enum {
	AGENT_MESSAGE_MAX = 512,
	AGENT_ID_SIZE = 64,
	AGENT_ATTACHMENT_SIZE = 128
};

/* What is to be answered by the agent. */
struct agent_call {
	const char *socket;
	char id[AGENT_ID_SIZE];
	char attachment[AGENT_ATTACHMENT_SIZE];
	char message[AGENT_MESSAGE_MAX]; /* why it failed */
};

/* The runtime's id as the agent takes it: lower case, '_' as '-', cut at 63
 * bytes; the attachment's name is taken as it is. 0, or -EINVAL with a
 * message. */
int agent_call_init(struct agent_call *call, const char *socket, const char *id,
		    const char *attachment);

/*
 * Guard what is attached at place ({"netns"} or {"pid"}, whose reference is
 * taken) under policy (borrowed), or with NULL under that of otherwise
 * (borrowed; NULL: deny all), which gives way to that of others who share its
 * namespace and counts again where a policy is taken away; see what is guarded
 * under the id
 * (*record a new reference); forget the attachment, which succeeds where it is
 * not known. 0, -EAGAIN where the agent is not to be reached, -ENOENT where it
 * does not know the id, -EPROTO where it refuses.
 */
int agent_put(struct agent_call *call, json_t *place, json_t *policy,
	      json_t *otherwise);
int agent_get(struct agent_call *call, json_t **record);
int agent_detach(struct agent_call *call);

/* The sandboxes after the one whose id is given ("": from the first), some at
 * a time; *list a new reference to {"sandboxes":[...],"next":ID}. The same
 * errors. */
int agent_list(struct agent_call *call, const char *after, json_t **list);

/* A policy in a string of JSON: a new reference, NULL where it is none. */
json_t *policy_from_annotation(const json_t *text);

#endif
