/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_REGISTRY_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_REGISTRY_INNER_H_INCLUDED_


#include "registry.h"


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
    uint32_t told;  /* when its use was told last in its state, unix seconds */
    uint16_t units; /* the size of all pieces */
    uint16_t head;  /* bytes of the record in the first piece */

    ngx_http_osb_record_t record;
} ngx_http_osb_node_t;


/* room for what every record starts with, its id and source included */
typedef union {
    ngx_http_osb_record_t record;
    u_char space[sizeof(ngx_http_osb_record_t) + NGX_HTTP_OSB_ID_LEN +
                 NGX_HTTP_OSB_SOURCE_LEN];
} ngx_http_osb_named_t;


/* a walk through the tree; see tree_next() */
#define NGX_HTTP_OSB_TREE_AHEAD 64

typedef struct {
    uint32_t   links[NGX_HTTP_OSB_TREE_AHEAD];
    ngx_uint_t n;
    ngx_uint_t lost;
} ngx_http_osb_ahead_t;


/* registry/node.c: how a record lies in the zone */

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

/* Gives a node back that nothing leads to; the zone is not locked. */
void
ngx_http_osb_node_release(ngx_http_osb_zone_t *zone, ngx_http_osb_node_t *node);

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


/* registry/tree.c */

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
                        ngx_http_osb_ahead_t *ahead, ngx_str_t *id);

/*
 * The next node; NULL at the end, and in a tree of unlikely height now and
 * then earlier, but not for the first one.  The tree has not changed since
 * tree_after().
 */
ngx_http_osb_node_t *
ngx_http_osb_tree_next(ngx_http_osb_shared_t *shared,
                       ngx_http_osb_ahead_t  *ahead);


/* registry/journal.c */

/* A change of hash table and tree stands between these; the zone is locked. */
void
ngx_http_osb_journal_begin(ngx_http_osb_zone_t *zone);
void
ngx_http_osb_journal_end(ngx_http_osb_zone_t *zone);

/*
 * Writes the record over that of the node, which has room for it, and the
 * journal too; a part of a change.
 */
void
ngx_http_osb_journal_rewrite(ngx_http_osb_shared_t *shared,
                             ngx_http_osb_node_t   *node,
                             ngx_http_osb_record_t *record);

/* Brings a rewriting to its end that a process died at; the lock is held. */
void
ngx_http_osb_journal_replay(ngx_http_osb_shared_t *shared);


/* registry/table.c */

/* The link that leads to the node of the id, or the chain's end, a 0. */
uint32_t *
ngx_http_osb_table_find(ngx_http_osb_shared_t *shared, ngx_str_t *id,
                        uint32_t hash);

/*
 * Makes a node, which holds the record, the one of its id.  Returns the node
 * that was before, to be freed without the lock, or NULL.
 */
ngx_http_osb_node_t *
ngx_http_osb_table_publish(ngx_http_osb_shared_t *shared,
                           ngx_http_osb_node_t   *node,
                           ngx_http_osb_record_t *record);

/* Sets what the registry says of a record that comes after the node's. */
void
ngx_http_osb_table_stamp(ngx_http_osb_shared_t *shared,
                         ngx_http_osb_node_t   *old,
                         ngx_http_osb_record_t *record);

/* The link to that node in the chain of the hash, or the chain's end, a 0. */
uint32_t *
ngx_http_osb_table_link(ngx_http_osb_shared_t *shared, uint32_t hash,
                        uint32_t node);

/* Takes the node that the link leads to out, to be released. */
ngx_http_osb_node_t *
ngx_http_osb_table_remove(ngx_http_osb_shared_t *shared, uint32_t *link);

/* The same; a whole change. */
ngx_http_osb_node_t *
ngx_http_osb_table_unlink(ngx_http_osb_zone_t *zone, uint32_t *link);


/* registry/registry.c, the rest of it */

/*
 * Whether the sandbox's record is the given one but for what the registry sets;
 * then it is of the present epoch.
 */
ngx_uint_t
ngx_http_osb_registry_same(ngx_http_osb_zone_t   *zone,
                           ngx_http_osb_record_t *record);


/* registry/sheet.c; the zone is locked */

/* entries of both sizes fill a sheet */
#define NGX_HTTP_OSB_SHEET_WORDS 60

/* words of an entry: a link; or link, hash and edition of what goes */
#define NGX_HTTP_OSB_SHEET_INSERT 1
#define NGX_HTTP_OSB_SHEET_DELETE 3


typedef struct {
    uint32_t next; /* a link */
    uint32_t n;    /* words */
    uint32_t done;
    uint32_t entry; /* words of one */
    uint32_t words[NGX_HTTP_OSB_SHEET_WORDS];
} ngx_http_osb_sheet_t;


