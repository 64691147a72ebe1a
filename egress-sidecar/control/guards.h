/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandboxes that the agent guards, by id: taken on, kept in the state
 * folder, found again after a restart, forgotten when they are gone.
 */
#ifndef EGRESS_CONTROL_GUARDS_H
#define EGRESS_CONTROL_GUARDS_H

#include "agent_state.h"
#include "meters.h"

struct presence;
struct presences;
struct pull;

struct guarded {
	struct guards *owner;
	struct agent_record record;
	struct presence *presence;
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

/*
 * Guard the record's sandbox in namespace netns in place of old (NULL: none
 * has this id), which is set free. Takes netns and rules over in every case.
 * On error old is guarded as before and message (256 bytes) says why.
 */
int guards_put(struct guarded **out, struct guards *guards,
	       const struct agent_record *record, int netns,
	       struct rules *rules, struct guarded *old, char *message);

/*
 * The record's place is the same, its rules and policy URL may differ: put
 * them in force. Takes rules over in every case. On error the old ones are in
 * force and message (256 bytes) says why.
 */
int guards_replace(struct guarded *guarded, const struct agent_record *record,
		   struct rules *rules, char *message);

/* Set it free and forget it. */
void guards_release(struct guarded *guarded);

#endif
