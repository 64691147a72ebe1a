/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "status/status.h"
#include "wake/wake.h"


/*
 * opensandbox_wake: requests to a paused sandbox are held, and it is asked for
 * to be woken.
 *
 *     access ──► held ──► message ──► the hook wakes it, its record changes
 *       ▲                                 │
 *       └────────── awake, or gone ◄──────┘
 *
 * Those that this worker holds are by sandbox, its sleepers.  While there is
 * one, a timer looks whether any record has changed; that a sandbox was asked
 * for, by any worker, stands with its record in the zone.  Nothing of a held
 * request has been read but its header, nor has anything been sent: it goes
 * through the phases once more, as if it came then.
 */


#define NGX_HTTP_OSB_SLEEPER_TICK 25 /* milliseconds */

/* of a worker's connections, for all held requests and for one sandbox's */
#define NGX_HTTP_OSB_SLEEPER_PART  2
#define NGX_HTTP_OSB_SLEEPER_SHARE 8


struct ngx_http_osb_sleeper_s {
    ngx_str_node_t node; /* its id */
    ngx_queue_t    queue;
    ngx_queue_t    requests; /* by ctx->queue */
    ngx_uint_t     n;
    ngx_msec_t     retry; /* when it may be asked for again */
    u_char         id[NGX_HTTP_OSB_ID_LEN];
};


static ngx_http_osb_sleeper_t *
ngx_http_osb_sleeper_get(ngx_str_t *id);
static void
ngx_http_osb_sleeper_leave(ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_sleeper_wake(ngx_http_osb_sleeper_t *sleeper);
static ngx_uint_t
ngx_http_osb_sleeper_due(ngx_msec_t time);
static void
ngx_http_osb_sleeper_tick(ngx_event_t *ev);
static void
ngx_http_osb_sleeper_look(ngx_http_osb_sleeper_t *sleeper,
                          ngx_http_osb_zone_t *zone, ngx_uint_t changed,
                          ngx_queue_t *due);
static void
ngx_http_osb_sleeper_resume(ngx_http_osb_ctx_t *ctx);


static ngx_rbtree_t      ngx_http_osb_sleepers;
static ngx_rbtree_node_t ngx_http_osb_sleeper_sentinel;
static ngx_queue_t       ngx_http_osb_sleeper_queue;
static ngx_uint_t        ngx_http_osb_sleeper_n; /* requests */
static ngx_event_t       ngx_http_osb_sleeper_event;
static ngx_connection_t  ngx_http_osb_sleeper_dummy;
static ngx_atomic_uint_t ngx_http_osb_sleeper_changes;


ngx_uint_t
ngx_http_osb_sleeps(ngx_http_request_t *r, ngx_http_osb_record_t *record)
{
    ngx_http_osb_loc_conf_t *olcf;

    if (ngx_http_osb_record_serves(record)) {
        return 0;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    return olcf->wake != NULL;
}


ngx_int_t
ngx_http_osb_sleeper_hold(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_loc_conf_t *olcf;
    ngx_http_osb_sleeper_t  *sleeper;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->wake == NULL ||
        !(ctx->status == NGX_HTTP_OSB_PAUSED ||
          (ctx->slept && ctx->status == NGX_HTTP_OSB_NOT_READY)))
    {
        return NGX_DECLINED;
    }

    /* of whoever cannot be held any longer */

    ctx->advice = "Wait a moment, then load this page again.";

    if (!ctx->slept) {
        ctx->slept = 1;
        ctx->deadline = ngx_current_msec + olcf->wake->timeout;

    } else if (ngx_http_osb_sleeper_due(ctx->deadline)) {
        ctx->status = NGX_HTTP_OSB_PAUSED;
        ctx->reason = "it did not wake in time";
        return NGX_DECLINED;
    }

    sleeper = ngx_http_osb_sleeper_get(&ctx->id);

    if (sleeper == NULL) {
        ctx->reason = "too many requests wait for it";
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&sleeper->requests, &ctx->queue);
    sleeper->n++;
    ngx_http_osb_sleeper_n++;
    ngx_http_osb_meters()->open.held++;

    ctx->sleeper = sleeper;
    ngx_http_osb_ctx_cleanup(ctx, ngx_http_osb_sleeper_leave);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (ctx->status == NGX_HTTP_OSB_PAUSED &&
        ngx_http_osb_sleeper_due(sleeper->retry))
    {
        ngx_http_osb_sleeper_wake(sleeper);
    }

    return NGX_AGAIN;
}


/* The sandbox's, if there is room for another request; or NULL. */

static ngx_http_osb_sleeper_t *
ngx_http_osb_sleeper_get(ngx_str_t *id)
{
    uint32_t                hash;
    ngx_uint_t              limit;
    ngx_event_t            *ev;
    ngx_http_osb_sleeper_t *sleeper;

    ev = &ngx_http_osb_sleeper_event;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_osb_sleeper_queue);
        ngx_rbtree_init(&ngx_http_osb_sleepers, &ngx_http_osb_sleeper_sentinel,
                        ngx_str_rbtree_insert_value);

        ngx_http_osb_sleeper_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_osb_sleeper_tick;
        ev->data = &ngx_http_osb_sleeper_dummy;
        ev->log = ngx_cycle->log;
    }

    limit = ngx_cycle->connection_n;

    if (ngx_http_osb_sleeper_n >= limit / NGX_HTTP_OSB_SLEEPER_PART) {
        return NULL;
    }

    hash = ngx_murmur_hash2(id->data, id->len);
    sleeper = (ngx_http_osb_sleeper_t *) ngx_str_rbtree_lookup(
        &ngx_http_osb_sleepers, id, hash);

    if (sleeper) {
        return sleeper->n < limit / NGX_HTTP_OSB_SLEEPER_SHARE ? sleeper : NULL;
    }

    sleeper = ngx_alloc(sizeof(ngx_http_osb_sleeper_t), ngx_cycle->log);
    if (sleeper == NULL) {
        return NULL;
    }

    ngx_memcpy(sleeper->id, id->data, id->len);
    sleeper->node.str.data = sleeper->id;
    sleeper->node.str.len = id->len;
    sleeper->node.node.key = hash;

    sleeper->n = 0;
    sleeper->retry = ngx_current_msec;

    ngx_queue_init(&sleeper->requests);
    ngx_queue_insert_tail(&ngx_http_osb_sleeper_queue, &sleeper->queue);
    ngx_rbtree_insert(&ngx_http_osb_sleepers, &sleeper->node.node);

    if (!ev->timer_set) {

        /* a record that was read has come by a change */

        ngx_http_osb_sleeper_changes = 0;
        ngx_add_timer(ev, NGX_HTTP_OSB_SLEEPER_TICK);
    }

    return sleeper;
}


