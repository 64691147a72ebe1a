/* SPDX-License-Identifier: Apache-2.0 */

#include "conf.h"
#include "inner.h"

#include <pthread.h>


/*
 * Who writes the state file: of each binary's and configuration's workers the
 * first, within a tick of a change.  The others, and those that are about to
 * end, step in where nobody has written for two ticks, nor is at it, because
 * the first one is not there.  The writing is a thread's, so that no request
 * waits for the disk, or for a hundred thousand records to become JSON.  The
 * thread is a plain one: nginx's pools wake the loop in a way that is theirs
 * alone to use, and the default one has 32 threads.
 */


#define NGX_HTTP_OSB_KEEPER_TICK 400 /* milliseconds */

/* seconds between two lines on the same trouble */
#define NGX_HTTP_OSB_KEEPER_QUIET 60

/* as long, in 10 ms, does the end of a worker wait for another's writing */
#define NGX_HTTP_OSB_KEEPER_TRIES 100


typedef struct {
    ngx_event_t         event;
    ngx_connection_t    dummy;
    ngx_http_osb_save_t save;

    /* the changes that this worker has written */
    ngx_atomic_uint_t written;

    /* those that anyone has, and for how many ticks no more than that */
    ngx_atomic_uint_t saved;
    ngx_uint_t        late;

    pthread_t thread;
    unsigned  running : 1;

    ngx_atomic_t done; /* set by the thread at its end */
} ngx_http_osb_keeper_t;


static ngx_http_osb_zone_t *
ngx_http_osb_keeper_zone(void);
static void
ngx_http_osb_keeper_tick(ngx_event_t *ev);
static ngx_uint_t
ngx_http_osb_keeper_first(void);
static ngx_uint_t
ngx_http_osb_keeper_due(ngx_http_osb_zone_t *zone);
static void
ngx_http_osb_keeper_save(ngx_http_osb_zone_t *zone);
static void *
ngx_http_osb_keeper_thread(void *data);
static void
ngx_http_osb_keeper_join(void);
static void
ngx_http_osb_keeper_done(void);


static ngx_http_osb_keeper_t ngx_http_osb_keeper;


/* Of the configuration in force; NULL without a state file. */

static ngx_http_osb_zone_t *
ngx_http_osb_keeper_zone(void)
{
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_opensandbox_module);

    return (omcf && omcf->zone && omcf->zone->state.len) ? omcf->zone : NULL;
}


void
ngx_http_osb_keeper_start(ngx_log_t *log)
{
    ngx_event_t         *ev;
    ngx_http_osb_zone_t *zone;

    zone = ngx_http_osb_keeper_zone();
    if (zone == NULL) {
        return;
    }

    /* what is in the file may be another configuration's */

    ngx_http_osb_keeper.written = zone->shared->changes - 1;

    ngx_http_osb_keeper.dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_http_osb_keeper.event;

    ev->handler = ngx_http_osb_keeper_tick;
    ev->data = &ngx_http_osb_keeper.dummy;
    ev->log = log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_OSB_KEEPER_TICK);
}


void
ngx_http_osb_keeper_stop(void)
{
    ngx_http_osb_save_t *save;
    ngx_http_osb_zone_t *zone;

    save = &ngx_http_osb_keeper.save;
    zone = ngx_http_osb_keeper_zone();

    if (zone == NULL || ngx_http_osb_keeper.event.handler == NULL) {
        return;
    }

    if (ngx_http_osb_keeper.running) {
        ngx_http_osb_keeper_join();
    }

    if (zone->shared->saved == zone->shared->changes ||
        ngx_http_osb_memory_superseded(zone->memory))
    {
        return;
    }

    save->zone = zone;
    save->log = ngx_cycle->log;
    save->tries = NGX_HTTP_OSB_KEEPER_TRIES;

    ngx_http_osb_state_save(save);
    ngx_http_osb_keeper_done();
}


static void
ngx_http_osb_keeper_tick(ngx_event_t *ev)
{
    ngx_http_osb_zone_t *zone;

    ngx_add_timer(ev, NGX_HTTP_OSB_KEEPER_TICK);

    if (ngx_http_osb_keeper.running) {

        if (!ngx_http_osb_keeper.done) {
            return;
        }

        ngx_http_osb_keeper_join();
    }

    zone = ngx_http_osb_keeper_zone();

    if (zone && ngx_http_osb_keeper_due(zone)) {
        ngx_http_osb_keeper_save(zone);
    }
}


static ngx_uint_t
ngx_http_osb_keeper_first(void)
{
    return ngx_worker == 0 && !ngx_exiting;
}


static ngx_uint_t
ngx_http_osb_keeper_due(ngx_http_osb_zone_t *zone)
{
    ngx_atomic_uint_t saved, changes;

    if (ngx_http_osb_memory_superseded(zone->memory)) {
        return 0;
    }

    saved = zone->shared->saved;
    changes = zone->shared->changes;

    if (ngx_http_osb_keeper_first()) {
        return ngx_http_osb_keeper.written != changes;
    }

    if (saved == changes || saved != ngx_http_osb_keeper.saved) {
        ngx_http_osb_keeper.saved = saved;
        ngx_http_osb_keeper.late = 0;
        return 0;
    }

    return ++ngx_http_osb_keeper.late >= 2;
}


static void
ngx_http_osb_keeper_save(ngx_http_osb_zone_t *zone)
{
    int                    rc;
    sigset_t               all, old;
    ngx_http_osb_keeper_t *keeper;

    keeper = &ngx_http_osb_keeper;

    keeper->save.zone = zone;
    keeper->save.log = ngx_cycle->log;
    keeper->save.tries = ngx_http_osb_keeper_first() ? 0 : 1;
    keeper->done = 0;

    /* signals are for the loop */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = pthread_create(&keeper->thread, NULL, ngx_http_osb_keeper_thread,
                        &keeper->save);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc == 0) {
        keeper->running = 1;
        return;
    }

    /* no more threads: late requests are better than lost records */

    keeper->save.tries = 1;
    ngx_http_osb_state_save(&keeper->save);
    ngx_http_osb_keeper_done();
}


static void *
ngx_http_osb_keeper_thread(void *data)
{
    ngx_http_osb_state_save(data);

    ngx_memory_barrier();
    ngx_http_osb_keeper.done = 1;

    return NULL;
}


static void
ngx_http_osb_keeper_join(void)
{
    (void) pthread_join(ngx_http_osb_keeper.thread, NULL);
    ngx_http_osb_keeper.running = 0;

    ngx_http_osb_keeper_done();
}


/* What the writing came to. */

static void
ngx_http_osb_keeper_done(void)
{
    time_t                 now, last;
    ngx_atomic_t          *trouble;
    ngx_http_osb_save_t   *save;
    ngx_http_osb_keeper_t *keeper;

    keeper = &ngx_http_osb_keeper;
    save = &keeper->save;

    if (save->busy) {
        return;
    }

    now = ngx_time();
    trouble = &save->zone->shared->trouble;
    last = (time_t) *trouble;

    if (save->failed) {

        /* whichever worker finds it first */

        if ((last == 0 || now - last >= NGX_HTTP_OSB_KEEPER_QUIET) &&
            ngx_atomic_cmp_set(trouble, last, now))
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, save->err,
                          "cannot %s state file \"%V\", changes are in memory "
                          "alone",
                          save->failed, &save->zone->state);
        }

        return;
    }

    keeper->written = save->changes;

    if (last && ngx_atomic_cmp_set(trouble, last, 0)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "state file \"%V\" is written again", &save->zone->state);
    }
}
