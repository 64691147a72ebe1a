/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandboxes that the agent guards, by id: taken on, kept in the state
 * folder, found again after a restart, forgotten when they are gone.
 */
#ifndef EGRESS_CONTROL_GUARDS_H
#define EGRESS_CONTROL_GUARDS_H

#include "api/meters.h"
#include "attachments.h"
#include "state.h"

struct pull;

struct guarded {
	struct guards *owner;
	struct agent_record record;
	struct attachments attachments;
	struct sandbox *sandbox;
	struct pull *pull; /* of the record's policy URL, NULL: none */
};

struct guards {
	const struct sandbox_shared *shared;
	struct presences *presences;
	struct guarded **at;      /* by id */
	struct sandbox_list list; /* theirs, in the same order */
	size_t size;
};

/* Guard again what the state folder holds. 0 or -errno; guards_close() in
 * either case. */
int guards_open(struct guards *guards, const struct sandbox_shared *shared);
/* Every sandbox is left; its rules stay. */
void guards_close(struct guards *guards);

struct guarded *guards_find(const struct guards *guards, const char *id);
/* The place of the first id that comes after this one. */
size_t guards_after(const struct guards *guards, const char *id);
/* The namespace's descriptor, or -errno. */
int guards_netns(const struct agent_place *place);
/* Whose namespace it is, NULL: nobody's. */
struct guarded *guards_of(const struct guards *guards,
			  const uint64_t identity[2]);

/* To whom the attachment belongs, NULL: nobody knows it. */
struct guarded *guards_attached(const struct guards *guards, const char *id,
				const char *name);
/* To whom any attachment of this id belongs. */
struct guarded *guards_alias(const struct guards *guards, const char *id);

/* What a PUT asks for; name is that of the attachment, "": by hand. */
struct guards_wish {
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
int guards_put(struct guarded **out, struct guards *guards,
	       const struct guards_wish *wish, int netns, struct guarded *old,
	       char *message);

/*
 * The wish's place is the same, its rules and policy URL may differ: put them
 * in force. On error the old ones are in force and message (256 bytes) says
 * why.
 */
int guards_replace(struct guarded *guarded, const struct guards_wish *wish,
		   char *message);

/* Another attachment, under the policy that is in force. 0 or -errno with
 * message, and then nothing has changed. */
int guards_join(struct guarded *guarded, const struct guards_wish *wish,
		char *message);

/* Forget the attachment (id, name). With the last one the namespace is
 * forgotten; its rules stay. */
void guards_detach(struct guarded *guarded, const char *id, const char *name);

/* Set it free and forget it, whoever is attached to it. */
void guards_release(struct guarded *guarded);

#endif
