/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What opensandbox_status tells: a row each, in the order in which both forms
 * have them.
 */


/* the labels of a table of numbers, one for its rows and one for its columns */
typedef struct {
    const char *row;
    const char *column;
    ngx_str_t *(*row_name)(ngx_uint_t i); /* NULL behind the last */
    ngx_str_t *(*column_name)(ngx_uint_t i);
    ngx_uint_t columns;
} ngx_http_osb_labels_t;


typedef struct {
    const char *object; /* of the JSON; NULL for the outermost */
    const char *key;

    /* of Prometheus; NULL for what is in the JSON alone */
    const char *name;
    const char *label; /* NULL without */
    const char *type;  /* NULL for a text */
    const char *help;  /* NULL where the row before has the same name */

    size_t                 offset; /* of the number, in the status */
    ngx_http_osb_labels_t *labels; /* of a table; or NULL */
} ngx_http_osb_metric_t;


static ngx_str_t *
ngx_http_osb_metrics_mode(ngx_uint_t i);
static ngx_str_t *
ngx_http_osb_metrics_outcome(ngx_uint_t i);
static ngx_str_t *
ngx_http_osb_metrics_method(ngx_uint_t i);
static ngx_str_t *
ngx_http_osb_metrics_class(ngx_uint_t i);
static u_char *
ngx_http_osb_metrics_json_value(u_char *p, u_char *last,
                                ngx_http_osb_metric_t *metric,
                                ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_metrics_json_table(u_char *p, u_char *last,
                                ngx_http_osb_labels_t *labels, uint64_t *value);
static u_char *
ngx_http_osb_metrics_json_sources(u_char *p, u_char *last,
                                  ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_metrics_prometheus_sources(u_char *p, u_char *last,
                                        ngx_http_osb_metric_t *metric,
                                        ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_metrics_prometheus_table(u_char *p, u_char *last,
                                      ngx_http_osb_metric_t *metric,
                                      uint64_t              *value);


static ngx_http_osb_labels_t ngx_http_osb_metrics_requests = {
    "mode", "status", ngx_http_osb_metrics_mode, ngx_http_osb_metrics_outcome,
    NGX_HTTP_OSB_STATUSES};

static ngx_http_osb_labels_t ngx_http_osb_metrics_calls = {
    "method", "code", ngx_http_osb_metrics_method, ngx_http_osb_metrics_class,
    NGX_HTTP_OSB_METER_CLASSES};

/* not by a name that the code has */
static ngx_http_osb_labels_t ngx_http_osb_metrics_by_source = {"source", NULL,
                                                               NULL, NULL, 0};


/* clang-format off */

static ngx_http_osb_metric_t ngx_http_osb_metrics[] = {

    /* the JSON's object and key, name, label, type, help, value, labels */

    {NULL, "version", NULL, NULL, NULL, NULL,
     offsetof(ngx_http_osb_status_t, version), NULL},

    {"sandboxes", "total", NULL, NULL, "gauge", NULL,
     offsetof(ngx_http_osb_status_t, records), NULL},

    {"sandboxes", "ready", "sandboxes", "{state=\"ready\"}", "gauge",
     "Sandboxes with a record.",
     offsetof(ngx_http_osb_status_t, ready), NULL},

    {"sandboxes", "notReady", "sandboxes", "{state=\"not_ready\"}", "gauge",
     NULL,
     offsetof(ngx_http_osb_status_t, not_ready), NULL},

    {NULL, "sources", "source_sandboxes", NULL, "gauge",
     "Sandboxes with a record, by its source.",
     offsetof(ngx_http_osb_status_t, sources), &ngx_http_osb_metrics_by_source},

    {"declared", "waiting", "declared_waiting", NULL, "gauge",
     "Sandboxes that the configuration declares and the zone has no room for.",
     offsetof(ngx_http_osb_status_t, waiting), NULL},

    {NULL, "requests", "requests_total", NULL, "counter",
     "Requests routed, by routing mode and by what became of them.",
     offsetof(ngx_http_osb_status_t, meters.requests),
     &ngx_http_osb_metrics_requests},

    {"tunnels", "open", "tunnels", NULL, "gauge",
     "Upgraded connections that are open, WebSockets mostly.",
     offsetof(ngx_http_osb_status_t, meters.open.tunnels), NULL},

    {"tunnels", "total", "tunnels_opened_total", NULL, "counter",
     "Upgraded connections.",
     offsetof(ngx_http_osb_status_t, meters.upgrades), NULL},

    {"eventStreams", "open", "event_streams", NULL, "gauge",
     "Answers of server-sent events that are open.",
     offsetof(ngx_http_osb_status_t, meters.open.streams), NULL},

    {NULL, "changes", "record_changes_total", NULL, "counter",
     "Changes of records, by the API or by configuration.",
     offsetof(ngx_http_osb_status_t, changes), NULL},

    {NULL, "api", "api_requests_total", NULL, "counter",
     "Calls of the management API, by method and by class of answer.",
     offsetof(ngx_http_osb_status_t, meters.api),
     &ngx_http_osb_metrics_calls},

    {"renewIntents", "sent", "renew_intents_total", "{result=\"sent\"}",
     "counter",
     "Renew intents: taken by Redis, dropped as the queue was full, refused by "
     "Redis.",
     offsetof(ngx_http_osb_status_t, meters.renews[NGX_HTTP_OSB_RENEW_SENT]),
     NULL},

    {"renewIntents", "dropped", "renew_intents_total", "{result=\"dropped\"}",
     "counter", NULL,
     offsetof(ngx_http_osb_status_t, meters.renews[NGX_HTTP_OSB_RENEW_DROPPED]),
     NULL},

    {"renewIntents", "failed", "renew_intents_total", "{result=\"failed\"}",
     "counter", NULL,
     offsetof(ngx_http_osb_status_t, meters.renews[NGX_HTTP_OSB_RENEW_FAILED]),
     NULL},

    {"wakes", "held", "wake_requests", NULL, "gauge",
     "Requests that are held until their sandbox is awake.",
     offsetof(ngx_http_osb_status_t, meters.open.held), NULL},

    {"wakes", "sent", "wakes_total", "{result=\"sent\"}", "counter",
     "Messages that ask for a sandbox to be woken: taken, or not.",
     offsetof(ngx_http_osb_status_t, meters.wakes[NGX_HTTP_OSB_WAKE_SENT]),
     NULL},

    {"wakes", "failed", "wakes_total", "{result=\"failed\"}", "counter", NULL,
     offsetof(ngx_http_osb_status_t, meters.wakes[NGX_HTTP_OSB_WAKE_FAILED]),
     NULL},

    {"zone", "name", NULL, NULL, NULL, NULL,
     offsetof(ngx_http_osb_status_t, zone), NULL},

    {"zone", "bytes", "zone_bytes", NULL, "gauge",
     "Size of the shared memory zone.",
     offsetof(ngx_http_osb_status_t, size), NULL},

    {"zone", "used", "zone_used_bytes", NULL, "gauge",
     "Bytes of the zone in use.",
     offsetof(ngx_http_osb_status_t, used), NULL},

    {NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL}
};

/* clang-format on */


u_char *
ngx_http_osb_metrics_json(u_char *p, u_char *last,
                          ngx_http_osb_status_t *status)
{
    const char            *object;
    ngx_http_osb_metric_t *metric;

    object = NULL;

    for (metric = ngx_http_osb_metrics; metric->key; metric++) {

        if (object &&
            (metric->object == NULL || ngx_strcmp(object, metric->object) != 0))
        {
            p = ngx_slprintf(p, last, "}");
            object = NULL;
        }

        p = ngx_slprintf(p, last, metric == ngx_http_osb_metrics ? "{" : ",");

        if (metric->object && object == NULL) {
            p = ngx_slprintf(p, last, "\"%s\":{", metric->object);
            object = metric->object;
        }

        p = ngx_http_osb_metrics_json_value(p, last, metric, status);
    }

    return ngx_slprintf(p, last, object ? "}}\n" : "}\n");
}


static u_char *
ngx_http_osb_metrics_json_value(u_char *p, u_char *last,
                                ngx_http_osb_metric_t *metric,
                                ngx_http_osb_status_t *status)
{
    void      *value;
    ngx_str_t *text;

    value = (u_char *) status + metric->offset;

    p = ngx_slprintf(p, last, "\"%s\":", metric->key);

    if (metric->labels == &ngx_http_osb_metrics_by_source) {
        return ngx_http_osb_metrics_json_sources(p, last, status);
    }

    if (metric->labels) {
        return ngx_http_osb_metrics_json_table(p, last, metric->labels, value);
    }

    if (metric->type) {
        return ngx_slprintf(p, last, "%uL", *(uint64_t *) value);
    }

    text = value;

    p = ngx_slprintf(p, last, "\"");
    p = (u_char *) ngx_escape_json(p, text->data, text->len);

    return ngx_slprintf(p, last, "\"");
}


static u_char *
ngx_http_osb_metrics_json_sources(u_char *p, u_char *last,
                                  ngx_http_osb_status_t *status)
{
    ngx_uint_t             i;
    ngx_http_osb_source_t *source;

    p = ngx_slprintf(p, last, "{");

    for (i = 0; i < status->nsources; i++) {
        source = &status->sources[i];

        p = ngx_slprintf(p, last, "%s\"%*s\":%uL", i ? "," : "",
                         (size_t) source->len, source->name, source->records);
    }

    return ngx_slprintf(p, last, "}");
}


static u_char *
ngx_http_osb_metrics_json_table(u_char *p, u_char *last,
                                ngx_http_osb_labels_t *labels, uint64_t *value)
{
    ngx_str_t *row;
    ngx_uint_t i, n;

    p = ngx_slprintf(p, last, "{");

    for (i = 0; (row = labels->row_name(i)) != NULL; i++) {
        p = ngx_slprintf(p, last, "%s\"%V\":{", i ? "," : "", row);

        for (n = 0; n < labels->columns; n++) {
            p = ngx_slprintf(p, last, "%s\"%V\":%uL", n ? "," : "",
                             labels->column_name(n), *value++);
        }

        p = ngx_slprintf(p, last, "}");
    }

    return ngx_slprintf(p, last, "}");
}


u_char *
ngx_http_osb_metrics_prometheus(u_char *p, u_char *last,
                                ngx_http_osb_status_t *status)
{
    uint64_t              *value;
    ngx_http_osb_metric_t *metric;

    p = ngx_slprintf(p, last,
                     "# HELP opensandbox_build_info The module's version.\n"
                     "# TYPE opensandbox_build_info gauge\n"
                     "opensandbox_build_info{version=\"%V\"} 1\n",
                     &status->version);

    for (metric = ngx_http_osb_metrics; metric->key; metric++) {

        if (metric->name == NULL) {
            continue;
        }

        if (metric->help) {
            p = ngx_slprintf(p, last,
                             "# HELP opensandbox_%s %s\n"
                             "# TYPE opensandbox_%s %s\n",
                             metric->name, metric->help, metric->name,
                             metric->type);
        }

        value = (uint64_t *) ((u_char *) status + metric->offset);

        if (metric->labels == &ngx_http_osb_metrics_by_source) {
            p = ngx_http_osb_metrics_prometheus_sources(p, last, metric,
                                                        status);
            continue;
        }

        if (metric->labels) {
            p = ngx_http_osb_metrics_prometheus_table(p, last, metric, value);
            continue;
        }

        p = ngx_slprintf(p, last, "opensandbox_%s%s %uL\n", metric->name,
                         metric->label ? metric->label : "", *value);
    }

    return p;
}


static u_char *
ngx_http_osb_metrics_prometheus_sources(u_char *p, u_char *last,
                                        ngx_http_osb_metric_t *metric,
                                        ngx_http_osb_status_t *status)
{
    ngx_uint_t             i;
    ngx_http_osb_source_t *source;

    for (i = 0; i < status->nsources; i++) {
        source = &status->sources[i];

        p = ngx_slprintf(p, last, "opensandbox_%s{source=\"%*s\"} %uL\n",
                         metric->name, (size_t) source->len, source->name,
                         source->records);
    }

    return p;
}


static u_char *
ngx_http_osb_metrics_prometheus_table(u_char *p, u_char *last,
                                      ngx_http_osb_metric_t *metric,
                                      uint64_t              *value)
{
    ngx_str_t             *row;
    ngx_uint_t             i, n;
    ngx_http_osb_labels_t *labels;

    labels = metric->labels;

    for (i = 0; (row = labels->row_name(i)) != NULL; i++) {
        for (n = 0; n < labels->columns; n++) {
            p = ngx_slprintf(p, last,
                             "opensandbox_%s{%s=\"%V\",%s=\"%V\"} %uL\n",
                             metric->name, labels->row, row, labels->column,
                             labels->column_name(n), *value++);
        }
    }

    return p;
}


static ngx_str_t *
ngx_http_osb_metrics_mode(ngx_uint_t i)
{
    ngx_http_osb_mode_t *mode;

    mode = ngx_http_osb_mode((ngx_uint_t) 1 << i);

    return mode ? &mode->name : NULL;
}


static ngx_str_t *
ngx_http_osb_metrics_outcome(ngx_uint_t i)
{
    return ngx_http_osb_outcome_name(i);
}


static ngx_str_t *
ngx_http_osb_metrics_method(ngx_uint_t i)
{
    return i < NGX_HTTP_OSB_METER_METHODS ? &ngx_http_osb_meter_methods[i]
                                          : NULL;
}


static ngx_str_t *
ngx_http_osb_metrics_class(ngx_uint_t i)
{
    static ngx_str_t names[NGX_HTTP_OSB_METER_CLASSES] = {
        ngx_string("2xx"), ngx_string("3xx"), ngx_string("4xx"),
        ngx_string("5xx")};

    return &names[i];
}
