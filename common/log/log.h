/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON object a line on standard output. The only global state: the level
 * and the sandbox-independent fields.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <jansson.h>
#include <time.h>

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
};

void log_set_level(enum log_level level);

/* "debug", "info", "warn" or "warning", "error"; 0 or -EINVAL. */
int log_level_from_text(enum log_level *level, const char *text);

/*
 * Write {"time":RFC 3339 with microseconds, UTC,"level":...,"event":event,
 * "opensandbox.event":event,"msg":...} and the fields, which are a NULL-ended
 * list of pairs: a key whose first character is its type ('s' const char *,
 * 'i' long long, 'j' json_t *, which is borrowed, 'r' const char *, JSON that
 * is written as it is, once a line and last) and the value:
 * log_event(LOG_INFO, "egress.loaded", "policy loaded", "segress.default",
 * text, "irules", 12LL, NULL). Keys stay flat, dots and all: "target.host".
 * A NULL string or object is left out. One write(2) a line; when standard
 * output cannot take it (full pipe) the line is dropped and counted, never
 * waited for. event may be NULL: a line that belongs to no event family. errno
 * is what it was, here and in log_fatal().
 */
void log_event(enum log_level level, const char *event, const char *msg, ...);

/* Fields that every line carries (sandbox_id, extra attributes): an object
 * whose reference the log takes; NULL for none. */
void log_set_common(json_t *fields);

/* Would a line of this level be written? For callers that build costly
 * fields. */
int log_enabled(enum log_level level);

/* Lines dropped since start. */
unsigned long log_dropped(void);

/* A time of RFC 3339 in UTC, "2026-01-02T03:04:05Z", of seconds since 1970. */
enum {
	TIME_TEXT_SIZE = 32
};
void time_to_text(time_t time, char out[TIME_TEXT_SIZE]);

/* The name that log_fatal() says, a constant; "egress-sidecar" without. */
void log_set_program(const char *name);

/* The one line of a fatal start-up error, on standard error: the program's
 * name, ": " and the message. */
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The families of events that log lines belong to, one row each. */
struct event {
	const char *name;
	enum log_level level; /* of its lines, where nothing makes them worse
				 or milder */
};

static const struct event event_loaded = {"egress.loaded", LOG_INFO};
static const struct event event_updated = {"egress.updated", LOG_INFO};
static const struct event event_update_failed = {"egress.update_failed",
						 LOG_ERROR};
static const struct event event_rules_lost = {"egress.rules_lost", LOG_ERROR};
static const struct event event_rules_restored = {"egress.rules_restored",
						  LOG_WARN};
static const struct event event_outbound = {"egress.outbound", LOG_INFO};
static const struct event event_denied = {"egress.denied", LOG_INFO};
static const struct event event_flow = {"egress.flow", LOG_INFO};
static const struct event event_dns_limit = {"egress.dns_limit", LOG_WARN};
static const struct event event_listed = {"discovery.listed", LOG_INFO};
static const struct event event_fed = {"discovery.fed", LOG_INFO};
static const struct event event_refused = {"discovery.refused", LOG_WARN};
static const struct event event_conflict = {"discovery.conflict", LOG_WARN};
static const struct event event_ambiguous = {"discovery.ambiguous", LOG_WARN};
static const struct event event_failed = {"discovery.failed", LOG_WARN};
static const struct event event_pending = {"egress.pending", LOG_INFO};

/* The first two arguments of log_event(). */
#define EVENT(event) (event).level, (event).name

#endif
