/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a namespace guarded: each interface of a container (CNI), each
 * container (OCI), or a request by hand. It is known by the id of its
 * container and a name of its own; a namespace may have several, of several
 * containers, and is guarded until the last of them has been detached or has
 * gone.
 */
#ifndef EGRESS_CONTROL_ATTACHMENTS_H
#define EGRESS_CONTROL_ATTACHMENTS_H

#include "presence.h"

#include <stddef.h>

enum {
	ATTACHMENTS_MAX = 64 /* of one namespace */
};

struct attachment {
	struct attachment *next;
	struct presence *presence;
	void *of; /* whose it is */
	char id[AGENT_ID_MAX + 1];
	char name[AGENT_ATTACHMENT_MAX + 1]; /* "": by hand */
	char *netns;                         /* NULL: by pid */
	pid_t pid;
};

/* In the order in which they came. */
struct attachments {
	struct attachment *first;
	size_t n;
};

struct attachment *attachments_find(const struct attachments *list,
				    const char *id, const char *name);
/* Is there one beside (id, name)? */
bool attachments_others(const struct attachments *list, const char *id,
			const char *name);

/*
 * Attach (id, name) at place, in the namespace of this identity, or note its
 * new place where it is attached already. The presence tells of its end with
 * the attachment for what. *added (may be NULL): it was not there. 0, -E2BIG
 * where there are ATTACHMENTS_MAX, or an error of presence_add(), and then
 * the list is as it was.
 */
int attachments_put(struct attachments *list, struct presences *presences,
		    const char *id, const char *name,
		    const struct agent_place *place, const uint64_t identity[2],
		    void *of, bool *added);
void attachments_remove(struct attachments *list, struct attachment *a);
void attachments_clear(struct attachments *list);

/* Where it is, into place; the URL stays. */
void attachment_place(const struct attachment *a, struct agent_place *place);

/* [{"id","attachment","netns"|"pid"},...], a new reference; that of
 * attachment_read() for each. 0 or -EINVAL. */
json_t *attachments_json(const struct attachments *list);
int attachment_read(const json_t *object, char id[AGENT_ID_MAX + 1],
		    char name[AGENT_ATTACHMENT_MAX + 1],
		    struct agent_place *place);

#endif
