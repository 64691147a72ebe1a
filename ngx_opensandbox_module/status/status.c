/* SPDX-License-Identifier: Apache-2.0 */

#include "status.h"
#include "api/api.h"
#include "version.h"


/* what one answer tells */
typedef struct {
    ngx_http_osb_zone_t  *zone;
    ngx_http_osb_meters_t meters;
    ngx_uint_t            records;
    ngx_uint_t            ready;
    ngx_uint_t            changes;
    ngx_uint_t            waiting;
    size_t                size;
    size_t                used;
} ngx_http_osb_status_t;


static ngx_int_t
ngx_http_osb_status_format(ngx_http_request_t *r, ngx_uint_t *prometheus);
static void
ngx_http_osb_status_read(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_status_json(u_char *p, u_char *last,
                         ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_status_prometheus(u_char *p, u_char *last,
                               ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_status_calls(u_char *p, u_char *last,
                          ngx_http_osb_status_t *status);
static u_char *
ngx_http_osb_status_number(u_char *p, u_char *last, const char *name,
                           const char *type, const char *help, uint64_t value);
static u_char *
ngx_http_osb_status_metric(u_char *p, u_char *last, const char *name,
                           const char *type, const char *help);


/* the most that either form takes, without the zone's name */
#define NGX_HTTP_OSB_STATUS_SIZE 16384


static const char *ngx_http_osb_renew_names[] = {"sent", "dropped", "failed"};


ngx_int_t
ngx_http_osb_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_uint_t                prometheus;
    ngx_chain_t               out;
    ngx_http_osb_status_t     status;
    ngx_http_osb_main_conf_t *omcf;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_osb_status_format(r, &prometheus) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    ngx_http_osb_status_read(omcf->zone, &status);

    b = ngx_create_temp_buf(r->pool,
                            NGX_HTTP_OSB_STATUS_SIZE +
                                6 * omcf->zone->shm_zone->shm.name.len);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (prometheus) {
        b->last = ngx_http_osb_status_prometheus(b->last, b->end, &status);
        ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4");

    } else {
        b->last = ngx_http_osb_status_json(b->last, b->end, &status);
        ngx_str_set(&r->headers_out.content_type, "application/json");
    }

    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* The argument decides; without one, what a Prometheus server accepts. */

static ngx_int_t
ngx_http_osb_status_format(ngx_http_request_t *r, ngx_uint_t *prometheus)
{
    u_char          *last;
    ngx_str_t        value;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    static ngx_str_t accept = ngx_string("accept");

    if (ngx_http_osb_api_arg(r, "format", &value) == NGX_OK) {
        *prometheus =
            (value.len == 10 && ngx_strncmp(value.data, "prometheus", 10) == 0);

        if (*prometheus ||
            (value.len == 4 && ngx_strncmp(value.data, "json", 4) == 0)) {
            return NGX_OK;
        }

        return NGX_ERROR;
    }

    *prometheus = 0;

    h = ngx_http_osb_header_find(r, &accept, &n);

    if (h) {
        value = h->value;
        last = value.data + value.len;

        *prometheus =
            ngx_strlcasestrn(value.data, last, (u_char *) "application/json",
                             16 - 1) == NULL &&
            (ngx_strlcasestrn(value.data, last, (u_char *) "text/plain",
                              10 - 1) ||
             ngx_strlcasestrn(value.data, last,
                              (u_char *) "application/openmetrics-text",
                              28 - 1));
    }

    return NGX_OK;
}


static void
ngx_http_osb_status_read(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_status_t *status)
{
    size_t           free, slot;
    ngx_uint_t       i, n;
    ngx_slab_pool_t *pool;

    pool = zone->pool;

    ngx_http_osb_registry_lock(zone);

    status->records = zone->shared->nrecords;
    status->ready = zone->shared->nready;
    status->changes = zone->shared->changes;
    status->waiting = zone->shared->waiting;

    /* whole free pages, and free places in the others */

    free = pool->pfree * ngx_pagesize;

    slot = pool->min_size;
    n = ngx_pagesize_shift - pool->min_shift;

    for (i = 0; i < n; i++, slot <<= 1) {
        free += (pool->stats[i].total - pool->stats[i].used) * slot;
    }

    ngx_http_osb_registry_unlock(zone);

    status->zone = zone;
    status->size = zone->shm_zone->shm.size;
    status->used = status->size - free;

    ngx_http_osb_meters_sum(zone, &status->meters);
}


static u_char *
ngx_http_osb_status_json(u_char *p, u_char *last, ngx_http_osb_status_t *status)
{
    ngx_str_t           *name;
    ngx_uint_t           i, n;
    ngx_http_osb_mode_t *mode;

    p = ngx_slprintf(p, last,
                     "{\"version\":\"" OPENSANDBOX_VERSION "\","
                     "\"sandboxes\":{\"total\":%ui,\"ready\":%ui,"
                     "\"notReady\":%ui},"
                     "\"declared\":{\"waiting\":%ui},\"requests\":{",
                     status->records, status->ready,
                     status->records - status->ready, status->waiting);

    for (i = 0; (mode = ngx_http_osb_mode((ngx_uint_t) 1 << i)) != NULL; i++) {
        p = ngx_slprintf(p, last, "%s\"%V\":{", i ? "," : "", &mode->name);

        for (n = 0; n < NGX_HTTP_OSB_STATUSES; n++) {
            p = ngx_slprintf(p, last, "%s\"%V\":%uL", n ? "," : "",
                             ngx_http_osb_outcome_name(n),
                             status->meters.requests[i][n]);
        }

        p = ngx_slprintf(p, last, "}");
    }

    p = ngx_slprintf(p, last, "},\"tunnels\":{\"open\":%uL,\"total\":%uL}",
                     status->meters.tunnels, status->meters.upgrades);
    p = ngx_slprintf(p, last, ",\"eventStreams\":{\"open\":%uL}",
                     status->meters.streams);

    p = ngx_slprintf(p, last, ",\"changes\":%ui,\"api\":{", status->changes);

    for (i = 0; i < NGX_HTTP_OSB_METER_METHODS; i++) {
        p = ngx_slprintf(p, last, "%s\"%V\":{", i ? "," : "",
                         &ngx_http_osb_meter_methods[i]);

        for (n = 0; n < NGX_HTTP_OSB_METER_CLASSES; n++) {
            p = ngx_slprintf(p, last, "%s\"%uixx\":%uL", n ? "," : "", n + 2,
                             status->meters.api[i][n]);
        }

        p = ngx_slprintf(p, last, "}");
    }

    p = ngx_slprintf(p, last, "},\"renewIntents\":{");

    for (i = 0; i < NGX_HTTP_OSB_RENEWS; i++) {
        p = ngx_slprintf(p, last, "%s\"%s\":%uL", i ? "," : "",
                         ngx_http_osb_renew_names[i], status->meters.renews[i]);
    }

    p = ngx_slprintf(p, last, "},\"zone\":{\"name\":\"");

    name = &status->zone->shm_zone->shm.name;
    p = (u_char *) ngx_escape_json(p, name->data, name->len);

    return ngx_slprintf(p, last, "\",\"bytes\":%uz,\"used\":%uz}}\n",
                        status->size, status->used);
}


static u_char *
ngx_http_osb_status_prometheus(u_char *p, u_char *last,
                               ngx_http_osb_status_t *status)
{
    ngx_uint_t           i, n;
    ngx_http_osb_mode_t *mode;

    p = ngx_http_osb_status_metric(p, last, "build_info", "gauge",
                                   "The module's version.");
    p = ngx_slprintf(p, last,
                     "opensandbox_build_info{version=\"" OPENSANDBOX_VERSION
                     "\"} 1\n");

    p = ngx_http_osb_status_metric(p, last, "sandboxes", "gauge",
                                   "Sandboxes with a record.");
    p = ngx_slprintf(p, last,
                     "opensandbox_sandboxes{state=\"ready\"} %ui\n"
                     "opensandbox_sandboxes{state=\"not_ready\"} %ui\n",
                     status->ready, status->records - status->ready);

    p = ngx_http_osb_status_number(
        p, last, "declared_waiting", "gauge",
        "Sandboxes that the configuration declares and the zone has no room "
        "for.",
        status->waiting);

    p = ngx_http_osb_status_metric(
        p, last, "requests_total", "counter",
        "Requests routed, by routing mode and by what became of them.");

    for (i = 0; (mode = ngx_http_osb_mode((ngx_uint_t) 1 << i)) != NULL; i++) {
        for (n = 0; n < NGX_HTTP_OSB_STATUSES; n++) {
            p = ngx_slprintf(p, last,
                             "opensandbox_requests_total{mode=\"%V\","
                             "status=\"%V\"} %uL\n",
                             &mode->name, ngx_http_osb_outcome_name(n),
                             status->meters.requests[i][n]);
        }
    }

    p = ngx_http_osb_status_number(
        p, last, "tunnels", "gauge",
        "Upgraded connections that are open, WebSockets mostly.",
        status->meters.tunnels);
    p = ngx_http_osb_status_number(p, last, "tunnels_opened_total", "counter",
                                   "Upgraded connections.",
                                   status->meters.upgrades);
    p = ngx_http_osb_status_number(
        p, last, "event_streams", "gauge",
        "Answers of server-sent events that are open.", status->meters.streams);
    p = ngx_http_osb_status_number(
        p, last, "record_changes_total", "counter",
        "Changes of records, by the API or by configuration.", status->changes);

    p = ngx_http_osb_status_calls(p, last, status);

    p = ngx_http_osb_status_number(p, last, "zone_bytes", "gauge",
                                   "Size of the shared memory zone.",
                                   status->size);

    return ngx_http_osb_status_number(p, last, "zone_used_bytes", "gauge",
                                      "Bytes of the zone in use.",
                                      status->used);
}


/* What came in through the API, and what went out to Redis. */

static u_char *
ngx_http_osb_status_calls(u_char *p, u_char *last,
                          ngx_http_osb_status_t *status)
{
    ngx_uint_t i, n;

    p = ngx_http_osb_status_metric(
        p, last, "api_requests_total", "counter",
        "Calls of the management API, by method and by class of answer.");

    for (i = 0; i < NGX_HTTP_OSB_METER_METHODS; i++) {
        for (n = 0; n < NGX_HTTP_OSB_METER_CLASSES; n++) {
            p = ngx_slprintf(p, last,
                             "opensandbox_api_requests_total{method=\"%V\","
                             "code=\"%uixx\"} %uL\n",
                             &ngx_http_osb_meter_methods[i], n + 2,
                             status->meters.api[i][n]);
        }
    }

    p = ngx_http_osb_status_metric(
        p, last, "renew_intents_total", "counter",
        "Renew intents: taken by Redis, dropped as the queue was full, "
        "refused by Redis.");

    for (i = 0; i < NGX_HTTP_OSB_RENEWS; i++) {
        p = ngx_slprintf(p, last,
                         "opensandbox_renew_intents_total{result=\"%s\"} "
                         "%uL\n",
                         ngx_http_osb_renew_names[i], status->meters.renews[i]);
    }

    return p;
}


/* A metric of one value. */

static u_char *
ngx_http_osb_status_number(u_char *p, u_char *last, const char *name,
                           const char *type, const char *help, uint64_t value)
{
    p = ngx_http_osb_status_metric(p, last, name, type, help);

    return ngx_slprintf(p, last, "opensandbox_%s %uL\n", name, value);
}


static u_char *
ngx_http_osb_status_metric(u_char *p, u_char *last, const char *name,
                           const char *type, const char *help)
{
    return ngx_slprintf(p, last,
                        "# HELP opensandbox_%s %s\n"
                        "# TYPE opensandbox_%s %s\n",
                        name, help, name, type);
}
