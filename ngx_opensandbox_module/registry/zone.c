/* SPDX-License-Identifier: Apache-2.0 */

#include "conf.h"
#include "inner.h"

#include <sys/random.h>


/*
 * The zone's life: laid out, taken over from the configuration or binary
 * before, filled with what the configuration declares.
 */


#define NGX_HTTP_OSB_ZONE_TICK 1000 /* milliseconds */

/* declared records that are tried again in a tick */
#define NGX_HTTP_OSB_ZONE_TRIES 256


static ngx_int_t
ngx_http_osb_zone_layout(ngx_http_osb_zone_t *zone);
static ngx_int_t
ngx_http_osb_zone_inherit(ngx_http_osb_zone_t     *zone,
                          ngx_http_osb_previous_t *previous);
static ngx_int_t
ngx_http_osb_zone_carry(ngx_http_osb_zone_t *from, ngx_http_osb_zone_t *to,
                        ngx_log_t *log);
static ngx_int_t
ngx_http_osb_zone_carry_part(ngx_http_osb_zone_t *to, ngx_uint_t declared,
                             ngx_http_osb_walk_t *walk);
static void
ngx_http_osb_zone_tick(ngx_event_t *ev);
static ngx_uint_t
ngx_http_osb_zone_deserted(ngx_http_osb_zone_t *zone);


static ngx_event_t      ngx_http_osb_zone_event;
static ngx_connection_t ngx_http_osb_zone_dummy;


ngx_int_t
ngx_http_osb_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_osb_zone_t *old = data;

    ngx_int_t               rc;
    ngx_http_osb_zone_t    *zone;
    ngx_http_osb_previous_t previous;

    zone = shm_zone->data;
    zone->recover = ngx_http_osb_recover;

    if (old) {
        zone->pool = old->pool;
        zone->shared = old->shared;
        zone->memory = ngx_http_osb_memory_share(old->memory);
        return NGX_OK;
    }

    rc = ngx_http_osb_memory_open(shm_zone, &zone->memory, &previous);

    zone->pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (rc == NGX_OK) {
        zone->shared = zone->pool->data;

        ngx_log_error(NGX_LOG_NOTICE, shm_zone->shm.log, 0,
                      "opensandbox_zone \"%V\" is shared with the old binary, "
                      "%ui records",
                      &shm_zone->shm.name, zone->shared->nrecords);
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_osb_zone_layout(zone);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_osb_zone_inherit(zone, &previous);
    }

    ngx_http_osb_memory_leave(&previous);

    return rc;
}


