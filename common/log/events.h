/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The families of events that log lines belong to: one row each.
 */
#ifndef EGRESS_LOG_EVENTS_H
#define EGRESS_LOG_EVENTS_H

#include "log.h"

/* Name here, name in the log, level of its lines where nothing makes them
 * worse or milder. */
#define LOG_EVENTS(ROW)                                        \
	ROW(LOADED, "egress.loaded", LOG_INFO)                 \
	ROW(UPDATED, "egress.updated", LOG_INFO)               \
	ROW(UPDATE_FAILED, "egress.update_failed", LOG_ERROR)  \
	ROW(RULES_LOST, "egress.rules_lost", LOG_ERROR)        \
	ROW(RULES_RESTORED, "egress.rules_restored", LOG_WARN) \
	ROW(OUTBOUND, "egress.outbound", LOG_INFO)             \
	ROW(DENIED, "egress.denied", LOG_INFO)                 \
	ROW(DNS_LIMIT, "egress.dns_limit", LOG_WARN)

enum event {
#define LOG_EVENT_ID(id, name, level) EVENT_##id,
	LOG_EVENTS(LOG_EVENT_ID)
#undef LOG_EVENT_ID
};

struct event_row {
	const char *name;
	enum log_level level;
};
extern const struct event_row log_events[];

#define EVENT_NAME(id) (log_events[EVENT_##id].name)

/* The first two arguments of log_event(). */
#define EVENT(id) log_events[EVENT_##id].level, EVENT_NAME(id)

#endif