static void
ngx_http_osb_sleeper_leave(ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_sleeper_t *sleeper;

    sleeper = ctx->sleeper;

    if (sleeper == NULL) {
        return;
    }

    ngx_queue_remove(&ctx->queue);
    ctx->sleeper = NULL;

    ngx_http_osb_sleeper_n--;
    ngx_http_osb_meters()->open.held--;

    if (--sleeper->n == 0) {
        ngx_queue_remove(&sleeper->queue);
        ngx_rbtree_delete(&ngx_http_osb_sleepers, &sleeper->node.node);
        ngx_free(sleeper);
    }
}


/* Has it woken, unless a worker did so less than an interval ago. */

static void
ngx_http_osb_sleeper_wake(ngx_http_osb_sleeper_t *sleeper)
{
    time_t                    now, last, interval;
    ngx_queue_t              *q;
    ngx_http_osb_ctx_t       *ctx;
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    sleeper->retry = ngx_current_msec + NGX_HTTP_OSB_SLEEPER_TICK;

    if (!ngx_http_osb_wake_room()) {
        return;
    }

    q = ngx_queue_head(&sleeper->requests);
    ctx = ngx_queue_data(q, ngx_http_osb_ctx_t, queue);

    olcf =
        ngx_http_get_module_loc_conf(ctx->request, ngx_http_opensandbox_module);
    omcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_opensandbox_module);

    now = ngx_time();

    /* both times are rounded down: what lies between is never less */

    interval = olcf->wake->interval + 1;

    last = ngx_http_osb_registry_renew(omcf->zone, &sleeper->node.str, now,
                                       interval);

    if (last == 0) {
        last = now;
        ngx_http_osb_wake_send(olcf->wake, &sleeper->node.str, ctx->route.port);
    }

    sleeper->retry += (ngx_msec_t) (last + interval - now) * 1000;
}


