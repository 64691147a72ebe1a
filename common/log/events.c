/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

const struct event_row log_events[] = {
#define LOG_EVENT_ROW(id, name, level) [EVENT_##id] = {name, level},
	LOG_EVENTS(LOG_EVENT_ROW)
#undef LOG_EVENT_ROW
};
