/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_api.h"


/*
 * What the gateway counts: JSON, or Prometheus text for who accepts
 * text/plain, as Prometheus does, or asks with "?format=prometheus".
 */


typedef struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t    value;
} ngx_http_opensandbox_gauge_t;


enum {
    NGX_HTTP_OPENSANDBOX_GAUGES = 5,
    NGX_HTTP_OPENSANDBOX_STATUS_ROW = 16
};


static ngx_uint_t
ngx_http_opensandbox_wants_text(ngx_http_request_t *r);
static json_t *
ngx_http_opensandbox_status_json(ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_gauge_t  *gauges);
static ngx_int_t
ngx_http_opensandbox_status_text(ngx_http_request_t            *r,
                                 ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_gauge_t  *gauges);


static ngx_uint_t ngx_http_opensandbox_mode_rows[] = {
    NGX_HTTP_OPENSANDBOX_MODE_URI, NGX_HTTP_OPENSANDBOX_MODE_HEADER,
    NGX_HTTP_OPENSANDBOX_MODE_HOST, 0};


ngx_int_t
ngx_http_opensandbox_count(ngx_http_request_t *r)
{
    ngx_uint_t                        row;
    ngx_http_opensandbox_ctx_t       *ctx;
    ngx_http_opensandbox_main_conf_t *omcf;

    ctx = ngx_http_opensandbox_known_ctx(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    for (row = 0; ngx_http_opensandbox_mode_rows[row]; row++) {
        if (ngx_http_opensandbox_mode_rows[row] == ctx->mode) {
            break;
        }
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    (void) ngx_atomic_fetch_add(
        &omcf->zone->shared
             ->stats[row * NGX_HTTP_OPENSANDBOX_STATUS_ROW + ctx->status],
        1);

    return NGX_OK;
}


ngx_int_t
ngx_http_opensandbox_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_http_opensandbox_zone_t      *zone;
    ngx_http_opensandbox_main_conf_t *omcf;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);
    zone = omcf->zone;

    ngx_http_opensandbox_gauge_t gauges[NGX_HTTP_OPENSANDBOX_GAUGES] = {
        {"records", "gauge", "Sandboxes in the zone.", zone->shared->nrecords},
        {"tunnels", "gauge", "Upgraded connections that are open.",
         zone->shared->tunnels},
        {"changes", "counter", "Changes of records.", zone->shared->changes},
        {"zone_size_bytes", "gauge", "Shared memory of the zone.",
         zone->shm_zone->shm.size},
        {"zone_free_bytes", "gauge", "Whole pages of it that are free.",
         zone->pool->pfree * ngx_pagesize},
    };

    if (ngx_http_opensandbox_wants_text(r)) {
        return ngx_http_opensandbox_status_text(r, zone->shared, gauges);
    }

    return ngx_http_opensandbox_api_send(
        r, NGX_HTTP_OK, ngx_http_opensandbox_status_json(zone->shared, gauges));
}


static ngx_uint_t
ngx_http_opensandbox_wants_text(ngx_http_request_t *r)
{
    ngx_str_t        value;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    static ngx_str_t accept = ngx_string("accept");

    if (ngx_http_arg(r, (u_char *) "format", 6, &value) == NGX_OK) {
        return value.len == 10 &&
               ngx_strncmp(value.data, "prometheus", 10) == 0;
    }

    h = ngx_http_opensandbox_header(r, &accept, &n);

    return h && (ngx_strlcasestrn(h->value.data, h->value.data + h->value.len,
                                  (u_char *) "text/plain", 10 - 1) ||
                 ngx_strlcasestrn(h->value.data, h->value.data + h->value.len,
                                  (u_char *) "openmetrics", 11 - 1));
}


static json_t *
ngx_http_opensandbox_status_json(ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_gauge_t  *gauges)
{
    json_t    *object, *requests, *mode;
    ngx_str_t *name;
    uint64_t   count;
    ngx_uint_t i, row, status;

    object = json_object();
    requests = json_object();

    for (i = 0; i < NGX_HTTP_OPENSANDBOX_GAUGES; i++) {
        (void) json_object_set_new(object, gauges[i].name,
                                   json_integer((json_int_t) gauges[i].value));
    }

    for (row = 0; ngx_http_opensandbox_mode_rows[row]; row++) {
        mode = json_object();

        for (status = 0; status < NGX_HTTP_OPENSANDBOX_STATUSES; status++) {
            count =
                shared->stats[row * NGX_HTTP_OPENSANDBOX_STATUS_ROW + status];
            name = ngx_http_opensandbox_status_name(status);

            if (count) {
                (void) json_object_setn_new(mode, (char *) name->data,
                                            name->len,
                                            json_integer((json_int_t) count));
            }
        }

        (void) json_object_set_new(
            requests,
            ngx_http_opensandbox_mode_text(ngx_http_opensandbox_mode_rows[row]),
            mode);
    }

    (void) json_object_set_new(object, "requests", requests);

    return object;
}


static ngx_int_t
ngx_http_opensandbox_status_text(ngx_http_request_t            *r,
                                 ngx_http_opensandbox_shared_t *shared,
                                 ngx_http_opensandbox_gauge_t  *gauges)
{
    u_char    *p, *last;
    ngx_str_t  type;
    ngx_uint_t i, row, status;

    ngx_http_complex_value_t cv;

    enum {
        size = 8192
    };

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = ngx_pnalloc(r->pool, size);
    if (cv.value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = cv.value.data;
    last = p + size;

    for (i = 0; i < NGX_HTTP_OPENSANDBOX_GAUGES; i++) {
        p = ngx_slprintf(p, last,
                         "# HELP opensandbox_%s %s\n# TYPE opensandbox_%s %s\n"
                         "opensandbox_%s %uL\n",
                         gauges[i].name, gauges[i].help, gauges[i].name,
                         gauges[i].type, gauges[i].name, gauges[i].value);
    }

    p = ngx_slprintf(p, last,
                     "# HELP opensandbox_requests Requests by outcome.\n"
                     "# TYPE opensandbox_requests counter\n");

    for (row = 0; ngx_http_opensandbox_mode_rows[row]; row++) {
        for (status = 0; status < NGX_HTTP_OPENSANDBOX_STATUSES; status++) {
            p = ngx_slprintf(
                p, last,
                "opensandbox_requests{mode=\"%s\",status=\"%V\"} %uA\n",
                ngx_http_opensandbox_mode_text(
                    ngx_http_opensandbox_mode_rows[row]),
                ngx_http_opensandbox_status_name(status),
                shared->stats[row * NGX_HTTP_OPENSANDBOX_STATUS_ROW + status]);
        }
    }

    cv.value.len = (size_t) (p - cv.value.data);

    ngx_str_set(&type, "text/plain; version=0.0.4");

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}
