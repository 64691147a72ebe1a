/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all providers know, by object and by sandbox id, and whom it is fed to.
 */
#ifndef DISCOVERY_FEED_H
#define DISCOVERY_FEED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct feed;
struct feed_list; /* one list of objects of a provider; complete once its first
		     listing has ended */
struct fetcher;   /* common/http */

enum {
	FEED_IDS_MAX = 4,
	FEED_ID_MAX = 63,   /* bytes of an id */
	FEED_KEY_MAX = 512, /* bytes of an object's key */
};

struct feed_settings {
	uv_loop_t *loop;
	struct fetcher *fetcher;
	/* "http://HOST:PORT" or "unix:/path"; NULL: no gateway is fed. */
	const char *gateway;
	const char *token_file; /* of its management API; NULL: no token */
	const char *agent;      /* socket of the node's agent; NULL: none */
	/*
	 * Called whenever all lists are complete and fed (ok), and whenever a
	 * listing or a feed has failed. NULL: nobody asks.
	 */
	void (*settled)(void *arg, bool ok);
	void *arg;
};

/* feed/feed.c */

/* Texts are copied, the rest is borrowed. 0, or -errno with the reason said by
 * log_fatal(). */
int feed_open(struct feed **out, const struct feed_settings *settings);
/* Its lists go with it; the gateway keeps what it was fed. */
void feed_close(struct feed *feed);

/*
 * source: the name that its records carry at the gateway ("docker",
 * "kubernetes"), the lists of one source share its ids; name: for logs and
 * metrics ("pods"). Both are constants. The feed owns it. NULL: no memory.
 */
struct feed_list *feed_list_open(struct feed *feed, const char *source,
				 const char *name);

/* feed/objects.c */

/* A sandbox as a provider's object describes it; all borrowed for the call. */
struct feed_sandbox {
	/* In lower case, 1 to FEED_ID_MAX bytes of [a-z0-9.-]; the first is its
	 * own, the others are aliases; NULL-ended if fewer. None: the gateway
	 * is told nothing, the agent alone. */
	const char *ids[FEED_IDS_MAX];
	json_t *record; /* the gateway's record without "id" and "source" */
	/* For the node's agent: the id that it has there (NULL: it has none,
	 * and the agent is told nothing), its policy (null: the default that
	 * it was attached with; NULL: nothing is said of it), and its process
	 * where it may be attached by us (0: by others alone). */
	const char *agent_id;
	json_t *policy;
	pid_t pid;
};

/* A new listing begins, or begins anew: what feed_put() does not name until
 * feed_list_end() goes then. */
void feed_list_begin(struct feed_list *list);

/*
 * The object of that key ("namespace/name", a container's id) is this sandbox.
 * Nothing is sent where that is what is known already. 0, -EINVAL (a key or an
 * id of impossible length) or -ENOMEM; what is known stays then.
 */
int feed_put(struct feed_list *list, const char *key,
	     const struct feed_sandbox *sandbox);
void feed_delete(struct feed_list *list, const char *key);

/* An object that cannot be taken: said once with its name, until the reason
 * changes. It is as if deleted. */
void feed_refuse(struct feed_list *list, const char *key, const char *why);

void feed_list_end(struct feed_list *list);

/* It cannot be listed or watched at present; said once per change of the
 * error. What is known stays. feed_list_ok() and feed_list_end() end it. */
void feed_list_failed(struct feed_list *list, const char *error);
void feed_list_ok(struct feed_list *list);

/* feed/report.c */

/* A list, for health and metrics; valid during the call. */
struct feed_list_report {
	const char *source, *name;
	bool complete;     /* has been listed in whole */
	const char *error; /* NULL: none at present */
	uint64_t objects;  /* known */
	uint64_t refused;  /* of these, not taken */
	uint64_t events;   /* changes, since the start */
	uint64_t failures; /* since the start */
};

/* A source and the gateway. */
struct feed_source_report {
	const char *source;
	bool fed;           /* in whole, since the gateway began */
	const char *error;  /* of the gateway; NULL: none at present */
	uint64_t records;   /* ids that have a record */
	uint64_t ambiguous; /* of these, claimed by several objects */
	uint64_t conflicts; /* of these, another source's at the gateway */
	uint64_t waiting;   /* not fed yet */
	uint64_t feeds;     /* requests that changed records, since the start */
	uint64_t failures;  /* since the start */
	uint64_t lag_ms;    /* of the last feed: from the event to the answer */
};

/* The node's agent. */
struct agent_report {
	const char *error; /* NULL: none at present */
	uint64_t policies; /* that it is told */
	uint64_t waiting;  /* of these, not told yet */
	uint64_t absent;   /* of these, of sandboxes that it does not know */
	uint64_t refused;  /* of these, not taken */
	uint64_t feeds;    /* requests, since the start */
	uint64_t failures; /* since the start */
};

struct feed_report {
	void *arg;
	void (*list)(void *arg, const struct feed_list_report *report);
	void (*source)(void *arg, const struct feed_source_report *report);
	void (*agent)(void *arg, const struct agent_report *report);
};

void feed_report(const struct feed *feed, const struct feed_report *to);

#endif
