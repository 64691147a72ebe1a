/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

bool source_complete(const struct source *source)
{
	for (const struct feed_list *l = source->lists; l; l = l->next)
		if (!l->complete)
			return false;
	return true;
}

static bool source_settled(const struct source *source)
{
	if (!source_complete(source))
		return false;
	return !source->feed->settings.gateway ||
	       (source->fed && source->n_waiting == 0 &&
		source->n_sending == 0);
}

void feed_settle(const struct feed *feed)
{
	if (!feed->settings.settled)
		return;
	for (const struct source *s = feed->sources; s; s = s->next)
		if (!source_settled(s))
			return;
	if (feed->agent_report.waiting)
		return;
	feed->settings.settled(feed->settings.arg, true);
}

static void report_list(const struct feed_list *list,
			const struct feed_report *to)
{
	struct feed_list_report report = {
		.source = list->source->name,
		.name = list->name,
		.complete = list->complete,
		.error = list->error,
		.objects = list->n_objects,
		.refused = list->n_refused,
		.events = list->n_events,
		.failures = list->n_failures,
	};

	to->list(to->arg, &report);
}

void feed_report(const struct feed *feed, const struct feed_report *to)
{
	for (const struct source *s = feed->sources; s; s = s->next) {
		struct feed_source_report report = {
			.source = s->name,
			.fed = s->fed || !feed->settings.gateway,
			.error = s->error,
			.records = s->n_records,
			.ambiguous = s->n_ambiguous,
			.conflicts = s->n_conflicts,
			.waiting = s->whole_due ? s->n_records
						: s->n_waiting + s->n_sending,
			.feeds = s->n_feeds,
			.failures = s->n_failures,
			.lag_ms = s->lag_ms,
		};

		to->source(to->arg, &report);
		for (const struct feed_list *l = s->lists; l; l = l->next)
			report_list(l, to);
	}
	if (feed->agent)
		to->agent(to->arg, &feed->agent_report);
}
