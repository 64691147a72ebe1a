/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_REGISTRY_NODE_H_INCLUDED_
#define _NGX_HTTP_OSB_REGISTRY_NODE_H_INCLUDED_


#include "registry.h"
#include "route/route.h"


/* what nodes and their pieces are multiples of, and stand at multiples of */
#define NGX_HTTP_OSB_NODE_UNIT 16

/* links have 32 bits and count units */
#define NGX_HTTP_OSB_ZONE_MAX ((uint64_t) NGX_HTTP_OSB_NODE_UNIT << 32)


/*
 * A record in the zone: in a hash table for requests, in a tree for lists.
 * Its links are distances from the start of the zone's memory, 0 for none.
 *
 * The slab gives powers of two, so a node is in pieces, those that the bits of
 * its size say, the largest first; each but the last ends in a link to the
 * next.  The fixed part of the record is in the first one.
 */
typedef struct {
    uint32_t hash;
    uint32_t next; /* in the bucket */
    uint32_t left;
    uint32_t right;
    uint32_t renewed; /* the last renew intent, unix seconds */
    uint16_t units;   /* the size of all pieces */
    uint16_t head;    /* bytes of the record in the first piece */

    ngx_http_osb_record_t record;
} ngx_http_osb_node_t;


/* room for what every record starts with, its id included */
typedef union {
    ngx_http_osb_record_t record;
    u_char space[sizeof(ngx_http_osb_record_t) + NGX_HTTP_OSB_ID_LEN];
} ngx_http_osb_named_t;


/* a walk through the tree; see tree_next() */
#define NGX_HTTP_OSB_WALK_DEPTH 64

typedef struct {
    uint32_t   ahead[NGX_HTTP_OSB_WALK_DEPTH];
    ngx_uint_t n;
    ngx_uint_t lost;
} ngx_http_osb_walk_t;


/*
 * A new node with the record in it, in no bucket and not in the tree; NULL if
 * the zone is full.  Only with reserve does it take the zone's reserve.  The
 * zone is not locked.
 */
ngx_http_osb_node_t *
ngx_http_osb_node_create(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_record_t *record, ngx_uint_t reserve);

/* Gives all pieces back; the zone is locked. */
void
ngx_http_osb_node_free(ngx_http_osb_zone_t *zone, ngx_http_osb_node_t *node);

/* Whether a record of so many bytes has room in the node's pieces. */
ngx_uint_t
ngx_http_osb_node_fits(ngx_http_osb_node_t *node, size_t size);

/* Copies the first bytes of the node's record out, at most all. */
void
ngx_http_osb_node_read(ngx_http_osb_shared_t *shared, ngx_http_osb_node_t *node,
                       ngx_http_osb_record_t *buf, size_t size);

/* Replaces the node's record with one that fits. */
void
ngx_http_osb_node_write(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t   *node,
                        ngx_http_osb_record_t *record);

/* Whether the node's record has the other's policy. */
ngx_uint_t
ngx_http_osb_node_policy_same(ngx_http_osb_shared_t *shared,
                              ngx_http_osb_node_t   *node,
                              ngx_http_osb_record_t *record);

/* Whether the node's record is byte for byte the other. */
ngx_uint_t
ngx_http_osb_node_holds(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t   *node,
                        ngx_http_osb_record_t *record);

/* Whether the node's record has the id. */
ngx_uint_t
ngx_http_osb_node_named(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t *node, ngx_str_t *id);

/* Makes the tree of records empty. */
void
ngx_http_osb_tree_init(ngx_http_osb_shared_t *shared);

/* The tree has no node of the same id yet. */
void
ngx_http_osb_tree_insert(ngx_http_osb_shared_t *shared,
                         ngx_http_osb_node_t   *node);

/* The new node, of the same id, takes the place of the old one. */
void
ngx_http_osb_tree_replace(ngx_http_osb_shared_t *shared,
                          ngx_http_osb_node_t *old, ngx_http_osb_node_t *node);

