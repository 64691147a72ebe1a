/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


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


ngx_str_t ngx_http_osb_meter_methods[] = {
    ngx_string("GET"),   ngx_string("POST"),   ngx_string("PUT"),
    ngx_string("PATCH"), ngx_string("DELETE"), ngx_string("other")};


/* where a process counts that has no slot */
static ngx_http_osb_slot_t  ngx_http_osb_no_slot;
static ngx_http_osb_slot_t *ngx_http_osb_slot = &ngx_http_osb_no_slot;


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
        ngx_memzero(&slot->meters.open, sizeof(slot->meters.open));
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
    uint64_t            *from, *to;
    ngx_uint_t           i, n;
    ngx_http_osb_slot_t *slot;

    ngx_memzero(sum, sizeof(ngx_http_osb_meters_t));

    to = (uint64_t *) sum;

    for (slot = zone->shared->slots; slot; slot = slot->next) {
        from = (uint64_t *) &slot->meters;

        n = ngx_http_osb_process_alive(slot->pid)
                ? sizeof(ngx_http_osb_meters_t)
                : offsetof(ngx_http_osb_meters_t, open);

        for (i = 0; i < n / sizeof(uint64_t); i++) {
            to[i] += from[i];
        }
    }
}