static ngx_int_t
ngx_http_osb_zone_layout(ngx_http_osb_zone_t *zone)
{
    size_t                 size;
    ngx_uint_t             n;
    ngx_http_osb_shared_t *shared;

    shared = ngx_slab_calloc(zone->pool, sizeof(ngx_http_osb_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    /* a record takes some 200 bytes: two a bucket in a full zone */

    for (n = 64; n * 512 <= zone->shm_zone->shm.size; n *= 2) { /* void */
    }

    size = n * sizeof(uint32_t);

    shared->start = (u_char *) zone->pool;

    if (getrandom(&shared->seed, sizeof(shared->seed), GRND_NONBLOCK) !=
        sizeof(shared->seed))
    {
        shared->seed = (uint32_t) (ngx_time() ^ ngx_pid);
    }

    shared->mask = n - 1;
    shared->buckets = ngx_slab_calloc(zone->pool, size);
    if (shared->buckets == NULL) {
        return NGX_ERROR;
    }

    /* a zone has 16 pages at least, so there is room for a whole lean record */

    shared->room = ngx_min(
        NGX_HTTP_OSB_RECORD_MAX,
        ngx_align(zone->shm_zone->shm.size / 16, NGX_HTTP_OSB_RECORD_SIZE));
    shared->journal = ngx_slab_alloc(zone->pool, shared->room);
    if (shared->journal == NULL) {
        return NGX_ERROR;
    }

    shared->reserve = ngx_min(zone->pool->pfree / 32, 256);

    ngx_http_osb_tree_init(shared);
    ngx_http_osb_source_init(shared);

    /* a full zone is reported by those who fill it */
    zone->pool->log_nomem = 0;

    zone->pool->data = shared;
    zone->shared = shared;
    zone->fresh = 1;

    return NGX_OK;
}


/* Takes over what the zone had in memory that it cannot go on with. */

static ngx_int_t
ngx_http_osb_zone_inherit(ngx_http_osb_zone_t     *zone,
                          ngx_http_osb_previous_t *previous)
{
    ngx_log_t          *log;
    ngx_http_osb_zone_t from;

    if (previous->header == NULL) {
        return NGX_OK;
    }

    log = zone->shm_zone->shm.log;

    /* changes would be lost from here on */

    ngx_http_osb_memory_move(zone->memory, previous);

    if (previous->addr == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&from, sizeof(ngx_http_osb_zone_t));

    from.pool = (ngx_slab_pool_t *) previous->addr;
    from.shared = from.pool->data;
    from.recover = ngx_http_osb_recover;

    if (from.shared == NULL) {
        return NGX_OK;
    }

    zone->fresh = 0;

    return ngx_http_osb_zone_carry(&from, zone, log);
}


static ngx_int_t
ngx_http_osb_zone_carry(ngx_http_osb_zone_t *from, ngx_http_osb_zone_t *to,
                        ngx_log_t *log)
{
    u_char             *buf;
    ngx_int_t           rc;
    ngx_uint_t          declared;
    ngx_http_osb_walk_t walk;

    buf = ngx_alloc(NGX_HTTP_OSB_WALK_SIZE, log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    /* what its workers decided before it was marked */
    ngx_http_osb_batch_finish(from);

    to->shared->epoch = from->shared->epoch;
    to->shared->generation = from->shared->generation;

    ngx_http_osb_source_carry(from->shared, to->shared);

    rc = NGX_OK;

    /*
     * Those of the API first: what the configuration declares is declared once
     * more, and it may be what is to go.
     */

    for (declared = 0; rc == NGX_OK && declared < 2; declared++) {
        ngx_http_osb_walk_start(&walk, from, buf);
        rc = ngx_http_osb_zone_carry_part(to, declared, &walk);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "opensandbox_zone \"%V\" is too small for the %ui "
                      "records that it has: sandbox \"%V\" does not fit",
                      &to->shm_zone->shm.name, from->shared->nrecords,
                      &walk.at);
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "opensandbox_zone \"%V\" takes %ui records into other "
                      "memory",
                      &to->shm_zone->shm.name, to->shared->nrecords);
    }

    ngx_free(buf);

    return rc;
}


/*
 * Puts those that are declared, as far as there is room, or the others, which
 * must fit; the walk then stands at the one that does not.
 */

static ngx_int_t
ngx_http_osb_zone_carry_part(ngx_http_osb_zone_t *to, ngx_uint_t declared,
                             ngx_http_osb_walk_t *walk)
{
    ngx_http_osb_record_t *record;

    while ((record = ngx_http_osb_walk_next(walk)) != NULL) {

        if (record->declared == declared &&
            ngx_http_osb_registry_put(to, record) != NGX_OK && !declared)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_osb_zone_init_process(ngx_http_osb_zone_t *zone, ngx_log_t *log)
{
    ngx_event_t *ev;

    if (ngx_worker != 0) {
        return;
    }

    ev = &ngx_http_osb_zone_event;

    ngx_http_osb_zone_dummy.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_osb_zone_tick;
    ev->data = &ngx_http_osb_zone_dummy;
    ev->log = log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_OSB_ZONE_TICK);
}


static void
ngx_http_osb_zone_tick(ngx_event_t *ev)
{
    ngx_http_osb_zone_t      *zone;
    ngx_http_osb_main_conf_t *omcf;

    ngx_add_timer(ev, NGX_HTTP_OSB_ZONE_TICK);

    omcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_opensandbox_module);

    if (omcf == NULL || omcf->zone == NULL || ngx_exiting) {
        return;
    }

    zone = omcf->zone;

    if (zone->memory && ngx_http_osb_zone_deserted(zone)) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "opensandbox_zone \"%V\": the new binary has ended, the "
                      "records of this configuration are declared again",
                      &zone->shm_zone->shm.name);

        (void) ngx_http_osb_registry_declare(zone, omcf->declared.elts,
                                             omcf->declared.nelts, ev->log);
        return;
    }

    ngx_http_osb_batch_adopt(zone);

    if (zone->waiting && zone->epoch == zone->shared->epoch) {
        ngx_http_osb_registry_declare_waiting(zone, omcf->declared.elts,
                                              NGX_HTTP_OSB_ZONE_TRIES, ev->log);
    }
}


/* Whether the declared records are those of a binary that is gone. */

static ngx_uint_t
ngx_http_osb_zone_deserted(ngx_http_osb_zone_t *zone)
{
    ngx_pid_t              declarer;
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;
    declarer = (ngx_pid_t) shared->declarer;

    return shared->epoch != zone->epoch && declarer != ngx_parent &&
           !ngx_http_osb_process_alive(declarer) &&
           ngx_atomic_cmp_set(&shared->declarer, declarer, ngx_parent);
}