void
ngx_http_osb_tree_delete(ngx_http_osb_shared_t *shared,
                         ngx_http_osb_node_t   *node);

/* Begins a walk behind the id, in byte order. */
void
ngx_http_osb_tree_after(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_walk_t *walk, ngx_str_t *id);

/*
 * The next node; NULL at the end, and in a tree of unlikely height now and
 * then earlier, but not for the first one.  The tree has not changed since
 * tree_after().
 */
ngx_http_osb_node_t *
ngx_http_osb_tree_next(ngx_http_osb_shared_t *shared,
                       ngx_http_osb_walk_t   *walk);


/* Whether the records are in another zone by now. */
ngx_uint_t
ngx_http_osb_registry_moved(ngx_http_osb_zone_t *zone);

/* Gives a node back that nothing leads to; the zone is not locked. */
void
ngx_http_osb_registry_free(ngx_http_osb_zone_t *zone,
                           ngx_http_osb_node_t *node);

/* A change of hash table and tree stands between these; the zone is locked. */
void
ngx_http_osb_registry_begin(ngx_http_osb_zone_t *zone);
void
ngx_http_osb_registry_end(ngx_http_osb_zone_t *zone);

/* The link that leads to the node of the id, or the chain's end, a 0. */
uint32_t *
ngx_http_osb_registry_find(ngx_http_osb_shared_t *shared, ngx_str_t *id,
                           uint32_t hash);

/*
 * Makes a node, which holds the record, the one of its id.  Returns the node
 * that was before, to be freed without the lock, or NULL.
 */
ngx_http_osb_node_t *
ngx_http_osb_registry_publish(ngx_http_osb_shared_t *shared,
                              ngx_http_osb_node_t   *node,
                              ngx_http_osb_record_t *record);

/* Sets what the registry says of a record that comes after the node's. */
void
ngx_http_osb_registry_stamp(ngx_http_osb_shared_t *shared,
                            ngx_http_osb_node_t   *old,
                            ngx_http_osb_record_t *record);

/*
 * Writes the record over that of the node, which has room for it, and the
 * journal too; a part of a change.
 */
void
ngx_http_osb_registry_rewrite(ngx_http_osb_shared_t *shared,
                              ngx_http_osb_node_t   *node,
                              ngx_http_osb_record_t *record);

/* Leaves the node's record without what is to be taken away; a whole change. */
void
ngx_http_osb_registry_withhold(ngx_http_osb_zone_t *zone,
                               ngx_http_osb_node_t *node, ngx_uint_t revokes);

/* What of a batch was published is so noted; a part of registry_recover(). */
void
ngx_http_osb_batch_recover(ngx_http_osb_zone_t *zone);


/* The node that a link leads to, and the link to a node. */

static ngx_inline ngx_http_osb_node_t *
ngx_http_osb_node_at(ngx_http_osb_shared_t *shared, uint32_t link)
{
    return (ngx_http_osb_node_t *) (shared->start +
                                    (size_t) link * NGX_HTTP_OSB_NODE_UNIT);
}


static ngx_inline uint32_t
ngx_http_osb_node_link(ngx_http_osb_shared_t *shared, void *node)
{
    return (uint32_t) ((size_t) ((u_char *) node - shared->start) /
                       NGX_HTTP_OSB_NODE_UNIT);
}


/* The id, in the node, or where that has it in pieces, in the buffer. */

static ngx_inline ngx_str_t
ngx_http_osb_node_id(ngx_http_osb_shared_t *shared, ngx_http_osb_node_t *node,
                     ngx_http_osb_named_t *buf)
{
    size_t                 last;
    ngx_http_osb_record_t *record;

    record = &node->record;
    last = (size_t) record->id.offset + record->id.len;

    if (last > node->head) {
        ngx_http_osb_node_read(shared, node, &buf->record, last);
        record = &buf->record;
    }

    return ngx_http_osb_text(record, &record->id);
}


#endif /* _NGX_HTTP_OSB_REGISTRY_NODE_H_INCLUDED_ */
