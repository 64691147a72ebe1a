/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects lie in a tree of their list, by key; ids in a tree of their source.
 * An object holds the ids that it claims; what a claim says to the gateway
 * follows from who holds it. A claim that says something else than before is
 * queued, and the gateway's client empties the queue.
 */
#ifndef DISCOVERY_FEED_INNER_H
#define DISCOVERY_FEED_INNER_H

#include "feed.h"

#include "http/http.h"
#include "log/log.h"

enum {
	SENDS_MAX = 16, /* requests under way for one source */
};

struct object;
struct source;

/* An object's hold on a claim. */
struct hold {
	struct hold *next, **link; /* of the claim's */
	struct object *object;
	struct claim *claim;
};

/* What the gateway is told of a claim's id. */
enum verdict {
	ABSENT,
	SERVED,
	AMBIGUOUS, /* that several objects claim it */
};

/* An id. It goes when nobody holds it and the gateway does not know it. */
struct claim {
	struct claim *next; /* in the queue */
	struct hold *holds;
	uint32_t since_ms; /* when it changed, if queued (loop's time) */
	enum verdict verdict : 8;
	bool queued : 1;
	bool sending : 1;
	bool again : 1;    /* it changed while it was sent */
	bool fed : 1;      /* the gateway may have a record of ours */
	bool conflict : 1; /* the gateway has another source's record */
	bool listed : 1;   /* among the conflicts that were just answered */
	bool left_out : 1; /* the gateway did not take the ambiguous record */
	char id[];
};

/* An object, in one piece: holds[n], the key, the record's JSON. */
struct object {
	struct feed_list *list;
	uint32_t listing; /* the listing that named it last */
	uint16_t key_len;
	uint8_t n;
	bool refused; /* not taken; without holds, the record is the reason */
	struct hold holds[];
};

static inline const char *object_key(const struct object *object)
{
	return (const char *)&object->holds[object->n];
}

static inline const char *object_record(const struct object *object)
{
	return object_key(object) + object->key_len + 1;
}

struct feed_list {
	struct feed_list *next; /* of the source's */
	struct source *source;
	const char *name;
	void *objects; /* tsearch(3) */
	uint32_t listing;
	bool complete;
	char *error;
	uint64_t n_objects, n_refused, n_events, n_failures;
};

/* A request of one record. */
struct send {
	struct source *source;
	struct claim *claim;
	struct fetch *fetch; /* NULL: free */
	bool deletes;
};

struct source {
	struct source *next; /* of the feed's */
	struct feed *feed;
	const char *name;
	struct feed_list *lists;
	void *claims; /* tsearch(3) */

	/* queue.c */
	struct claim *first, **last;
	size_t n_waiting;
	uv_timer_t wake;
	void (*run)(uv_timer_t *wake); /* the gateway's client; NULL: none */
	uint64_t not_before_ms;

	/* gateway.c */
	struct send sends[SENDS_MAX];
	unsigned n_sending;
	bool whole_due; /* nothing is queued: all records are sent at once */
	uint32_t whole_since_ms; /* when it became due */
	struct fetch *whole;
	char *body; /* of the whole feed under way */
	size_t body_len;
	struct fetch *check;
	uv_timer_t check_timer;
	unsigned checks;
	uint32_t backoff_ms;
	bool fed;
	char *error;
	uint64_t n_records, n_ambiguous, n_conflicts, n_feeds, n_failures,
		lag_ms;
};

struct feed {
	struct feed_settings settings;
	struct source *sources;
	struct token *token;
	struct agent *agent;
	struct agent_report agent_report;
	char *base;   /* URL of the gateway, without a slash at its end */
	char *socket; /* that it listens on; NULL: a TCP port */
	unsigned open_handles;
};

/* feed/token.c */

struct token;

/* A bearer token in a file's first line. 0 or -errno. */
int token_open(struct token **out, const char *path);
void token_close(struct token *token);
/* "Authorization: Bearer ...", valid until the next call; read anew where the
 * file has changed since. */
const char *token_header(struct token *token);
/* It was not accepted: read it anew next time. */
void token_doubt(struct token *token);

/* feed/queue.c */

/* It says something new. */
void queue_add(struct source *source, struct claim *claim);
struct claim *queue_take(struct source *source);
/* All records are to be sent: empty the queue, run the client after
 * delay_ms. */
void queue_whole(struct source *source, uint64_t delay_ms);
/* Run the client in the loop's next iteration. */
void queue_wake(struct source *source);

/* feed/claims.c */

struct claim *claim_find(const struct source *source, const char *id);
/* The claim of that id; NULL: no memory. */
struct claim *claim_get(struct source *source, const char *id);
void claim_hold(struct claim *claim, struct hold *hold, struct object *object);
void claim_release(struct hold *hold);
/* Who holds it may have changed: judge it anew and queue it. It may be gone
 * then. */
void claim_changed(struct source *source, struct claim *claim);
/* Free it where nothing is left of it. */
void claim_tidy(struct source *source, struct claim *claim);
/* Whose record it serves; NULL: none, or ambiguous. */
struct object *claim_owner(const struct claim *claim);
void claim_set_conflict(struct source *source, struct claim *claim,
			bool conflict);
/* After all records were sent: those listed are the conflicts. */
void claims_conflicts(struct source *source);
/* Queue all conflicts. */
void claims_retry(struct source *source);
/* The gateway does not take the claim's record. */
void claim_refuse(struct source *source, struct claim *claim, const char *field,
		  const char *message);
void claims_free(struct source *source);

/* feed/body.c */

/* The record of a claim that is not absent; to be freed, NULL: no memory. */
char *body_of_claim(const struct claim *claim);
/* All records of a source, an array with one a line; marks them fed. */
char *body_of_source(const struct source *source, size_t *len);
/* The claim of an array's record, if it says still what it said there; NULL:
 * there is none. */
struct claim *body_claim(const struct source *source, size_t index);

/* feed/gateway.c */

/* The source can be fed. */
void gateway_open(struct source *source);
void gateway_close(struct source *source);

/* feed/report.c */

bool source_complete(const struct source *source);
/* Tell who asked whether all is fed. */
void feed_settle(const struct feed *feed);

/* feed/agent.c */

struct agent;

/* Feed policies to the agent of the feed's settings. 0 or -errno. */
int agent_open(struct agent **out, struct feed *feed);
void agent_close(struct agent *agent);
/* An object of the list as a provider says it is now; borrowed. 0 or -ENOMEM.
 */
int agent_put(struct agent *agent, const struct feed_list *list,
	      const char *key, const struct feed_sandbox *sandbox);
/* It is gone. Not called for one that is refused: its policy stays. */
void agent_delete(struct agent *agent, const struct feed_list *list,
		  const char *key);

#endif
