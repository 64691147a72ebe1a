/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Requests are counted without a lock, in sets of four by a hash of the id: of
 * more sandboxes than there is room for, the one that was quiet for longest
 * gives its place.  A tunnel has a place of its own with its worker's pid, so
 * that those of a worker that died count no more.
 */


#define NGX_HTTP_OSB_SETS  16384
#define NGX_HTTP_OSB_WAYS  4
#define NGX_HTTP_OSB_OPEN  16384
#define NGX_HTTP_OSB_TRIED 256 /* places for a tunnel */

#define NGX_HTTP_OSB_ACTIVITY_SIZE (2 * 1024 * 1024)


typedef struct {
    uint32_t     hash; /* 0: free */
    uint32_t     seen; /* seconds */
    ngx_atomic_t requests;
} ngx_http_osb_busy_t;


/* a place among the open tunnels */
struct ngx_http_osb_open_s {
    ngx_atomic_t pid; /* its worker's; 0: free */
    uint64_t     hash;
};


typedef struct {
    ngx_http_osb_busy_t  busy[NGX_HTTP_OSB_SETS][NGX_HTTP_OSB_WAYS];
    ngx_http_osb_open_t  open[NGX_HTTP_OSB_OPEN];
    ngx_http_osb_event_t events[NGX_HTTP_OSB_EVENTS];
    ngx_uint_t           nevents;
} ngx_http_osb_activity_t;


static ngx_int_t
ngx_http_osb_activity_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_http_osb_activity_t *
ngx_http_osb_activity(ngx_slab_pool_t **pool);
static uint64_t
ngx_http_osb_activity_hash(ngx_str_t *id);
static ngx_uint_t
ngx_http_osb_activity_alive(ngx_atomic_uint_t pid);
static int ngx_libc_cdecl
ngx_http_osb_activity_later(const void *one, const void *two);


typedef char
    ngx_http_osb_activity_fits_t[sizeof(ngx_http_osb_activity_t) <
                                         NGX_HTTP_OSB_ACTIVITY_SIZE - 128 * 1024
                                     ? 1
                                     : -1];


char *
ngx_http_osb_activity_zone(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_str_t                 own;
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    own.len = name->len + 9;
    own.data = ngx_pnalloc(cf->pool, own.len);
    if (own.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_sprintf(own.data, "%V_activity", name);

    omcf->activity = ngx_shared_memory_add(cf, &own, NGX_HTTP_OSB_ACTIVITY_SIZE,
                                           &ngx_http_opensandbox_module);
    if (omcf->activity == NULL) {
        return NGX_CONF_ERROR;
    }

    omcf->activity->init = ngx_http_osb_activity_init;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_osb_activity_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t *pool;

    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data == NULL && !shm_zone->shm.exists) {
        pool->data = ngx_slab_calloc(pool, sizeof(ngx_http_osb_activity_t));
        if (pool->data == NULL) {
            return NGX_ERROR;
        }
    }

    shm_zone->data = pool->data;

    return NGX_OK;
}


/* That of the configuration which this process has. */

static ngx_http_osb_activity_t *
ngx_http_osb_activity(ngx_slab_pool_t **pool)
{
    ngx_http_conf_ctx_t      *http;
    ngx_http_osb_main_conf_t *omcf;

    http = (ngx_http_conf_ctx_t *) ngx_cycle->conf_ctx[ngx_http_module.index];
    omcf = http->main_conf[ngx_http_opensandbox_module.ctx_index];

    *pool = (ngx_slab_pool_t *) omcf->activity->shm.addr;

    return omcf->activity->data;
}


static uint64_t
ngx_http_osb_activity_hash(ngx_str_t *id)
{
    uint32_t low;

    low = ngx_murmur_hash2(id->data, id->len);

    return (uint64_t) ngx_crc32_short(id->data, id->len) << 32 |
           (low ? low : 1);
}


void
ngx_http_osb_activity_request(ngx_str_t *id)
{
    uint64_t                 hash;
    ngx_uint_t               i;
    ngx_slab_pool_t         *pool;
    ngx_http_osb_busy_t     *busy, *quiet;
    ngx_http_osb_activity_t *activity;

    activity = ngx_http_osb_activity(&pool);
    hash = ngx_http_osb_activity_hash(id);
    busy = activity->busy[(hash >> 32) % NGX_HTTP_OSB_SETS];
    quiet = busy;

    for (i = 0; i < NGX_HTTP_OSB_WAYS; i++) {

        if (busy[i].hash == (uint32_t) hash) {
            break;
        }

        if (busy[i].seen < quiet->seen) {
            quiet = &busy[i];
        }
    }

    if (i < NGX_HTTP_OSB_WAYS) {
        quiet = &busy[i];

    } else {
        quiet->hash = (uint32_t) hash;
        quiet->requests = 0;
    }

    quiet->seen = (uint32_t) ngx_time();
    (void) ngx_atomic_fetch_add(&quiet->requests, 1);
}


