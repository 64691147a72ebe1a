/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What the configuration declares becomes the registry's: first goes what is
 * declared no more, then comes what there is room for, and of the rest at least
 * what it takes away.  The rest is tried again while the configuration is in
 * force.
 */


/* the declared ids: heads of chains, and each record's next one, from 1 */
typedef struct {
    uint32_t               *heads;
    uint32_t               *next;
    ngx_uint_t              mask;
    ngx_http_osb_record_t **records;
} ngx_http_osb_declared_ids_t;


static ngx_int_t
ngx_http_osb_declared_ids_init(ngx_http_osb_declared_ids_t *names,
                               ngx_http_osb_record_t **records, ngx_uint_t n,
                               ngx_pool_t *pool);
static ngx_uint_t
ngx_http_osb_declared_ids_have(ngx_http_osb_declared_ids_t *names,
                               ngx_str_t                   *id);
static void
ngx_http_osb_declared_sweep(ngx_http_osb_zone_t         *zone,
                            ngx_http_osb_declared_ids_t *names, u_char *buf);
static ngx_int_t
ngx_http_osb_declared_come(ngx_http_osb_zone_t    *zone,
                           ngx_http_osb_record_t **records, ngx_uint_t n);
static ngx_int_t
ngx_http_osb_declared_put(ngx_http_osb_zone_t   *zone,
                          ngx_http_osb_record_t *record);
static ngx_uint_t
ngx_http_osb_declared_due(ngx_http_osb_zone_t   *zone,
                          ngx_http_osb_record_t *record);


ngx_int_t
ngx_http_osb_registry_declare(ngx_http_osb_zone_t    *zone,
                              ngx_http_osb_record_t **records, ngx_uint_t n,
                              ngx_log_t *log)
{
    u_char                     *buf;
    ngx_int_t                   rc;
    ngx_str_t                   id;
    ngx_pool_t                 *pool;
    ngx_http_osb_declared_ids_t names;

    pool = ngx_create_pool(4096, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    buf = ngx_palloc(pool, NGX_HTTP_OSB_WALK_SIZE);

    if (buf == NULL ||
        ngx_http_osb_declared_ids_init(&names, records, n, pool) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    zone->epoch = ++zone->shared->epoch;
    zone->shared->declarer =
        (ngx_process == NGX_PROCESS_WORKER) ? ngx_parent : ngx_pid;

    ngx_http_osb_declared_sweep(zone, &names, buf);

    ngx_destroy_pool(pool);

    /* what comes late may leave room: those that wait are tried twice */

    rc = ngx_http_osb_declared_come(zone, records, n);

    if (rc != NGX_BUSY) {
        rc = ngx_http_osb_declared_come(zone, records, zone->waiting);
    }

    zone->shared->waiting = zone->waiting;

    if (rc == NGX_BUSY || zone->waiting == 0) {
        return NGX_OK;
    }

    id = ngx_http_osb_text(records[0], &records[0]->id);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "opensandbox_zone \"%V\" has no room for %ui of the declared "
                  "sandboxes, \"%V\" is one; make it larger, or delete others",
                  &zone->shm_zone->shm.name, zone->waiting, &id);

    return NGX_ERROR;
}


void
ngx_http_osb_registry_declare_waiting(ngx_http_osb_zone_t    *zone,
                                      ngx_http_osb_record_t **records,
                                      ngx_uint_t limit, ngx_log_t *log)
{
    ngx_uint_t             i, last;
    ngx_http_osb_record_t *record;

    /* another process of this configuration has put them all */

    if (zone->shared->waiting == 0) {
        zone->waiting = 0;
        return;
    }

    last = ngx_min(zone->waiting, limit);

    for (i = last; i > 0; i--) {
        record = records[i - 1];

        /* the last one that waits takes the place of what waits no more */

        if (!ngx_http_osb_declared_due(zone, record) ||
            ngx_http_osb_declared_put(zone, record) == NGX_OK)
        {
            zone->waiting--;
            records[i - 1] = records[zone->waiting];
            records[zone->waiting] = record;
        }
    }

    /* the turn of those behind them */

    for (i = 0; i < last && last + i < zone->waiting; i++) {
        record = records[i];
        records[i] = records[zone->waiting - 1 - i];
        records[zone->waiting - 1 - i] = record;
    }

    zone->shared->waiting = zone->waiting;

    if (zone->waiting == 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "opensandbox_zone \"%V\" has all declared sandboxes",
                      &zone->shm_zone->shm.name);
    }
}


