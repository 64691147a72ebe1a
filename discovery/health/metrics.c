/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "log/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum of {
	OF_LIST,
	OF_SOURCE,
	OF_AGENT,
};

enum kind {
	COUNTER,
	GAUGE,
	SECONDS, /* a gauge of milliseconds */
	FLAG,    /* a gauge of a bool */
};

struct meter {
	const char *name;
	const char *help;
	enum of of;
	enum kind kind;
	size_t offset; /* into the report */
};

#define LIST(member)   offsetof(struct feed_list_report, member)
#define SOURCE(member) offsetof(struct feed_source_report, member)
#define AGENT(member)  offsetof(struct agent_report, member)

static const struct meter meters[] = {
	{"discovery_objects", "Objects of a list that are known.", OF_LIST,
	 GAUGE, LIST(objects)},
	{"discovery_objects_refused", "Of these, those that are not taken.",
	 OF_LIST, GAUGE, LIST(refused)},
	{"discovery_list_complete", "Has the list been listed in whole?",
	 OF_LIST, FLAG, LIST(complete)},
	{"discovery_events_total", "Changes of objects.", OF_LIST, COUNTER,
	 LIST(events)},
	{"discovery_list_failures_total", "Listings and watches that failed.",
	 OF_LIST, COUNTER, LIST(failures)},
	{"discovery_fed", "Has the gateway been fed in whole since it began?",
	 OF_SOURCE, FLAG, SOURCE(fed)},
	{"discovery_records", "Records for the gateway.", OF_SOURCE, GAUGE,
	 SOURCE(records)},
	{"discovery_records_ambiguous",
	 "Of these, those that several objects claim.", OF_SOURCE, GAUGE,
	 SOURCE(ambiguous)},
	{"discovery_records_conflicting",
	 "Of these, those that the gateway has from another source.", OF_SOURCE,
	 GAUGE, SOURCE(conflicts)},
	{"discovery_records_waiting", "Of these, those that are not fed yet.",
	 OF_SOURCE, GAUGE, SOURCE(waiting)},
	{"discovery_feeds_total", "Requests that the gateway took.", OF_SOURCE,
	 COUNTER, SOURCE(feeds)},
	{"discovery_feed_failures_total", "Requests that it did not take.",
	 OF_SOURCE, COUNTER, SOURCE(failures)},
	{"discovery_feed_lag_seconds",
	 "From an event to the gateway's answer, of the last feed.", OF_SOURCE,
	 SECONDS, SOURCE(lag_ms)},
	{"discovery_policies", "Policies for the node's agent.", OF_AGENT,
	 GAUGE, AGENT(policies)},
	{"discovery_policies_absent",
	 "Of these, those of sandboxes that it has not been given.", OF_AGENT,
	 GAUGE, AGENT(absent)},
	{"discovery_policies_refused", "Of these, those that it does not take.",
	 OF_AGENT, GAUGE, AGENT(refused)},
	{"discovery_agent_feeds_total", "Requests to the agent.", OF_AGENT,
	 COUNTER, AGENT(feeds)},
	{"discovery_agent_failures_total", "Requests that it did not answer.",
	 OF_AGENT, COUNTER, AGENT(failures)},
};

struct page {
	FILE *out;
	const struct meter *meter;
};

static void write_value(const struct page *page, const void *report)
{
	const char *at = (const char *)report + page->meter->offset;

	if (page->meter->kind == FLAG)
		fprintf(page->out, " %d\n", *(const bool *)at);
	else if (page->meter->kind == SECONDS)
		fprintf(page->out, " %.3f\n",
			(double)*(const uint64_t *)at / 1000);
	else
		fprintf(page->out, " %" PRIu64 "\n", *(const uint64_t *)at);
}

static void write_list(void *arg, const struct feed_list_report *report)
{
	const struct page *page = arg;

	if (page->meter->of != OF_LIST)
		return;
	fprintf(page->out, "%s{source=\"%s\",list=\"%s\"}", page->meter->name,
		report->source, report->name);
	write_value(page, report);
}

static void write_source(void *arg, const struct feed_source_report *report)
{
	const struct page *page = arg;

	if (page->meter->of != OF_SOURCE)
		return;
	fprintf(page->out, "%s{source=\"%s\"}", page->meter->name,
		report->source);
	write_value(page, report);
}

static void write_agent(void *arg, const struct agent_report *report)
{
	const struct page *page = arg;

	if (page->meter->of != OF_AGENT)
		return;
	fputs(page->meter->name, page->out);
	write_value(page, report);
}

char *metrics_text(const struct feed *feed)
{
	struct page page;
	const struct feed_report to = {&page, write_list, write_source,
				       write_agent};
	char *text = NULL;
	size_t len;

	page.out = open_memstream(&text, &len);
	if (!page.out)
		return NULL;
	for (size_t i = 0; i < sizeof(meters) / sizeof(*meters); i++) {
		page.meter = &meters[i];
		fprintf(page.out, "# HELP %s %s\n# TYPE %s %s\n",
			meters[i].name, meters[i].help, meters[i].name,
			meters[i].kind == COUNTER ? "counter" : "gauge");
		feed_report(feed, &to);
	}
	fprintf(page.out,
		"# HELP discovery_log_dropped_total Log lines that nobody "
		"took in time.\n"
		"# TYPE discovery_log_dropped_total counter\n"
		"discovery_log_dropped_total %lu\n",
		log_dropped());
	if (fclose(page.out)) {
		free(text);
		return NULL;
	}
	return text;
}
