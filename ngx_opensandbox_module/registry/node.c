/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * How a record lies in the zone: see the node's structure.  In one piece each,
 * a record with a token takes 177 bytes beyond its strings, one with eight
 * ports 355, and one with a policy of a kilobyte 956; in pieces 113, 227 and
 * 124 (by t/ingress_memory.t, whose limit is 300).  Fewer pieces are taken
 * where that wastes little, since each costs a request a cache line.
 */


/* a piece that holds the fixed part in any case */
#define NGX_HTTP_OSB_NODE_MIN 128

/* bytes worth wasting for a piece less */
#define NGX_HTTP_OSB_NODE_SPARE 56


/* a walk along a node's pieces and a record, part by part */
typedef struct {
    u_char *data; /* in the piece */
    size_t  room; /* of the piece */
    size_t  left; /* of the node, behind the piece */
    u_char *part; /* of the record */
    size_t  size; /* of the part; 0 behind the last */
    size_t  rest; /* of the record, the part included */
} ngx_http_osb_part_t;


static size_t
ngx_http_osb_node_bytes(size_t size);
static ngx_inline size_t
ngx_http_osb_piece(size_t bytes);
static ngx_uint_t
ngx_http_osb_pieces(size_t bytes);
static ngx_inline uint32_t *
ngx_http_osb_piece_link(void *piece, size_t size);
static ngx_http_osb_node_t *
ngx_http_osb_node_alloc(ngx_http_osb_zone_t *zone, size_t bytes);
static void
ngx_http_osb_part_first(ngx_http_osb_part_t *part, ngx_http_osb_node_t *node,
                        ngx_http_osb_record_t *record);
static void
ngx_http_osb_part_next(ngx_http_osb_part_t   *part,
                       ngx_http_osb_shared_t *shared);


typedef char ngx_http_osb_node_min_t[NGX_HTTP_OSB_NODE_MIN >=
                                             sizeof(ngx_http_osb_node_t) +
                                                 sizeof(uint32_t)
                                         ? 1
                                         : -1];


ngx_http_osb_node_t *
ngx_http_osb_node_create(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_record_t *record, ngx_uint_t reserve)
{
    size_t               bytes;
    ngx_uint_t           pages;
    ngx_str_t            id;
    ngx_http_osb_part_t  first;
    ngx_http_osb_node_t *node;

    bytes = ngx_http_osb_node_bytes(offsetof(ngx_http_osb_node_t, record) +
                                    record->size);

    ngx_http_osb_registry_lock(zone);

    pages = zone->pool->pfree;
    node = ngx_http_osb_node_alloc(zone, bytes);

    /* the last pages are for what takes rights away */

    if (node && !reserve && zone->pool->pfree < pages &&
        zone->pool->pfree < zone->shared->reserve)
    {
        ngx_http_osb_node_free(zone, node);
        node = NULL;
    }

    ngx_http_osb_registry_unlock(zone);

    if (node == NULL) {
        return NULL;
    }

    id = ngx_http_osb_text(record, &record->id);

    node->hash = ngx_murmur_hash2(id.data, id.len);
    node->next = 0;
    node->left = 0;
    node->right = 0;
    node->told = 0;

    ngx_http_osb_part_first(&first, node, record);

    node->head = first.room;

    ngx_http_osb_node_write(zone->shared, node, record);

    return node;
}


/*
 * What a node of the size takes: the fewest bytes, in units, whose pieces hold
 * it and their links; or some more, if that takes fewer pieces.
 */

static size_t
ngx_http_osb_node_bytes(size_t size)
{
    size_t bytes, more, unit;

    bytes = ngx_align(size, NGX_HTTP_OSB_NODE_UNIT);
    bytes = ngx_max(bytes, NGX_HTTP_OSB_NODE_MIN);

    while (bytes < size + (ngx_http_osb_pieces(bytes) - 1) * sizeof(uint32_t)) {
        bytes += NGX_HTTP_OSB_NODE_UNIT;
    }

    for (unit = 2 * NGX_HTTP_OSB_NODE_UNIT; unit <= ngx_pagesize; unit *= 2) {
        more = ngx_align(bytes, unit);

        if (more <= size + NGX_HTTP_OSB_NODE_SPARE &&
            ngx_http_osb_pieces(more) < ngx_http_osb_pieces(bytes))
        {
            bytes = more;
        }
    }

    return bytes;
}


/* The largest piece of so many bytes: whole pages, or a power of two. */

static ngx_inline size_t
ngx_http_osb_piece(size_t bytes)
{
    if (bytes >= ngx_pagesize) {
        return bytes - bytes % ngx_pagesize;
    }

    return (size_t) 1 << (31 - __builtin_clz((unsigned) bytes));
}


static ngx_uint_t
ngx_http_osb_pieces(size_t bytes)
{
    return (bytes >= ngx_pagesize) +
           __builtin_popcount((unsigned) (bytes % ngx_pagesize));
}


static ngx_inline uint32_t *
ngx_http_osb_piece_link(void *piece, size_t size)
{
    return (uint32_t *) ((u_char *) piece + size) - 1;
}


static ngx_http_osb_node_t *
ngx_http_osb_node_alloc(ngx_http_osb_zone_t *zone, size_t bytes)
{
    void                *piece;
    size_t               size, done;
    uint32_t            *link;
    ngx_http_osb_node_t *node;

    node = NULL;
    link = NULL;

    for (done = 0; done < bytes; done += size) {
        size = ngx_http_osb_piece(bytes - done);

        piece = ngx_slab_alloc_locked(zone->pool, size);

        if (piece == NULL) {
            if (node) {
                ngx_http_osb_node_free(zone, node);
            }

            return NULL;
        }

        if (node == NULL) {
            node = piece;
            node->units = 0;

        } else {
            *link = ngx_http_osb_node_link(zone->shared, piece);
        }

        node->units += size / NGX_HTTP_OSB_NODE_UNIT;
        link = ngx_http_osb_piece_link(piece, size);
    }

    return node;
}


