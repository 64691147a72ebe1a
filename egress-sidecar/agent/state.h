/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's folder: ID.place says where a sandbox is, ID.policy what it may
 * reach. Both are replaced as a whole or not at all.
 */
#ifndef EGRESS_CONTROL_AGENT_STATE_H
#define EGRESS_CONTROL_AGENT_STATE_H

#include "host/policy_file.h"
#include "request.h"

#include <stdbool.h>
#include <stdint.h>

struct agent_record {
	char id[AGENT_ID_MAX + 1];
	struct agent_place place;
	uint64_t identity[2]; /* of the namespace: netns_identity() */
	uint64_t asked;       /* rules_hash() of what the last PUT asked for */
};

/* Make the folder, mode 0700, and its parents. 0 or -errno. */
int agent_state_open(const char *folder);

/* Where a sandbox's policy is; path holds 4096 bytes. */
void agent_state_policy(const char *folder, const char *id, char *path);

/* Where it is alone, and its attachments (borrowed). 0 or -errno, and then
 * the old record is whole. */
int agent_state_place(const char *folder, const struct agent_record *record,
		      const json_t *attachments);

/*
 * All of it, in two steps around what the kernel is asked: prepare writes it
 * beside its place and syncs it, which is all that can fail for want of room;
 * commit renames. 0 or -errno: prepare leaves nothing then, and commit what
 * was there before.
 */
struct agent_change {
	struct policy_file policy, place;
};
int agent_state_prepare(struct agent_change *change, const char *folder,
			const struct agent_record *record,
			const json_t *attachments, const struct rules *rules);
int agent_state_commit(struct agent_change *change);
void agent_state_abandon(struct agent_change *change);

void agent_state_forget(const char *folder, const char *id);

/* The same for two documents that say the same in any order of keys. */
uint64_t rules_hash(const struct rules *rules);

/*
 * Call each() for every record. rules (deny all where the file is missing or
 * broken, and then why says so, else NULL) are the callee's; attachments are
 * borrowed, NULL where the record has none. 0 or -errno of opening the folder;
 * a record that cannot be read is logged and left alone.
 */
int agent_state_each(const char *folder, size_t max_rules,
		     void (*each)(void *arg, const struct agent_record *record,
				  const json_t *attachments,
				  struct rules *rules, const char *why),
		     void *arg);

#endif
