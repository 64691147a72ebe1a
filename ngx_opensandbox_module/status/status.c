/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "api/api.h"
#include "version.h"


static ngx_int_t
ngx_http_osb_status_format(ngx_http_request_t *r, ngx_uint_t *prometheus);
static void
ngx_http_osb_status_read(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_status_t *status);


ngx_int_t
ngx_http_osb_status_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;

    static ngx_str_t allow = ngx_string("GET, HEAD");
    static ngx_str_t no_store = ngx_string("no-store");

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_osb_header_add(r, "Allow", &allow) == NGX_OK
                   ? NGX_HTTP_NOT_ALLOWED
                   : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_osb_page_answer(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_http_osb_header_add(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_osb_status_send(r);
}


ngx_int_t
ngx_http_osb_status_send(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_uint_t                prometheus;
    ngx_chain_t               out;
    ngx_http_osb_status_t     status;
    ngx_http_osb_main_conf_t *omcf;

    static ngx_str_t accept = ngx_string("Accept");

    if (ngx_http_osb_status_format(r, &prometheus) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_http_osb_header_add(r, "Vary", &accept) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    ngx_http_osb_status_read(omcf->zone, &status);

    b = ngx_create_temp_buf(r->pool,
                            NGX_HTTP_OSB_METRICS_SIZE +
                                6 * omcf->zone->shm_zone->shm.name.len);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (prometheus) {
        b->last = ngx_http_osb_metrics_prometheus(b->last, b->end, &status);
        ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4");

    } else {
        b->last = ngx_http_osb_metrics_json(b->last, b->end, &status);
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
    status->not_ready = status->records - status->ready;
    status->waiting = zone->shared->waiting;
    status->changes = zone->shared->changes;

    /* whole free pages, and free places in the others */

    free = pool->pfree * ngx_pagesize;

    slot = pool->min_size;
    n = ngx_pagesize_shift - pool->min_shift;

    for (i = 0; i < n; i++, slot <<= 1) {
        free += (pool->stats[i].total - pool->stats[i].used) * slot;
    }

    ngx_http_osb_registry_unlock(zone);

    ngx_str_set(&status->version, OPENSANDBOX_VERSION);

    status->zone = zone->shm_zone->shm.name;
    status->size = zone->shm_zone->shm.size;
    status->used = status->size - free;

    status->nsources =
        ngx_http_osb_registry_sources(zone, NULL, status->sources);

    ngx_http_osb_meters_sum(zone, &status->meters);
}
