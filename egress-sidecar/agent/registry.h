/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of the sandboxes that the agent guards, by id: taken on, kept in
 * the state folder, found again after a restart, forgotten when they are gone.
 */
#ifndef EGRESS_REGISTRY_H
#define EGRESS_REGISTRY_H

#include "api/api.h"
#include "attachments.h"
#include "state.h"

struct pull;

struct registry_entry {
	struct registry *owner;
	struct agent_record record;
	struct attachments attachments;
	struct sandbox *sandbox;
	struct pull *pull; /* of the record's policy URL, NULL: none */
};

struct registry {
	const struct sandbox_shared *shared;
	struct liveness *liveness;
	struct registry_entry **at; /* by id */
	struct sandbox_list list;   /* theirs, in the same order */
	size_t size;
};

/* Guard again what the state folder holds. 0 or -errno; registry_close() in
 * either case. */
int registry_open(struct registry *registry,
		  const struct sandbox_shared *shared);
/* Every sandbox is left; its rules stay. */
void registry_close(struct registry *registry);

struct registry_entry *registry_find(const struct registry *registry,
				     const char *id);
/* The place of the first id that comes after this one. */
size_t registry_after(const struct registry *registry, const char *id);
/* The namespace's descriptor, or -errno. */
int registry_netns(const struct agent_place *place);
/* Whose namespace it is, NULL: nobody's. */
struct registry_entry *registry_of(const struct registry *registry,
				   const uint64_t identity[2]);

/* To whom the attachment belongs, NULL: nobody knows it. */
struct registry_entry *registry_attached(const struct registry *registry,
					 const char *id, const char *name);
/* To whom any attachment of this id belongs. */
struct registry_entry *registry_alias(const struct registry *registry,
				      const char *id);

/* What a PUT asks for; name is that of the attachment, "": by hand. */
struct registry_request {
	const struct agent_record *record;
	const char *name;
	struct rules *rules; /* taken over in every case */
};

/*
 * Guard the wish's sandbox in namespace netns in place of old (NULL: none has
 * this id), which is let go. An attachment leaves old's rules standing; by
 * hand it is set free, unless somebody else is attached to it. The record is
 * on the disk before anything else is done. Takes netns over in every case. On
 * error old is guarded as before, no rules have been removed anywhere, and
 * message (256 bytes) says why.
 */
int registry_put(struct registry_entry **out, struct registry *registry,
		 const struct registry_request *wish, int netns,
		 struct registry_entry *old, char *message);

/*
 * The wish's place is the same, its rules and policy URL may differ: put them
 * in force. On error the old ones are in force and message (256 bytes) says
 * why.
 */
int registry_replace(struct registry_entry *entry,
		     const struct registry_request *wish, char *message);

/* Another attachment, under the policy that is in force. 0 or -errno with
 * message, and then nothing has changed. */
int registry_join(struct registry_entry *entry,
		  const struct registry_request *wish, char *message);

/* Forget the attachment (id, name). With the last one the namespace is
 * forgotten; its rules stay. */
void registry_detach(struct registry_entry *entry, const char *id,
		     const char *name);

/* Set it free and forget it, whoever is attached to it. */
void registry_release(struct registry_entry *entry);

#endif
