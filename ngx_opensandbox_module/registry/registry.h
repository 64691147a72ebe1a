/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_REGISTRY_REGISTRY_H_INCLUDED_
#define _NGX_HTTP_OSB_REGISTRY_REGISTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "record/record.h"
#include "route/route.h"


/* what nodes and their pieces are multiples of, and stand at multiples of */
#define NGX_HTTP_OSB_NODE_UNIT 16

/* links have 32 bits and count units */
#define NGX_HTTP_OSB_ZONE_MAX ((uint64_t) NGX_HTTP_OSB_NODE_UNIT << 32)


/* "api", "include", and the names that feeders have */
#define NGX_HTTP_OSB_SOURCES 34


/* a source of records */
typedef struct {
    u_char   name[NGX_HTTP_OSB_SOURCE_LEN];
    uint32_t len; /* 0: the slot is free */

    /* arrays of all its records: the last that came, and the last taken */
    uint32_t asked;
    uint32_t taken;

    uint32_t batch; /* a link to the one that is taken now; or 0 */
    uint64_t records;
    int64_t  fed; /* in whole, unix seconds; 0: not since the zone is there */
} ngx_http_osb_source_t;


/*
 * What the workers share, in the zone.  Those of another binary share it too:
 * it holds no address of code, and a change of its meaning is a new version
 * of the layout, see registry/memory.c.
 */
typedef struct {
    u_char      *start;   /* of the memory, whence links count */
    uint32_t    *buckets; /* links to nodes, see registry/inner.h */
    ngx_uint_t   mask;
    uint32_t     root;
    uint32_t     seed; /* of the tree's shape */
    uint64_t     generation;
    uint32_t     epoch;    /* of the declared records */
    ngx_atomic_t declarer; /* the master they are from */
    ngx_uint_t   nrecords;
    ngx_uint_t   nready;

    /* declared records that there is no room for */
    ngx_uint_t waiting;

    /* pages that only a change takes which revokes */
    ngx_uint_t reserve;

    /* a change is under way; if its worker died, see registry/recover.c */
    ngx_uint_t changing;

    /*
     * The record that is being written over the one of a node, whole, and the
     * node's link: 0 but at that time.
     */
    u_char  *journal;
    size_t   room; /* of it */
    uint32_t rewriting;

    /* a link to the first batch */
    uint32_t batches;

    ngx_http_osb_source_t sources[NGX_HTTP_OSB_SOURCES];

    /* grows with every change of a policy, and when a sandbox goes */
    uint32_t editions;

    /* grows with every change of a record */
    ngx_atomic_t changes;

    /* those of them that the state file has */
    ngx_atomic_t saved;

    /* when it was logged that the file cannot be written; 0 if it can */
    ngx_atomic_t trouble;

    /* of the workers' counters, see status/meters.c */
    struct ngx_http_osb_slot_s *slots;
} ngx_http_osb_shared_t;


typedef struct ngx_http_osb_memory_s ngx_http_osb_memory_t;
typedef struct ngx_http_osb_zone_s   ngx_http_osb_zone_t;


struct ngx_http_osb_zone_s {
    ngx_shm_zone_t        *shm_zone;
    ngx_slab_pool_t       *pool;
    ngx_http_osb_shared_t *shared;
    ngx_http_osb_memory_t *memory; /* NULL if it is nginx's own */

    /* repairs what a process left that died with the lock; it is held */
    void (*recover)(ngx_http_osb_zone_t *zone);

    ngx_str_t state;

    /* when this configuration's records were declared */
    uint32_t epoch;

    /* those of them, the first ones, that there was no room for */
    ngx_uint_t waiting;

    /* nothing has been in it yet */
    ngx_uint_t fresh;
};


/* room for any record without its policy */
typedef union {
    ngx_http_osb_record_t record;
    u_char                space[NGX_HTTP_OSB_RECORD_SIZE];
} ngx_http_osb_copy_t;


/* room for any record */
typedef union {
    ngx_http_osb_record_t record;
    u_char                space[NGX_HTTP_OSB_RECORD_MAX];
} ngx_http_osb_whole_t;


/* records on their way into the registry together, see batch_open() */
typedef struct {
    ngx_http_osb_zone_t *zone;
    uint32_t             link; /* to its part in the zone, or 0 */
    ngx_uint_t           committed;
    ngx_uint_t           replaced; /* records that were there before */
    ngx_uint_t           skipped; /* not taken: they are another source's now */
    uint32_t             order;   /* of a source that is fed in whole */
} ngx_http_osb_batch_t;


