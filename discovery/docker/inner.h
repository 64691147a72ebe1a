/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with the engine follows its events, and lists its containers once.
 * A container that is listed, or that something happened to, is inspected, and
 * what that says is fed. Where the session breaks, another one begins, which
 * lists anew.
 */
#ifndef DISCOVERY_DOCKER_INNER_H
#define DISCOVERY_DOCKER_INNER_H

#include "docker.h"
#include "feed/feed.h"
#include "translate/translate.h"

#include "http/http.h"

#include <jansson.h>
#include <stdint.h>

enum {
	CONTAINER_ID_MAX = 64, /* hexadecimal digits of a container's id */
};

struct docker_settings {
	bool wanted;
	char socket[108];
	char network[256]; /* "": the container's own */
	bool published;    /* no container's address is reached */
};

/* docker/translate.c: pure */

/*
 * What a container is, by GET /containers/ID/json; network: the same of the
 * container whose network it uses, most often itself. 0, t has no id where it
 * is no sandbox; -EINVAL with t->why, or -ENOMEM.
 */
int docker_translate(struct translation *t, const json_t *container,
		     const json_t *network,
		     const struct docker_settings *settings);
/* Is there a health check, which can change its state by itself? */
bool docker_has_health(const json_t *container);
/* The id or name of the other container whose network it uses; NULL: none. */
const char *docker_network_of(const json_t *container);

/* docker/messages.c: pure */

/* Reads a list of containers as it arrives, of any length, for their ids. */
struct id_scan {
	size_t depth;
	bool quoted, escaped, is_value, is_id;
	bool begun, bad;
	size_t len;
	char text[CONTAINER_ID_MAX + 2];
	void (*found)(void *arg, const char *id);
	void *arg;
};

void id_scan_add(struct id_scan *scan, const char *piece, size_t len);
/* Was that an array from its beginning to its end? */
bool id_scan_complete(const struct id_scan *scan);

/* What GET /events tells. */
struct engine_event {
	char id[CONTAINER_ID_MAX + 1]; /* the container that may be another now;
					  "": none */
	bool health;                   /* it is told of a health check */
};

/* 0 or -EINVAL (it is no event). */
int engine_event_read(struct engine_event *event, const char *line, size_t len);

/* Lines of a stream; zeroed, it is empty. */
struct lines {
	char *text;
	size_t len, room;
};

/* take() gets each line that the piece ends, without its end, until it returns
 * other than 0, which is returned. -EMSGSIZE: a line is too long; -ENOMEM. */
int lines_add(struct lines *lines, const char *piece, size_t len,
	      int (*take)(void *arg, const char *line, size_t len), void *arg);
void lines_free(struct lines *lines);

/* docker/inspections.c */

/* What is asked of single containers. */
struct inspections {
	const struct provider_host *host;
	const struct docker_settings *settings;
	struct feed_list *list;
	/* Called when the last one that was listed has been fed. */
	void (*listed)(void *arg);
	/* Called when the engine has not answered; true: all is dropped. */
	bool (*lost)(void *arg, const char *error);
	void (*closed)(void *arg);
	void *arg;

	void *by_id;                      /* tsearch(3) */
	struct inspection *first, **last; /* waiting */
	uv_timer_t retry;                 /* of those that failed */
	uv_timer_t health; /* of those whose health is not told of */
	bool health_told;  /* the engine tells of health checks */
	unsigned n_running;
	size_t n_listed;
	unsigned open_handles;
};

void inspections_open(struct inspections *all);
/* Why a container is inspected. */
enum inspection_cause {
	LISTED, /* the listing waits for it */
	CHANGED,
	/* Podman before 4.8 tells of a health check before its result can be
	 * seen: the container is looked at again a little later. */
	CHECKED,
};

/* Inspect the container, once more if that is under way. Ids that are none
 * are passed over. 0 or -ENOMEM. */
int inspections_add(struct inspections *all, const char *id,
		    enum inspection_cause cause);
/* Drop all of them. */
void inspections_clear(struct inspections *all);
/* closed(arg) is called once nothing is left of it in the loop. */
void inspections_close(struct inspections *all, void (*closed)(void *arg));

/* docker/engine.c */

struct engine;

int engine_open(struct engine **out, const struct provider_host *host,
		const struct docker_settings *settings);
void engine_close(struct engine *engine);

#endif
