/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "life/life.h"
#include "outlets/outlets.h"
#include "version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Labels and counters of one sandbox. */
struct sample {
	char *labels; /* a="b",c="d" without braces; may be empty */
	struct sandbox_counts counts;
};

static void put_label(FILE *f, const char *separator, const char *name,
		      const char *value)
{
	fprintf(f, "%s%s=\"", separator, name);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", f);
			continue;
		}
		if (*value == '"' || *value == '\\')
			putc('\\', f);
		putc(*value, f);
	}
	putc('"', f);
}

/* outlet NULL: none. NULL when out of memory. */
static char *labels(const char *outlet, const char *sandbox_id,
		    const struct settings *settings)
{
	const char *separator = "";
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	if (outlet) {
		put_label(f, separator, "outlet", outlet);
		separator = ",";
	}
	if (sandbox_id[0]) {
		put_label(f, separator, "sandbox_id", sandbox_id);
		separator = ",";
	}
	for (size_t i = 0; i < settings->n_attrs; i++) {
		put_label(f, separator, settings->attrs[i].label,
			  settings->attrs[i].value);
		separator = ",";
	}
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static void put_head(FILE *f, const char *name, const char *type,
		     const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A gauge that is 1, whose label is what it tells. */
static void put_build(FILE *f, const char *label_text)
{
	put_head(f, "egress_build_info", "gauge", "The version that runs.");
	fprintf(f,
		"egress_build_info{%s%sversion=\"" OPENSANDBOX_VERSION
		"\"} 1\n",
		label_text, label_text[0] ? "," : "");
}

static void put_name(FILE *f, const char *name, const char *label_text)
{
	if (label_text[0])
		fprintf(f, "%s{%s} ", name, label_text);
	else
		fprintf(f, "%s ", name);
}

static void put_meter_head(FILE *f, const struct meter *m)
{
	put_head(f, m->prometheus,
		 m->kind == METER_COUNTER ? "counter" : "gauge", m->help);
}

static void put_meter(FILE *f, const struct meter *m,
		      const struct sample *samples, size_t n)
{
	put_meter_head(f, m);
	for (size_t i = 0; i < n; i++) {
		put_name(f, m->prometheus, samples[i].labels);
		fprintf(f, "%" PRIu64 "\n", meter_value(m, &samples[i].counts));
	}
}

static void put_bucket(FILE *f, const struct sample *s, const char *bound,
		       uint64_t count)
{
	fprintf(f,
		METER_QUERY_PROMETHEUS "_bucket{%s%sle=\"%s\"} %" PRIu64 "\n",
		s->labels, s->labels[0] ? "," : "", bound, count);
}

static void put_query_times(FILE *f, const struct sample *samples, size_t n)
{
	put_head(f, METER_QUERY_PROMETHEUS, "histogram", METER_QUERY_HELP);
	for (size_t i = 0; i < n; i++) {
		const struct sandbox_counts *c = &samples[i].counts;
		uint64_t count = 0;
		char bound[32];

		for (size_t b = 0; b < 11; b++) {
			count += c->query_us_bucket[b];
			snprintf(bound, sizeof(bound), "%g",
				 sandbox_query_bound_us[b] / 1e6);
			put_bucket(f, &samples[i], bound, count);
		}
		count += c->query_us_bucket[11];
		put_bucket(f, &samples[i], "+Inf", count);
		put_name(f, METER_QUERY_PROMETHEUS "_sum", samples[i].labels);
		fprintf(f, "%.6f\n", (double)c->query_us_sum / 1e6);
		put_name(f, METER_QUERY_PROMETHEUS "_count", samples[i].labels);
		fprintf(f, "%" PRIu64 "\n", count);
	}
}

static void put_process(FILE *f, const char *label_text)
{
	struct process_counts c;

	process_counts(&c);
	for (const struct meter *m = process_meters; m->name; m++) {
		uint64_t value = meter_value(m, &c);

		if (value == METER_ABSENT)
			continue;
		put_meter_head(f, m);
		put_name(f, m->prometheus, label_text);
		if (m->seconds)
			fprintf(f, "%.6f\n", (double)value / 1e6);
		else
			fprintf(f, "%" PRIu64 "\n", value);
	}
}

#define OUTLET_METER(prometheus, kind, help, field)                  \
	{                                                            \
		NULL, prometheus, NULL, help, kind,                  \
			offsetof(struct outlet_counts, field), false \
	}

/* Of each outlet, on Prometheus' page alone. Ends with a NULL name there. */
static const struct meter outlet_meters[] = {
	OUTLET_METER("egress_outlet_sent_total", METER_COUNTER,
		     "Requests of our own that were answered as wished.", sent),
	OUTLET_METER("egress_outlet_failed_total", METER_COUNTER,
		     "Requests of our own that were not.", failed),
	OUTLET_METER("egress_outlet_dropped_total", METER_COUNTER,
		     "Requests of our own that were never sent.", dropped),
	OUTLET_METER("egress_outlet_queue_length", METER_GAUGE,
		     "Requests of our own that wait or are under way.", queued),
	OUTLET_METER(
		"egress_outlet_last_success_timestamp_seconds", METER_GAUGE,
		"When one was last answered as wished, 0: never.", success_s),
	{.prometheus = NULL},
};

static bool put_outlets(FILE *f, const struct outlets *outlets,
			const struct settings *settings)
{
	const struct outlet *o;

	if (TAILQ_EMPTY(&outlets->list))
		return true;
	for (const struct meter *m = outlet_meters; m->prometheus; m++) {
		put_meter_head(f, m);
		TAILQ_FOREACH(o, &outlets->list, in_list)
		{
			char *text =
				labels(o->kind,
				       o->sandbox_id[0] ? o->sandbox_id
							: settings->sandbox_id,
				       settings);

			if (!text)
				return false;
			put_name(f, m->prometheus, text);
			fprintf(f, "%" PRIu64 "\n", meter_value(m, &o->counts));
			free(text);
		}
	}
	return true;
}

static bool samples_take(struct sample *samples,
			 struct sandbox *const *sandboxes, size_t n,
			 const struct settings *settings)
{
	for (size_t i = 0; i < n; i++) {
		samples[i].labels =
			labels(NULL, sandbox_id(sandboxes[i]), settings);
		if (!samples[i].labels)
			return false;
		sandbox_counts(sandboxes[i], &samples[i].counts);
	}
	return true;
}

static char *page(const struct sample *samples, size_t n,
		  const char *process_labels, const struct settings *settings,
		  const struct outlets *outlets)
{
	bool whole;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_query_times(f, samples, n);
	for (const struct meter *m = sandbox_meters; m->name; m++)
		put_meter(f, m, samples, n);
	put_build(f, process_labels);
	put_process(f, process_labels);
	whole = put_outlets(f, outlets, settings);
	if (fclose(f) == 0 && whole)
		return text;
	free(text);
	return NULL;
}

char *metrics_text(const struct sandbox_list *list,
		   const struct settings *settings,
		   const struct outlets *outlets)
{
	size_t n = list->n;
	struct sample *samples = calloc(n ? n : 1, sizeof(*samples));
	char *process_labels = labels(NULL, settings->sandbox_id, settings);
	char *text = NULL;

	if (samples && process_labels &&
	    samples_take(samples, list->at, n, settings))
		text = page(samples, n, process_labels, settings, outlets);
	for (size_t i = 0; samples && i < n; i++)
		free(samples[i].labels);
	free(samples);
	free(process_labels);
	return text;
}