ngx_http_osb_open_t *
ngx_http_osb_activity_open(ngx_str_t *id)
{
    uint64_t                 hash;
    ngx_uint_t               i;
    ngx_slab_pool_t         *pool;
    ngx_atomic_uint_t        pid;
    ngx_http_osb_open_t     *open;
    ngx_http_osb_activity_t *activity;

    activity = ngx_http_osb_activity(&pool);
    hash = ngx_http_osb_activity_hash(id);

    for (i = 0; i < NGX_HTTP_OSB_TRIED; i++) {
        open = &activity->open[((hash >> 32) + i) % NGX_HTTP_OSB_OPEN];
        pid = open->pid;

        if (!ngx_http_osb_activity_alive(pid) &&
            ngx_atomic_cmp_set(&open->pid, pid, ngx_pid))
        {
            open->hash = hash;
            return open;
        }
    }

    return NULL;
}


/* The kernel is asked of workers but our own, and once a second of each. */

static ngx_uint_t
ngx_http_osb_activity_alive(ngx_atomic_uint_t pid)
{
    static time_t            then;
    static ngx_atomic_uint_t known;

    if (pid == 0) {
        return 0;
    }

    if (pid == (ngx_atomic_uint_t) ngx_pid ||
        (pid == known && then == ngx_time())) {
        return 1;
    }

    if (!ngx_http_osb_process_alive((ngx_pid_t) pid)) {
        return 0;
    }

    known = pid;
    then = ngx_time();

    return 1;
}


void
ngx_http_osb_activity_close(ngx_http_osb_open_t *open)
{
    if (open) {
        open->hash = 0;
        ngx_memory_barrier();
        open->pid = 0;
    }
}


void
ngx_http_osb_activity_read(ngx_str_t *id, ngx_http_osb_live_t *live)
{
    uint64_t                 hash;
    ngx_uint_t               i;
    ngx_slab_pool_t         *pool;
    ngx_http_osb_open_t     *open;
    ngx_http_osb_busy_t     *busy;
    ngx_http_osb_activity_t *activity;

    activity = ngx_http_osb_activity(&pool);
    hash = ngx_http_osb_activity_hash(id);
    busy = activity->busy[(hash >> 32) % NGX_HTTP_OSB_SETS];

    live->requests = 0;
    live->tunnels = 0;

    for (i = 0; i < NGX_HTTP_OSB_WAYS; i++) {
        if (busy[i].hash == (uint32_t) hash) {
            live->requests = busy[i].requests;
            break;
        }
    }

    for (i = 0; i < NGX_HTTP_OSB_TRIED; i++) {
        open = &activity->open[((hash >> 32) + i) % NGX_HTTP_OSB_OPEN];

        if (open->hash == hash && ngx_http_osb_activity_alive(open->pid)) {
            live->tunnels++;
        }
    }
}


void
ngx_http_osb_activity_note(ngx_http_osb_event_t *event)
{
    time_t                   now;
    ngx_uint_t               i;
    ngx_slab_pool_t         *pool;
    ngx_http_osb_event_t    *at, *oldest;
    ngx_http_osb_activity_t *activity;

    activity = ngx_http_osb_activity(&pool);
    now = ngx_time();

    ngx_shmtx_lock(&pool->mutex);

    oldest = activity->events;
    at = oldest;

    for (i = 0; i < activity->nevents; i++) {
        at = &activity->events[i];

        if (at->host_len == event->host_len && at->id_len == event->id_len &&
            ngx_memcmp(at->host, event->host, event->host_len) == 0 &&
            ngx_memcmp(at->id, event->id, event->id_len) == 0)
        {
            break;
        }

        if (at->last < oldest->last) {
            oldest = at;
        }
    }

    if (i == activity->nevents) {

        at = i < NGX_HTTP_OSB_EVENTS ? &activity->events[activity->nevents++]
                                     : oldest;
        *at = *event;
        at->count = 0;
        at->first = now;
    }

    at->count++;
    at->last = now;
    at->pending = event->pending;

    ngx_shmtx_unlock(&pool->mutex);
}


ngx_uint_t
ngx_http_osb_activity_events(ngx_str_t *id, ngx_http_osb_event_t *list)
{
    ngx_uint_t               i, n;
    ngx_slab_pool_t         *pool;
    ngx_http_osb_event_t    *at;
    ngx_http_osb_activity_t *activity;

    activity = ngx_http_osb_activity(&pool);
    n = 0;

    ngx_shmtx_lock(&pool->mutex);

    for (i = 0; i < activity->nevents; i++) {
        at = &activity->events[i];

        if (id->len == 0 ||
            ngx_memn2cmp(at->id, id->data, at->id_len, id->len) == 0) {
            list[n++] = *at;
        }
    }

    ngx_shmtx_unlock(&pool->mutex);

    ngx_qsort(list, n, sizeof(ngx_http_osb_event_t),
              ngx_http_osb_activity_later);

    return n;
}


static int ngx_libc_cdecl
ngx_http_osb_activity_later(const void *one, const void *two)
{
    const ngx_http_osb_event_t *a = one, *b = two;

    return a->last == b->last ? 0 : a->last < b->last ? 1 : -1;
}
