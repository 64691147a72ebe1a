/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_REGISTRY_MEMORY_H_INCLUDED_
#define _NGX_HTTP_OSB_REGISTRY_MEMORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_OSB_LAYOUT 24


/*
 * The page behind a zone's memory: what another binary must know before it
 * touches the rest.  Magic and superseded keep their places for ever.
 */
typedef struct {
    u_char magic[8];

    /* the master process that has moved the records elsewhere, or 0 */
    ngx_atomic_t superseded;

    uint64_t address;
    uint64_t size;
    uint32_t layout[NGX_HTTP_OSB_LAYOUT];
} ngx_http_osb_header_t;


/* a zone's memory; each configuration that uses it holds a reference */
typedef struct {
    int                    fd; /* -1 but in the master */
    ngx_uint_t             refs;
    ngx_http_osb_header_t *header;

    /* of the memory that the records came from, until they have moved */
    ngx_http_osb_header_t *previous;
} ngx_http_osb_memory_t;


/* memory that a zone of the same name had before */
typedef struct {
    int                    fd;
    ngx_http_osb_header_t *header; /* NULL if there is none */
    u_char                *addr;   /* NULL if it cannot be read */
    size_t                 size;
    ngx_uint_t             mapped; /* for this look alone */
} ngx_http_osb_previous_t;


/*
 * Looks for the memory of the zone's name among the open descriptors.  In
 * memory of the zone's own size that an old binary has left open, the zone's
 * is replaced with it, and the result is NGX_OK: both binaries share it.
 * Otherwise the zone gets new, empty memory that a later binary can find, with
 * a slab pool in it; the result is NGX_DECLINED, and previous says what can be
 * copied.  *memory is NULL where the kernel has no such memory to give: the
 * zone is then nginx's own.
 */
ngx_int_t
ngx_http_osb_memory_open(ngx_shm_zone_t          *shm_zone,
                         ngx_http_osb_memory_t  **memory,
                         ngx_http_osb_previous_t *previous);

/* Ends the look at the previous memory. */
void
ngx_http_osb_memory_leave(ngx_http_osb_previous_t *previous);

/* Another reference; memory may be NULL. */
ngx_http_osb_memory_t *
ngx_http_osb_memory_share(ngx_http_osb_memory_t *memory);

/*
 * Gives a reference up.  If the move from other memory was not confirmed, it
 * has not happened.
 */
void
ngx_http_osb_memory_release(ngx_http_osb_memory_t *memory);

/* Forbids changes to the previous memory; memory is where they go now. */
void
ngx_http_osb_memory_move(ngx_http_osb_memory_t   *memory,
                         ngx_http_osb_previous_t *previous);

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


#endif /* _NGX_HTTP_OSB_REGISTRY_MEMORY_H_INCLUDED_ */