/*
 * Lays out a new zone, or adopts one that an earlier configuration or binary
 * filled; data is that configuration's zone, or NULL.  A zone of another size
 * takes the records over; NGX_ERROR if it has no room for them.  An
 * ngx_shm_zone_init_pt.
 */
ngx_int_t
ngx_http_osb_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/*
 * Copies a sandbox's record into the buffer, which has room for
 * NGX_HTTP_OSB_RECORD_MAX bytes.  The id is in lower case.  Returns
 * NGX_OK, or NGX_DECLINED if there is none.
 */
ngx_int_t
ngx_http_osb_registry_get(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                          ngx_http_osb_record_t *buf);

/*
 * The same without the policy, which no request needs; NGX_AGAIN if the buffer
 * has not room enough, which NGX_HTTP_OSB_RECORD_SIZE bytes are.
 */
ngx_int_t
ngx_http_osb_registry_route(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                            ngx_http_osb_record_t *buf, size_t room);

/*
 * Inserts or replaces a record that was there before, in a file or in another
 * zone, and sets what the registry sets of it; it may have the reserve too.
 * Returns NGX_OK, or NGX_ERROR if the zone is full, or NGX_BUSY if the records
 * are in another zone by now; then nothing has changed.
 */
ngx_int_t
ngx_http_osb_registry_put(ngx_http_osb_zone_t   *zone,
                          ngx_http_osb_record_t *record);

/*
 * How a record stands to the one of its id: NGX_DECLINED if there is none,
 * NGX_OK if it is the same but for what the registry sets, NGX_AGAIN if it is
 * another, NGX_ABORT if that is another source's.
 */
ngx_int_t
ngx_http_osb_registry_compare(ngx_http_osb_zone_t   *zone,
                              ngx_http_osb_record_t *record);

/*
 * Many records, all or none, without keeping others from the zone for long:
 * they get their room by batch_add(), which nobody sees; batch_commit() decides
 * that they come, and batch_publish() has the next of them come, until it
 * returns NGX_OK.  If the process dies, others do the rest of what it
 * committed, and take back what it did not.
 *
 * batch_remove() has the record go, which is in the zone, if it still is the
 * same then.  A record that another source has put meanwhile stays.
 *
 * batch_claim(), before any record, says that these are all changes that make
 * the source's records the given ones: NGX_AGAIN while another batch does that,
 * NGX_DECLINED if one that came later has done it, NGX_ERROR if there is no
 * slot for the source.
 *
 * All return NGX_OK or NGX_ERROR, if the zone is full; commit NGX_BUSY, as
 * above; publish and abort NGX_AGAIN if there is more.
 */
ngx_int_t
ngx_http_osb_batch_open(ngx_http_osb_batch_t *batch, ngx_http_osb_zone_t *zone);
ngx_int_t
ngx_http_osb_batch_claim(ngx_http_osb_batch_t *batch, ngx_str_t *source);
ngx_int_t
ngx_http_osb_batch_add(ngx_http_osb_batch_t  *batch,
                       ngx_http_osb_record_t *record);
ngx_int_t
ngx_http_osb_batch_remove(ngx_http_osb_batch_t  *batch,
                          ngx_http_osb_record_t *record);
ngx_int_t
ngx_http_osb_batch_commit(ngx_http_osb_batch_t *batch);

ngx_int_t
ngx_http_osb_batch_publish(ngx_http_osb_batch_t *batch);

/* Takes back the next ones of a batch that is not committed. */
ngx_int_t
ngx_http_osb_batch_abort(ngx_http_osb_batch_t *batch);

/* After all that, whichever way it went. */
void
ngx_http_osb_batch_close(ngx_http_osb_batch_t *batch);

/* All that is left to do: publishes it or takes it back, and closes it. */
void
ngx_http_osb_batch_end(ngx_http_osb_batch_t *batch);

/*
 * Replaces the sandbox's record if it still is byte for byte the old one, NULL
 * meaning that there is none; a new one of NULL deletes it.  Returns NGX_OK,
 * NGX_DECLINED if the record has changed, NGX_BUSY as above; NGX_ERROR if the
 * zone is full; NGX_DONE if it is and the new record takes something away: it
 * has not been put, but the old one gives that to nobody any more, the sandbox
 * is not ready, or its policy gone.
 */
ngx_int_t
ngx_http_osb_registry_swap(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                           ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record);

/* Makes sure that there is a slot for a source: NGX_OK, or NGX_ERROR. */
ngx_int_t
ngx_http_osb_registry_source(ngx_http_osb_zone_t *zone, ngx_str_t *name);