static ngx_uint_t
ngx_http_osb_sleeper_due(ngx_msec_t time)
{
    return (ngx_msec_int_t) (time - ngx_current_msec) <= 0;
}


static void
ngx_http_osb_sleeper_tick(ngx_event_t *ev)
{
    ngx_queue_t              *q, due;
    ngx_uint_t                changed;
    ngx_atomic_uint_t         changes;
    ngx_http_osb_ctx_t       *ctx;
    ngx_http_osb_sleeper_t   *sleeper;
    ngx_http_osb_main_conf_t *omcf;

    if (ngx_queue_empty(&ngx_http_osb_sleeper_queue)) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_OSB_SLEEPER_TICK);

    q = ngx_queue_head(&ngx_http_osb_sleeper_queue);
    sleeper = ngx_queue_data(q, ngx_http_osb_sleeper_t, queue);
    q = ngx_queue_head(&sleeper->requests);
    ctx = ngx_queue_data(q, ngx_http_osb_ctx_t, queue);

    omcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_opensandbox_module);

    /* before the records are looked at, so that no change is missed */

    changes = omcf->zone->shared->changes;
    changed = (changes != ngx_http_osb_sleeper_changes);
    ngx_http_osb_sleeper_changes = changes;

    ngx_queue_init(&due);

    for (q = ngx_queue_head(&ngx_http_osb_sleeper_queue);
         q != ngx_queue_sentinel(&ngx_http_osb_sleeper_queue);
         q = ngx_queue_next(q))
    {
        sleeper = ngx_queue_data(q, ngx_http_osb_sleeper_t, queue);
        ngx_http_osb_sleeper_look(sleeper, omcf->zone, changed, &due);
    }

    /* one's way may be the end of others, which then leave by themselves */

    while (!ngx_queue_empty(&due)) {
        q = ngx_queue_head(&due);
        ngx_http_osb_sleeper_resume(
            ngx_queue_data(q, ngx_http_osb_ctx_t, queue));
    }
}


/* Finds those of a sandbox that need not wait any more. */

static void
ngx_http_osb_sleeper_look(ngx_http_osb_sleeper_t *sleeper,
                          ngx_http_osb_zone_t *zone, ngx_uint_t changed,
                          ngx_queue_t *due)
{
    ngx_uint_t             asleep, retry;
    ngx_queue_t           *q, *next;
    ngx_http_osb_ctx_t    *ctx;
    ngx_http_osb_copy_t    copy;
    ngx_http_osb_record_t *record;

    record = &copy.record;
    record->generation = 0;
    record->state = NGX_HTTP_OSB_STATE_RUNNING;

    asleep = 1;
    retry = ngx_http_osb_sleeper_due(sleeper->retry);

    if (changed || retry) {
        asleep =
            ngx_http_osb_registry_route(zone, &sleeper->node.str, record,
                                        sizeof(copy)) == NGX_OK &&
            record->expires > ngx_time() &&
            (record->state == NGX_HTTP_OSB_STATE_PAUSED ||
             (record->state == NGX_HTTP_OSB_STATE_RUNNING && !record->ready));
    }

    for (q = ngx_queue_head(&sleeper->requests);
         q != ngx_queue_sentinel(&sleeper->requests); q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_osb_ctx_t, queue);

        /* another generation may admit others */

        if (!asleep || ngx_http_osb_sleeper_due(ctx->deadline) ||
            (record->generation &&
             record->generation != ctx->record->generation))
        {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(due, q);
        }
    }

    if (retry && asleep && record->state == NGX_HTTP_OSB_STATE_PAUSED &&
        !ngx_queue_empty(&sleeper->requests))
    {
        ngx_http_osb_sleeper_wake(sleeper);
    }
}


static void
ngx_http_osb_sleeper_resume(ngx_http_osb_ctx_t *ctx)
{
    ngx_connection_t   *c;
    ngx_http_request_t *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_osb_sleeper_leave(ctx);

    ctx->status = NGX_HTTP_OSB_OK;
    ctx->reason = NULL;
    ctx->advice = NULL;
    ctx->record = NULL;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}
