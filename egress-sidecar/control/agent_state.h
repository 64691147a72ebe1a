/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's folder: ID.place says where a sandbox is, ID.policy what it may
 * reach. Both are replaced as a whole or not at all.
 */
#ifndef EGRESS_CONTROL_AGENT_STATE_H
#define EGRESS_CONTROL_AGENT_STATE_H

#include "agent_request.h"

#include <stdbool.h>
#include <stdint.h>

struct agent_record {
	char id[AGENT_ID_MAX + 1];
	struct agent_place place;
	uint64_t identity[2]; /* of the namespace: netns_identity() */
};

/* Make the folder, mode 0700, and its parents. 0 or -errno. */
int agent_state_open(const char *folder);

/* Where a sandbox's policy is; path holds 4096 bytes. */
void agent_state_policy(const char *folder, const char *id, char *path);

/* Where it is alone. 0 or -errno, and then the old record is whole. */
int agent_state_place(const char *folder, const struct agent_record *record);
/* All of it. 0 or -errno. */
int agent_state_save(const char *folder, const struct agent_record *record,
		     const struct rules *rules);
void agent_state_forget(const char *folder, const char *id);

/*
 * Call each() for every record. rules (deny all where the file is missing or
 * broken, and then why says so, else NULL) are the callee's. 0 or -errno of
 * opening the folder; a record that cannot be read is logged and left alone.
 */
int agent_state_each(const char *folder, size_t max_rules,
		     void (*each)(void *arg, const struct agent_record *record,
				  struct rules *rules, const char *why),
		     void *arg);

#endif