void
ngx_http_osb_node_free(ngx_http_osb_zone_t *zone, ngx_http_osb_node_t *node)
{
    void    *piece;
    size_t   size, left;
    uint32_t next;

    left = (size_t) node->units * NGX_HTTP_OSB_NODE_UNIT;
    piece = node;
    next = 0;

    while (left) {
        size = ngx_http_osb_piece(left);
        left -= size;

        if (left) {
            next = *ngx_http_osb_piece_link(piece, size);
        }

        ngx_slab_free_locked(zone->pool, piece);

        piece = ngx_http_osb_node_at(zone->shared, next);
    }
}


void
ngx_http_osb_node_release(ngx_http_osb_zone_t *zone, ngx_http_osb_node_t *node)
{
    ngx_http_osb_registry_lock(zone);
    ngx_http_osb_node_free(zone, node);
    ngx_http_osb_registry_unlock(zone);
}


ngx_uint_t
ngx_http_osb_node_fits(ngx_http_osb_node_t *node, size_t size)
{
    size_t bytes;

    bytes = (size_t) node->units * NGX_HTTP_OSB_NODE_UNIT;

    return offsetof(ngx_http_osb_node_t, record) + size +
               (ngx_http_osb_pieces(bytes) - 1) * sizeof(uint32_t) <=
           bytes;
}


static void
ngx_http_osb_part_first(ngx_http_osb_part_t *part, ngx_http_osb_node_t *node,
                        ngx_http_osb_record_t *record)
{
    size_t bytes, size;

    bytes = (size_t) node->units * NGX_HTTP_OSB_NODE_UNIT;
    size = ngx_http_osb_piece(bytes);

    part->data = (u_char *) &node->record;
    part->left = bytes - size;
    part->room = size - offsetof(ngx_http_osb_node_t, record) -
                 (part->left ? sizeof(uint32_t) : 0);

    part->part = (u_char *) record;
    part->rest = record->size;
    part->size = ngx_min(part->rest, part->room);
}


static void
ngx_http_osb_part_next(ngx_http_osb_part_t *part, ngx_http_osb_shared_t *shared)
{
    uint32_t link;

    part->part += part->size;
    part->rest -= part->size;

    if (part->rest == 0 || part->left == 0) {
        part->size = 0;
        return;
    }

    link = *(uint32_t *) (part->data + part->room);

    part->data = (u_char *) ngx_http_osb_node_at(shared, link);
    part->room = ngx_http_osb_piece(part->left);
    part->left -= part->room;
    part->room -= part->left ? sizeof(uint32_t) : 0;

    part->size = ngx_min(part->rest, part->room);
}


void
ngx_http_osb_node_read(ngx_http_osb_shared_t *shared, ngx_http_osb_node_t *node,
                       ngx_http_osb_record_t *buf, size_t size)
{
    u_char *p, *data;
    size_t  n, left;

    /* many a request's way, so without a walk by part_next() */

    p = (u_char *) buf;
    data = (u_char *) &node->record;
    n = node->head;
    left = (size_t) node->units * NGX_HTTP_OSB_NODE_UNIT -
           offsetof(ngx_http_osb_node_t, record) - n - sizeof(uint32_t);

    while (size > n) {
        p = ngx_cpymem(p, data, n);
        size -= n;

        data =
            (u_char *) ngx_http_osb_node_at(shared, *(uint32_t *) (data + n));

        n = ngx_http_osb_piece(left);
        left -= n;
        n -= left ? sizeof(uint32_t) : 0;
    }

    ngx_memcpy(p, data, size);
}


void
ngx_http_osb_node_write(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t   *node,
                        ngx_http_osb_record_t *record)
{
    ngx_http_osb_part_t part;

    for (ngx_http_osb_part_first(&part, node, record); part.size;
         ngx_http_osb_part_next(&part, shared))
    {
        ngx_memcpy(part.data, part.part, part.size);
    }
}


ngx_uint_t
ngx_http_osb_node_holds(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t   *node,
                        ngx_http_osb_record_t *record)
{
    ngx_http_osb_part_t part;

    if (node->record.size != record->size) {
        return 0;
    }

    for (ngx_http_osb_part_first(&part, node, record); part.size;
         ngx_http_osb_part_next(&part, shared))
    {
        if (ngx_memcmp(part.data, part.part, part.size) != 0) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_osb_node_policy_same(ngx_http_osb_shared_t *shared,
                              ngx_http_osb_node_t   *node,
                              ngx_http_osb_record_t *record)
{
    ngx_str_t            one, two;
    ngx_http_osb_whole_t copy;

    two = ngx_http_osb_policy_of(record);

    if (two.len != (size_t) node->record.size - node->record.lean) {
        return 0;
    }

    if (two.len == 0) {
        return 1;
    }

    ngx_http_osb_node_read(shared, node, &copy.record, node->record.size);

    one = ngx_http_osb_policy_of(&copy.record);

    return ngx_memcmp(one.data, two.data, two.len) == 0;
}


ngx_uint_t
ngx_http_osb_node_named(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t *node, ngx_str_t *id)
{
    ngx_str_t            own;
    ngx_http_osb_named_t buf;

    own = ngx_http_osb_node_id(shared, node, &buf);

    return own.len == id->len && ngx_memcmp(own.data, id->data, id->len) == 0;
}
