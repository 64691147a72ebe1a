/* SPDX-License-Identifier: Apache-2.0 */

#include "meters.h"


/*
 * Each worker counts in a slot of its own, so that no cache line is written by
 * two.  A slot outlives its worker: the next one goes on counting in it, and
 * what the dead one had open is forgotten.
 */


typedef struct ngx_http_osb_slot_s ngx_http_osb_slot_t;

struct ngx_http_osb_slot_s {
    ngx_http_osb_slot_t  *next;
    ngx_pid_t             pid;
    ngx_http_osb_meters_t meters;
};


static ngx_int_t
ngx_http_osb_meters_handler(ngx_http_request_t *r);
static void
ngx_http_osb_meters_api(ngx_http_request_t *r);


ngx_str_t ngx_http_osb_meter_modes[] = {ngx_string("uri"), ngx_string("header"),
                                        ngx_string("host")};

ngx_str_t ngx_http_osb_meter_methods[] = {
    ngx_string("GET"),   ngx_string("POST"),   ngx_string("PUT"),
    ngx_string("PATCH"), ngx_string("DELETE"), ngx_string("other")};


/* where a process counts that has no slot */
static ngx_http_osb_slot_t  ngx_http_osb_no_slot;
static ngx_http_osb_slot_t *ngx_http_osb_slot = &ngx_http_osb_no_slot;


ngx_int_t
ngx_http_osb_meters_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *h;
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_osb_meters_handler;

    return NGX_OK;
}


void
ngx_http_osb_meters_init_process(ngx_http_osb_zone_t *zone, ngx_log_t *log)
{
    ngx_http_osb_slot_t   *slot;
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;

    ngx_http_osb_registry_lock(zone);

    for (slot = shared->slots; slot; slot = slot->next) {
        if (slot->pid == ngx_pid || !ngx_http_osb_process_alive(slot->pid)) {
            break;
        }
    }

    if (slot == NULL) {
        slot = ngx_slab_calloc_locked(zone->pool, sizeof(ngx_http_osb_slot_t));
        if (slot) {
            slot->next = shared->slots;
            ngx_memory_barrier();
            shared->slots = slot;
        }
    }

    if (slot && slot->pid != ngx_pid) {
        slot->pid = ngx_pid;
        slot->meters.tunnels = 0;
        slot->meters.streams = 0;
    }

    ngx_http_osb_registry_unlock(zone);

    if (slot == NULL) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "opensandbox_zone \"%V\" is full: a worker's requests "
                      "are not counted",
                      &zone->shm_zone->shm.name);
        slot = &ngx_http_osb_no_slot;
    }

    ngx_http_osb_slot = slot;
}


ngx_http_osb_meters_t *
ngx_http_osb_meters(void)
{
    return &ngx_http_osb_slot->meters;
}


void
ngx_http_osb_meters_sum(ngx_http_osb_zone_t *zone, ngx_http_osb_meters_t *sum)
{
    uint64_t            *from, *to, tunnels, streams;
    ngx_uint_t           i;
    ngx_http_osb_slot_t *slot;

    ngx_memzero(sum, sizeof(ngx_http_osb_meters_t));

    to = (uint64_t *) sum;
    tunnels = 0;
    streams = 0;

    for (slot = zone->shared->slots; slot; slot = slot->next) {
        from = (uint64_t *) &slot->meters;

        for (i = 0; i < sizeof(ngx_http_osb_meters_t) / sizeof(*to); i++) {
            to[i] += from[i];
        }

        if (ngx_http_osb_process_alive(slot->pid)) {
            tunnels += slot->meters.tunnels;
            streams += slot->meters.streams;
        }
    }

    sum->tunnels = tunnels;
    sum->streams = streams;
}


static ngx_int_t
ngx_http_osb_meters_handler(ngx_http_request_t *r)
{
    ngx_uint_t             mode;
    ngx_http_osb_ctx_t    *ctx;
    ngx_http_osb_meters_t *meters;

    if (r->content_handler == ngx_http_osb_api_handler) {
        ngx_http_osb_meters_api(r);
        return NGX_OK;
    }

    ctx = ngx_http_osb_own_ctx(r);
    if (ctx == NULL) {
        return NGX_OK;
    }

    meters = ngx_http_osb_meters();

    /* nginx may have answered before the route was followed */

    if (ctx->record == NULL && ctx->status == NGX_HTTP_OSB_OK) {
        return NGX_OK;
    }

    for (mode = 0; mode < NGX_HTTP_OSB_METER_MODES; mode++) {
        if (ctx->mode == (ngx_uint_t) NGX_HTTP_OSB_MODE_URI << mode) {
            meters->requests[mode][ngx_http_osb_outcome(ctx)]++;
            break;
        }
    }

    return NGX_OK;
}


static void
ngx_http_osb_meters_api(ngx_http_request_t *r)
{
    ngx_uint_t i, class;

    for (i = 0; i < NGX_HTTP_OSB_METER_METHODS - 1; i++) {
        if (ngx_http_osb_meter_methods[i].len == r->method_name.len &&
            ngx_strncmp(ngx_http_osb_meter_methods[i].data, r->method_name.data,
                        r->method_name.len) == 0)
        {
            break;
        }
    }

    /* what was never answered was the client's doing */

    class = r->headers_out.status / 100;

    if (class < 2 || class > 5) {
        class = 4;
    }

    ngx_http_osb_meters()->api[i][class - 2]++;
}
