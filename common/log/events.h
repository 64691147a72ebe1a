/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The families of events that log lines belong to, one row each.
 */
#ifndef EGRESS_LOG_EVENTS_H
#define EGRESS_LOG_EVENTS_H

#include "log.h"

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
static const struct event event_dns_limit = {"egress.dns_limit", LOG_WARN};
static const struct event event_listed = {"discovery.listed", LOG_INFO};
static const struct event event_fed = {"discovery.fed", LOG_INFO};
static const struct event event_refused = {"discovery.refused", LOG_WARN};
static const struct event event_conflict = {"discovery.conflict", LOG_WARN};
static const struct event event_ambiguous = {"discovery.ambiguous", LOG_WARN};
static const struct event event_failed = {"discovery.failed", LOG_WARN};

/* The first two arguments of log_event(). */
#define EVENT(event) (event).level, (event).name

#endif