/* links */
typedef struct {
    uint32_t first;
    uint32_t last;
} ngx_http_osb_sheets_t;


/* Writes an entry on the last sheet, or on a new one; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_sheet_note(ngx_http_osb_zone_t   *zone,
                        ngx_http_osb_sheets_t *sheets, const uint32_t *words,
                        uint32_t n);

/* The first sheet; NULL if it has no more entries. */
ngx_http_osb_sheet_t *
ngx_http_osb_sheet_first(ngx_http_osb_zone_t   *zone,
                         ngx_http_osb_sheets_t *sheets);

/* The first one that has, those before it are given back; NULL without. */
ngx_http_osb_sheet_t *
ngx_http_osb_sheet_next(ngx_http_osb_zone_t   *zone,
                        ngx_http_osb_sheets_t *sheets);


/* registry/batch.c, the rest of it */

/* Brings the batches to their end whose processes are no more. */
void
ngx_http_osb_batch_adopt(ngx_http_osb_zone_t *zone);

/* Publishes all that is committed, their own processes may be at it too. */
void
ngx_http_osb_batch_finish(ngx_http_osb_zone_t *zone);

/* What of a batch was published is so noted; a part of recover(). */
void
ngx_http_osb_batch_recover(ngx_http_osb_zone_t *zone);


/* registry/source.c; the zone is locked */

void
ngx_http_osb_source_init(ngx_http_osb_shared_t *shared);

/* The source; NULL if there is none or, with create, no place for it. */
ngx_http_osb_source_t *
ngx_http_osb_source_find(ngx_http_osb_shared_t *shared, ngx_str_t *name,
                         ngx_uint_t create);

/* So many records more, or less, of the record's source. */
void
ngx_http_osb_source_count(ngx_http_osb_shared_t *shared,
                          ngx_http_osb_record_t *record, ngx_int_t n);
void
ngx_http_osb_source_count_node(ngx_http_osb_shared_t *shared,
                               ngx_http_osb_node_t *node, ngx_int_t n);

/* Takes over when sources were fed. */
void
ngx_http_osb_source_carry(ngx_http_osb_shared_t *from,
                          ngx_http_osb_shared_t *to);


/* registry/recover.c */

/* Repairs what a process left that died with the lock; the lock is held. */
void
ngx_http_osb_recover(ngx_http_osb_zone_t *zone);


/* registry/declared.c, the rest of it */

/* Tries the first of those again that wait, at most so many. */
void
ngx_http_osb_registry_declare_waiting(ngx_http_osb_zone_t    *zone,
                                      ngx_http_osb_record_t **records,
                                      ngx_uint_t limit, ngx_log_t *log);


/* registry/memory.c, the rest of it */

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
} ngx_http_osb_memory_header_t;


/* a zone's memory; each configuration that uses it holds a reference */
struct ngx_http_osb_memory_s {
    int                           fd; /* -1 but in the master */
    ngx_uint_t                    refs;
    ngx_http_osb_memory_header_t *header;

    /* of the memory that the records came from, until they have moved */
    ngx_http_osb_memory_header_t *previous;
};


/* memory that a zone of the same name had before */
typedef struct {
    int                           fd;
    ngx_http_osb_memory_header_t *header; /* NULL if there is none */
    u_char                       *addr;   /* NULL if it cannot be read */
    size_t                        size;
    ngx_uint_t                    mapped; /* for this look alone */
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

/* Forbids changes to the previous memory; memory is where they go now. */
void
ngx_http_osb_memory_move(ngx_http_osb_memory_t   *memory,
                         ngx_http_osb_previous_t *previous);


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


/*
 * The record with its id and source, in the node, or where that has them in
 * pieces, in the buffer.
 */

static ngx_inline ngx_http_osb_record_t *
ngx_http_osb_node_start(ngx_http_osb_shared_t *shared,
                        ngx_http_osb_node_t *node, ngx_http_osb_named_t *buf)
{
    size_t                 last;
    ngx_http_osb_record_t *record;

    record = &node->record;
    last = (size_t) record->id.offset + record->id.len + record->source;

    if (last > node->head) {
        ngx_http_osb_node_read(shared, node, &buf->record, last);
        record = &buf->record;
    }

    return record;
}


static ngx_inline ngx_str_t
ngx_http_osb_node_id(ngx_http_osb_shared_t *shared, ngx_http_osb_node_t *node,
                     ngx_http_osb_named_t *buf)
{
    ngx_http_osb_record_t *record;

    record = ngx_http_osb_node_start(shared, node, buf);

    return ngx_http_osb_text(record, &record->id);
}


#endif /* _NGX_HTTP_OSB_REGISTRY_INNER_H_INCLUDED_ */