/*
 * Copies the sources, or the one of that name, to the list, which has room for
 * NGX_HTTP_OSB_SOURCES; returns how many.
 */
ngx_uint_t
ngx_http_osb_registry_sources(ngx_http_osb_zone_t *zone, ngx_str_t *name,
                              ngx_http_osb_source_t *list);

/* The edition of the sandbox's policy; NGX_DECLINED if there is no sandbox. */
ngx_int_t
ngx_http_osb_registry_edition(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                              uint32_t *edition);

/*
 * Notes that a renew intent is sent now, unless one was less than min_interval
 * seconds ago: then returns its time.  Returns 0 if it is noted, now if there
 * is no such record.
 */
time_t
ngx_http_osb_registry_renew(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                            time_t now, time_t min_interval);

/* what a walk copies out at a time: at least one record, and mostly many */
#define NGX_HTTP_OSB_WALK_SIZE 65536


/* a walk over all records; buf is the caller's, of NGX_HTTP_OSB_WALK_SIZE */
typedef struct {
    ngx_http_osb_zone_t   *zone;
    u_char                *buf;
    ngx_http_osb_record_t *next;
    ngx_uint_t             ready; /* records in buf that are to come */
    ngx_str_t              at;    /* the id of the last one, which is in id */
    u_char                 id[NGX_HTTP_OSB_ID_LEN];
} ngx_http_osb_walk_t;


/*
 * Begins with the first record in the byte order of ids.  To begin behind some
 * id, copy it to walk->id, and its length to walk->at.len, after that.
 */
void
ngx_http_osb_walk_start(ngx_http_osb_walk_t *walk, ngx_http_osb_zone_t *zone,
                        u_char *buf);

/* The next record, until the next call, in the buffer; NULL behind the last. */
ngx_http_osb_record_t *
ngx_http_osb_walk_next(ngx_http_osb_walk_t *walk);

/*
 * Makes the records those that the configuration declares, next to the others.
 * Records that an earlier configuration declared, and this one does not, go
 * first.  Those that there is no room for come to be the first of the array,
 * as many as zone->waiting says, and the result is NGX_ERROR; what they would
 * have taken away from older ones of their ids is taken.
 */
ngx_int_t
ngx_http_osb_registry_declare(ngx_http_osb_zone_t    *zone,
                              ngx_http_osb_record_t **records, ngx_uint_t n,
                              ngx_log_t *log);

/*
 * The lock of the zone and of its slab pool.  It is taken from a process that
 * died with it, also where nobody else is there to do that.
 */
void
ngx_http_osb_registry_lock_busy(ngx_http_osb_zone_t *zone);
void
ngx_http_osb_registry_unlock(ngx_http_osb_zone_t *zone);

/*
 * Nearly always it is free, and each request takes it.  Who has it sees the
 * records whole.
 */

static ngx_inline void
ngx_http_osb_registry_lock(ngx_http_osb_zone_t *zone)
{
    ngx_atomic_t *lock;

    lock = zone->pool->mutex.lock;

    if (*lock || !ngx_atomic_cmp_set(lock, 0, ngx_pid)) {
        ngx_http_osb_registry_lock_busy(zone);
    }

    if (zone->shared->changing) {
        zone->recover(zone);
    }
}


/*
 * Declares the records of this worker's configuration again should a newer
 * binary, which has declared its own, end; a part of init process.
 */
void
ngx_http_osb_zone_init_process(ngx_http_osb_zone_t *zone, ngx_log_t *log);


/*
 * Gives a reference up.  If the move from other memory was not confirmed, it
 * has not happened.
 */
void
ngx_http_osb_memory_release(ngx_http_osb_memory_t *memory);

/*
 * The configuration with this memory is in force, the first of its process or
 * a later one; memory may be NULL.
 */
void
ngx_http_osb_memory_confirm(ngx_http_osb_memory_t *memory, ngx_uint_t first);

/* What is not a master needs the mapping alone. */
void
ngx_http_osb_memory_init_process(ngx_http_osb_memory_t *memory);

/* Whether the records are elsewhere now; memory may be NULL. */
ngx_uint_t
ngx_http_osb_memory_superseded(ngx_http_osb_memory_t *memory);

/* Whether a process is there; the pid may be of any user. */
ngx_uint_t
ngx_http_osb_process_alive(ngx_pid_t pid);


#endif /* _NGX_HTTP_OSB_REGISTRY_REGISTRY_H_INCLUDED_ */
