/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * All records in the order of their ids, copied out some at a time, so that
 * nobody waits long for the lock.  One that comes or goes meanwhile is seen or
 * not; each other one once.
 */


/* records in one hold of the lock */
#define NGX_HTTP_OSB_WALK_STEP 64


static ngx_uint_t
ngx_http_osb_walk_copy(ngx_http_osb_walk_t *walk);


void
ngx_http_osb_walk_start(ngx_http_osb_walk_t *walk, ngx_http_osb_zone_t *zone,
                        u_char *buf)
{
    walk->zone = zone;
    walk->buf = buf;
    walk->ready = 0;
    walk->at.data = walk->id;
    walk->at.len = 0;
}


ngx_http_osb_record_t *
ngx_http_osb_walk_next(ngx_http_osb_walk_t *walk)
{
    ngx_str_t              id;
    ngx_http_osb_record_t *record;

    if (walk->ready == 0) {
        walk->ready = ngx_http_osb_walk_copy(walk);
        walk->next = (ngx_http_osb_record_t *) walk->buf;

        if (walk->ready == 0) {
            return NULL;
        }
    }

    record = walk->next;
    id = ngx_http_osb_text(record, &record->id);

    walk->at.len = id.len;
    ngx_memcpy(walk->id, id.data, id.len);

    walk->ready--;
    walk->next = (ngx_http_osb_record_t *) ((u_char *) record +
                                            ngx_align(record->size, 8));

    return record;
}


/* The next records, one behind the other at multiples of eight bytes. */

static ngx_uint_t
ngx_http_osb_walk_copy(ngx_http_osb_walk_t *walk)
{
    size_t                 len, left;
    u_char                *p;
    ngx_uint_t             n;
    ngx_http_osb_node_t   *node;
    ngx_http_osb_ahead_t   ahead;
    ngx_http_osb_shared_t *shared;

    shared = walk->zone->shared;
    p = walk->buf;
    left = NGX_HTTP_OSB_WALK_SIZE;

    ngx_http_osb_registry_lock(walk->zone);

    ngx_http_osb_tree_after(shared, &ahead, &walk->at);

    for (n = 0; n < NGX_HTTP_OSB_WALK_STEP; n++) {
        node = ngx_http_osb_tree_next(shared, &ahead);
        if (node == NULL) {
            break;
        }

        len = ngx_align(node->record.size, 8);
        if (len > left) {
            break;
        }

        ngx_http_osb_node_read(shared, node, (ngx_http_osb_record_t *) p,
                               node->record.size);

        p += len;
        left -= len;
    }

    ngx_http_osb_registry_unlock(walk->zone);

    return n;
}