/* Puts the records; those that there is no room for wait, the first ones. */

static ngx_int_t
ngx_http_osb_declared_come(ngx_http_osb_zone_t    *zone,
                           ngx_http_osb_record_t **records, ngx_uint_t n)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_osb_record_t *record;

    zone->waiting = 0;

    for (i = 0; i < n; i++) {
        record = records[i];
        record->declared = 1;

        rc = ngx_http_osb_declared_put(zone, record);

        if (rc == NGX_BUSY) {
            return NGX_BUSY;
        }

        if (rc == NGX_ERROR) {
            records[i] = records[zone->waiting];
            records[zone->waiting++] = record;
        }
    }

    return NGX_OK;
}


/* NGX_OK, NGX_BUSY, or NGX_ERROR if there is no room for the record. */

static ngx_int_t
ngx_http_osb_declared_put(ngx_http_osb_zone_t   *zone,
                          ngx_http_osb_record_t *record)
{
    ngx_int_t              rc;
    ngx_str_t              id;
    ngx_http_osb_whole_t   copy;
    ngx_http_osb_record_t *old;

    if (ngx_http_osb_registry_same(zone, record)) {
        return NGX_OK;
    }

    id = ngx_http_osb_text(record, &record->id);

    do {
        rc = ngx_http_osb_registry_get(zone, &id, &copy.record);
        old = (rc == NGX_OK) ? &copy.record : NULL;

        rc = ngx_http_osb_registry_swap(zone, &id, old, record);
    } while (rc == NGX_DECLINED);

    return rc == NGX_DONE ? NGX_ERROR : rc;
}


/*
 * Whether the record waits still: none of its id has been put meanwhile, by
 * another process or by the API.
 */

static ngx_uint_t
ngx_http_osb_declared_due(ngx_http_osb_zone_t   *zone,
                          ngx_http_osb_record_t *record)
{
    ngx_str_t           id;
    ngx_http_osb_copy_t copy;

    id = ngx_http_osb_text(record, &record->id);

    return ngx_http_osb_registry_route(zone, &id, &copy.record, sizeof(copy)) !=
               NGX_OK ||
           copy.record.epoch != zone->epoch;
}


/* Deletes what an earlier configuration declared and the present one lacks. */

static void
ngx_http_osb_declared_sweep(ngx_http_osb_zone_t         *zone,
                            ngx_http_osb_declared_ids_t *names, u_char *buf)
{
    ngx_str_t              id;
    ngx_http_osb_walk_t    walk;
    ngx_http_osb_record_t *record;

    ngx_http_osb_walk_start(&walk, zone, buf);

    while ((record = ngx_http_osb_walk_next(&walk)) != NULL) {
        id = ngx_http_osb_text(record, &record->id);

        if (record->declared && !ngx_http_osb_declared_ids_have(names, &id)) {
            (void) ngx_http_osb_registry_swap(zone, &id, record, NULL);
        }
    }
}


static ngx_int_t
ngx_http_osb_declared_ids_init(ngx_http_osb_declared_ids_t *names,
                               ngx_http_osb_record_t **records, ngx_uint_t n,
                               ngx_pool_t *pool)
{
    ngx_str_t  id;
    ngx_uint_t i, at;

    for (i = 64; i < n; i *= 2) { /* void */
    }

    names->mask = i - 1;
    names->records = records;
    names->heads = ngx_pcalloc(pool, i * sizeof(uint32_t));
    names->next = ngx_palloc(pool, (n + 1) * sizeof(uint32_t));

    if (names->heads == NULL || names->next == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        id = ngx_http_osb_text(records[i], &records[i]->id);
        at = ngx_murmur_hash2(id.data, id.len) & names->mask;

        names->next[i] = names->heads[at];
        names->heads[at] = (uint32_t) i + 1;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_osb_declared_ids_have(ngx_http_osb_declared_ids_t *names,
                               ngx_str_t                   *id)
{
    uint32_t  i;
    ngx_str_t own;

    i = names->heads[ngx_murmur_hash2(id->data, id->len) & names->mask];

    for (/* void */; i; i = names->next[i - 1]) {
        own = ngx_http_osb_text(names->records[i - 1],
                                &names->records[i - 1]->id);

        if (ngx_memn2cmp(own.data, id->data, own.len, id->len) == 0) {
            return 1;
        }
    }

    return 0;
}
