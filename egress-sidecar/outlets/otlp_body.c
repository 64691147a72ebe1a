/* SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

#include "api/api.h"
#include "life/life.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CUMULATIVE = 2, /* AGGREGATION_TEMPORALITY_CUMULATIVE */
};

struct times {
	uint64_t start_ns, now_ns;
};

/* 64-bit integers are strings in the JSON encoding of protocol buffers. */
static json_t *number64(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

static json_t *attribute(const char *key, const char *value)
{
	return json_pack("{ss s{ss}}", "key", key, "value", "stringValue",
			 value);
}

static json_t *attributes(const char *sandbox_id,
			  const struct settings *settings)
{
	json_t *array = json_array();

	if (sandbox_id[0])
		json_array_append_new(array,
				      attribute("sandbox_id", sandbox_id));
	for (size_t i = 0; i < settings->n_attrs; i++)
		json_array_append_new(array,
				      attribute(settings->attrs[i].key,
						settings->attrs[i].value));
	return array;
}

/* A data point; takes the reference of attributes. */
static json_t *point(json_t *attrs, const struct times *times)
{
	return json_pack("{so so so}", "attributes", attrs, "startTimeUnixNano",
			 number64(times->start_ns), "timeUnixNano",
			 number64(times->now_ns));
}

/* A metric around its points; takes the reference of points. */
static json_t *metric(const char *name, const char *unit, const char *help,
		      enum meter_kind kind, json_t *points)
{
	json_t *data =
		kind == METER_COUNTER
			? json_pack("{si sb so}", "aggregationTemporality",
				    CUMULATIVE, "isMonotonic", 1, "dataPoints",
				    points)
			: json_pack("{so}", "dataPoints", points);

	return json_pack("{ss ss ss so}", "name", name, "unit", unit,
			 "description", help,
			 kind == METER_COUNTER ? "sum" : "gauge", data);
}

static json_t *meter_metric(const struct meter *m,
			    const struct sandbox_counts *counts,
			    json_t *const *attrs, size_t n,
			    const struct times *times)
{
	json_t *points = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *p = point(json_incref(attrs[i]), times);
		json_object_set_new(p, "asInt",
				    number64(meter_value(m, &counts[i])));
		json_array_append_new(points, p);
	}
	return metric(m->name, m->unit, m->help, m->kind, points);
}

static json_t *query_point(const struct sandbox_counts *c, json_t *attrs,
			   const struct times *times)
{
	json_t *p = point(attrs, times);
	json_t *counts = json_array(), *bounds = json_array();
	uint64_t total = 0;

	for (size_t i = 0; i < 12; i++) {
		total += c->query_us_bucket[i];
		json_array_append_new(counts, number64(c->query_us_bucket[i]));
	}
	for (size_t i = 0; i < 11; i++)
		json_array_append_new(
			bounds, json_real(sandbox_query_bound_us[i] / 1e6));
	json_object_set_new(p, "count", number64(total));
	json_object_set_new(p, "sum", json_real((double)c->query_us_sum / 1e6));
	json_object_set_new(p, "bucketCounts", counts);
	json_object_set_new(p, "explicitBounds", bounds);
	return p;
}

static json_t *query_metric(const struct sandbox_counts *counts,
			    json_t *const *attrs, size_t n,
			    const struct times *times)
{
	json_t *points = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			points,
			query_point(&counts[i], json_incref(attrs[i]), times));
	return json_pack("{ss ss ss s{si so}}", "name", METER_QUERY_NAME,
			 "unit", "s", "description", METER_QUERY_HELP,
			 "histogram", "aggregationTemporality", CUMULATIVE,
			 "dataPoints", points);
}

static void add_process(json_t *metrics, const struct process_counts *c,
			const struct settings *settings,
			const struct times *times)
{
	for (const struct meter *m = process_meters; m->name; m++) {
		uint64_t value = meter_value(m, c);
		json_t *p;

		if (value == METER_ABSENT)
			continue;
		p = point(attributes(settings->sandbox_id, settings), times);
		if (m->seconds)
			json_object_set_new(p, "asDouble",
					    json_real((double)value / 1e6));
		else
			json_object_set_new(p, "asInt", number64(value));
		json_array_append_new(metrics,
				      metric(m->name, m->unit, m->help, m->kind,
					     json_pack("[o]", p)));
	}
}

static json_t *resource_attributes(const json_t *resource)
{
	json_t *array = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)resource, key, value)
		json_array_append_new(array,
				      attribute(key, json_string_value(value)));
	return array;
}

json_t *otlp_body(struct sandbox *const *sandboxes, size_t n,
		  const struct process_counts *process,
		  const struct settings *settings, const json_t *resource,
		  uint64_t start_ns, uint64_t now_ns)
{
	const struct times times = {start_ns, now_ns};
	struct sandbox_counts *counts = calloc(n ? n : 1, sizeof(*counts));
	json_t **attrs = calloc(n ? n : 1, sizeof(json_t *));
	json_t *metrics = json_array(), *body = NULL;

	if (!counts || !attrs || !metrics) {
		json_decref(metrics);
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		attrs[i] = attributes(sandbox_id(sandboxes[i]), settings);
		sandbox_counts(sandboxes[i], &counts[i]);
	}
	if (n > 0) {
		json_array_append_new(metrics,
				      query_metric(counts, attrs, n, &times));
		for (const struct meter *m = sandbox_meters; m->name; m++)
			json_array_append_new(
				metrics,
				meter_metric(m, counts, attrs, n, &times));
	}
	add_process(metrics, process, settings, &times);
	body = json_pack("{s[{s{so} s[{s{ss} so}]}]}", "resourceMetrics",
			 "resource", "attributes",
			 resource_attributes(resource), "scopeMetrics", "scope",
			 "name", "opensandbox/egress", "metrics", metrics);
out:
	for (size_t i = 0; attrs && i < n; i++)
		json_decref(attrs[i]);
	free(attrs);
	free(counts);
	return body;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* In place. 0 or -EINVAL. */
static int percent_decode(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		if (hex(text[1]) < 0 || hex(text[2]) < 0)
			return -EINVAL;
		*out = (char)(hex(text[1]) * 16 + hex(text[2]));
		if (!*out || *out == '\r' || *out == '\n')
			return -EINVAL;
		out++;
		text += 2;
	}
	*out = '\0';
	return 0;
}

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	for (len = strlen(text); len > 0; len--)
		if (text[len - 1] != ' ' && text[len - 1] != '\t')
			break;
	text[len] = '\0';
	return text;
}

int otlp_pairs(json_t *object, const char *text)
{
	char *copy = strdup(text), *rest = copy, *item, *value, *key;
	int err = copy ? 0 : -EINVAL;

	while (!err && (item = strsep(&rest, ","))) {
		item = trim(item);
		if (!item[0])
			continue;
		value = strchr(item, '=');
		if (!value || value == item) {
			err = -EINVAL;
			break;
		}
		*value++ = '\0';
		key = trim(item);
		value = trim(value);
		if (percent_decode(key) || percent_decode(value) ||
		    json_object_set_new(object, key, json_string(value)))
			err = -EINVAL;
	}
	free(copy);
	return err;
}
