/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* The way to the lock where another process has it, and out of it. */


static void
ngx_http_osb_lock_wait(ngx_shmtx_t *mutex, ngx_uint_t n);


void
ngx_http_osb_registry_lock_busy(ngx_http_osb_zone_t *zone)
{
    ngx_uint_t n;

    for (n = 0; !ngx_shmtx_trylock(&zone->pool->mutex); n++) {
        ngx_http_osb_lock_wait(&zone->pool->mutex, n);
    }
}


/*
 * A master releases the lock for its own workers alone: in a binary upgrade it
 * may have died together with the one that has the lock.  So nobody sleeps
 * here until a process wakes him that is no more.
 */

static void
ngx_http_osb_lock_wait(ngx_shmtx_t *mutex, ngx_uint_t n)
{
    ngx_uint_t i;
    ngx_pid_t  owner;

    if (n < 11 && ngx_ncpu > 1) {
        for (i = 0; i < ((ngx_uint_t) 1 << n); i++) {
            ngx_cpu_pause();
        }

        return;
    }

    if (n % 64) {
        ngx_sched_yield();
        return;
    }

    owner = (ngx_pid_t) *mutex->lock;

    if (owner && !ngx_http_osb_process_alive(owner)) {
        (void) ngx_shmtx_force_unlock(mutex, owner);
        return;
    }

    (void) usleep(500);
}


void
ngx_http_osb_registry_unlock(ngx_http_osb_zone_t *zone)
{
    ngx_shmtx_unlock(&zone->pool->mutex);
}
