/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the agent itself share; those that ask it for a container
 * runtime share client.h. */
#ifndef EGRESS_AGENT_INNER_H
#define EGRESS_AGENT_INNER_H

#include "agent.h"
#include "api/api.h"
#include "dns/dns.h"
#include "host/host.h"
#include "policy/policy.h"
#include "sandbox/sandbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct pull;

/* request.c: what a client of the agent asks for. Pure. */

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
	char pod[AGENT_ID_MAX + 1];     /* uid of its pod, "": none is known */
	struct resolver_address resolvers[RESOLVERS_MAX];
	size_t n_resolvers; /* 0: those of the agent */
};

/* All that a PUT says. */
struct agent_request {
	struct agent_place place;
	char attachment[AGENT_ATTACHMENT_MAX + 1]; /* "": by hand */
	bool is_default;   /* the policy is for a namespace that has none yet */
	json_t *otherwise; /* the policy of who has none of its own, owned;
			      NULL: deny all */
};

/* field is a constant and names the key, NULL: the whole body. */
struct agent_fault {
	const char *field;
	char message[256];
};

/*
 * Read {"netns"|"pid","attachment","policy","defaultPolicy","policyUrl",
 * "resolvers","pod"}; unknown keys and wrong types are errors. null and {} deny
 * all; without "policy" the default one counts, without both deny all. The
 * caller frees *rules and request->otherwise. 0, -EINVAL, -E2BIG (rules over
 * max_rules), -ENOMEM.
 */
int agent_request_read(struct agent_request *request, struct rules **rules,
		       const char *body, size_t len, size_t max_rules,
		       struct agent_fault *fault);

/* Read {"policy"}: *rules are the caller's, NULL for null: that of who has
 * none of its own. The same errors. */
int agent_patch_read(struct rules **rules, const char *body, size_t len,
		     size_t max_rules, struct agent_fault *fault);

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

/* liveness.c: says when a sandbox has gone: its process has ended
 * (pidfd_open(2)), or its namespace's name is gone or names another one
 * (inotify(7)). Holding a namespace open keeps it from ending, so that nothing
 * else would tell. */

struct liveness;
struct liveness_watch;

/* gone(arg, what) is called once for a watch, which it must remove.
 * 0 or -errno. */
int liveness_open(struct liveness **out, uv_loop_t *loop,
		  void (*gone)(void *arg, void *what), void *arg);
/* Every watch must have been removed. */
void liveness_close(struct liveness *liveness);

/* identity is the namespace's. 0; -ESRCH: it has gone already; -errno. */
int liveness_add(struct liveness_watch **out, struct liveness *liveness,
		 const struct agent_place *place, const uint64_t identity[2],
		 void *what);
void liveness_remove(struct liveness_watch *alive);

/* attachments.c: what keeps a namespace guarded: each interface of a container
 * (CNI), each container (OCI), or a request by hand. It is known by the id of
 * its container and a name of its own; a namespace may have several, of several
 * containers, and is guarded until the last of them has been detached or has
 * gone. */

enum {
	ATTACHMENTS_MAX = 64 /* of one namespace */
};

struct attachment {
	struct attachment *next;
	struct liveness_watch *alive;
	void *of; /* whose it is */
	char id[AGENT_ID_MAX + 1];
	char name[AGENT_ATTACHMENT_MAX + 1]; /* "": by hand */
	char pod[AGENT_ID_MAX + 1];          /* uid of its pod, "": none */
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
 * new place where it is attached already. Liveness tells of its end with
 * the attachment for what. *added (may be NULL): it was not there. 0, -E2BIG
 * where there are ATTACHMENTS_MAX, or an error of liveness_add(), and then
 * the list is as it was.
 */
int attachments_put(struct attachments *list, struct liveness *liveness,
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

/* state.c: the agent's folder: ID.place says where a sandbox is, ID.policy what
 * it may reach, ID.default what it may without a policy of its own. Each is
 * replaced as a whole or not at all. */

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

/* The policy of who has none of its own; borrowed, NULL: deny all. 0 or
 * -errno, and then the old one is whole. */
int agent_state_set_default(const char *folder, const char *id, json_t *policy);
/* It again; deny all where the file is broken. NULL: no memory. */
struct rules *agent_state_default(const char *folder, const char *id,
				  size_t max_rules);

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

/* registry.c: the sandboxes that the agent guards, by id: taken on, kept in the
 * state folder, found again after a restart, forgotten when they are gone. */

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
/* The index of the first id that comes after this one. */
size_t registry_after(const struct registry *registry, const char *id);
/* The namespace's descriptor, or -errno. */
int registry_netns(const struct agent_place *place);
/* Whose namespace it is, NULL: nobody's. */
struct registry_entry *registry_of(const struct registry *registry,
				   const uint64_t identity[2]);

/* To whom the attachment belongs, NULL: nobody knows it. */
struct registry_entry *registry_attached(const struct registry *registry,
					 const char *id, const char *name);
/* To whom any attachment of this id, or of the pod of this uid, belongs. */
struct registry_entry *registry_alias(const struct registry *registry,
				      const char *id);
/* Is it the entry's own id, an attachment's or its pod's? */
bool registry_is(const struct registry_entry *entry, const char *id);

/* What a PUT asks for; name is that of the attachment, "": by hand. */
struct registry_request {
	const struct agent_record *record;
	const char *name;
	struct rules *rules; /* taken over in every case */
	json_t *otherwise;   /* agent_request's, borrowed */
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

/*
 * Put rules in force, taken over in every case, or with NULL those of who has
 * none of its own; what is in force already stays untouched. The same errors.
 */
int registry_set_policy(struct registry_entry *entry, struct rules *rules,
			char *message);

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
