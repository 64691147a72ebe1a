/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Many records, all or none.  The zone has a list of batches, each with the
 * links of its nodes in sheets; whoever finds one whose process is no more
 * brings it to its end.  A batch that is committed can only go on: its nodes
 * have their room already.
 *
 * An order of stores makes that safe at each of them: a node is on its sheet
 * before anything depends on it, and off it before it is given back.  Where a
 * process dies with a node published and not yet noted as such, recovery does
 * that, before another change can free the node.
 */


#define NGX_HTTP_OSB_BATCH_LINKS 61

/* nodes in one hold of the lock */
#define NGX_HTTP_OSB_BATCH_STEP 64


typedef struct {
    uint32_t next; /* a link */
    uint32_t n;
    uint32_t done;
    uint32_t nodes[NGX_HTTP_OSB_BATCH_LINKS];
} ngx_http_osb_sheet_t;


typedef struct {
    ngx_atomic_t owner; /* a process */
    uint32_t     next;  /* a link to another batch */
    uint32_t     first; /* links to sheets */
    uint32_t     last;
    uint32_t     committed;
} ngx_http_osb_batch_head_t;


typedef ngx_uint_t (*ngx_http_osb_batch_want_pt)(
    ngx_http_osb_batch_head_t *head);


static ngx_uint_t
ngx_http_osb_batch_find(ngx_http_osb_batch_t *batch, ngx_http_osb_zone_t *zone,
                        ngx_http_osb_batch_want_pt want);
static ngx_uint_t
ngx_http_osb_batch_orphan(ngx_http_osb_batch_head_t *head);
static ngx_uint_t
ngx_http_osb_batch_due(ngx_http_osb_batch_head_t *head);
static void *
ngx_http_osb_batch_at(ngx_http_osb_zone_t *zone, uint32_t link);
static void *
ngx_http_osb_batch_room(ngx_http_osb_zone_t *zone, size_t size);
static ngx_http_osb_node_t *
ngx_http_osb_batch_node(ngx_http_osb_zone_t       *zone,
                        ngx_http_osb_batch_head_t *head);
static ngx_http_osb_node_t *
ngx_http_osb_batch_next(ngx_http_osb_zone_t       *zone,
                        ngx_http_osb_batch_head_t *head);
static ngx_uint_t
ngx_http_osb_batch_listed(ngx_http_osb_zone_t *zone, uint32_t link);


ngx_int_t
ngx_http_osb_batch_open(ngx_http_osb_batch_t *batch, ngx_http_osb_zone_t *zone)
{
    ngx_http_osb_batch_head_t *head;

    ngx_memzero(batch, sizeof(ngx_http_osb_batch_t));
    batch->zone = zone;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_room(zone, sizeof(ngx_http_osb_batch_head_t));

    if (head) {
        head->owner = (ngx_atomic_uint_t) ngx_pid;
        head->next = zone->shared->batches;

        ngx_memory_barrier();

        batch->link = ngx_http_osb_node_link(zone->shared, head);
        zone->shared->batches = batch->link;
    }

    ngx_http_osb_registry_unlock(zone);

    return head ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_osb_batch_add(ngx_http_osb_batch_t  *batch,
                       ngx_http_osb_record_t *record)
{
    uint32_t                   link;
    ngx_http_osb_node_t       *node;
    ngx_http_osb_batch_head_t *head;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_sheet_t      *sheet;

    zone = batch->zone;

    node = ngx_http_osb_node_create(zone, record, 0);
    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);
    sheet = head->last ? ngx_http_osb_batch_at(zone, head->last) : NULL;

    if (sheet == NULL || sheet->n == NGX_HTTP_OSB_BATCH_LINKS) {
        sheet = ngx_http_osb_batch_room(zone, sizeof(ngx_http_osb_sheet_t));

        if (sheet) {
            link = ngx_http_osb_node_link(zone->shared, sheet);

            if (head->last) {
                ((ngx_http_osb_sheet_t *) ngx_http_osb_batch_at(zone,
                                                                head->last))
                    ->next = link;

            } else {
                head->first = link;
            }

            head->last = link;
        }
    }

    if (sheet) {
        sheet->nodes[sheet->n] = ngx_http_osb_node_link(zone->shared, node);
        ngx_memory_barrier();
        sheet->n++;
        node = NULL;
    }

    ngx_http_osb_registry_unlock(zone);

    if (node) {
        ngx_http_osb_node_release(zone, node);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_batch_commit(ngx_http_osb_batch_t *batch)
{
    ngx_int_t                  rc;
    ngx_http_osb_batch_head_t *head;

    ngx_http_osb_registry_lock(batch->zone);

    rc = NGX_BUSY;

    if (!ngx_http_osb_memory_superseded(batch->zone->memory)) {
        head = ngx_http_osb_batch_at(batch->zone, batch->link);
        head->committed = 1;
        batch->committed = 1;
        rc = NGX_OK;
    }

    ngx_http_osb_registry_unlock(batch->zone);

    return rc;
}


ngx_int_t
ngx_http_osb_batch_publish(ngx_http_osb_batch_t *batch)
{
    ngx_uint_t                 i, n;
    ngx_http_osb_node_t       *node, *old;
    ngx_http_osb_node_t       *stale[NGX_HTTP_OSB_BATCH_STEP];
    ngx_http_osb_batch_head_t *head;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_whole_t       copy;
    ngx_http_osb_sheet_t      *sheet;

    zone = batch->zone;
    node = NULL;
    n = 0;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);

    /* another zone may have taken it over, and its worker closed it */

    if (!ngx_http_osb_batch_listed(zone, batch->link) || !head->committed) {
        ngx_http_osb_registry_unlock(zone);
        return NGX_OK;
    }

    ngx_http_osb_journal_begin(zone);

    for (i = 0; i < NGX_HTTP_OSB_BATCH_STEP; i++) {
        node = ngx_http_osb_batch_next(zone, head);
        if (node == NULL) {
            break;
        }

        ngx_http_osb_node_read(zone->shared, node, &copy.record,
                               node->record.size);

        old = ngx_http_osb_table_publish(zone->shared, node, &copy.record);

        ngx_memory_barrier();

        sheet = ngx_http_osb_batch_at(zone, head->first);
        sheet->done++;

        if (old) {
            stale[n++] = old;
        }
    }

    ngx_http_osb_journal_end(zone);

    ngx_http_osb_registry_unlock(zone);

    batch->replaced += n;

    while (n) {
        ngx_http_osb_node_release(zone, stale[--n]);
    }

    return node ? NGX_AGAIN : NGX_OK;
}


ngx_int_t
ngx_http_osb_batch_abort(ngx_http_osb_batch_t *batch)
{
    ngx_uint_t                 i;
    ngx_http_osb_node_t       *node;
    ngx_http_osb_batch_head_t *head;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_sheet_t      *sheet;

    zone = batch->zone;
    node = NULL;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);

    for (i = 0; i < NGX_HTTP_OSB_BATCH_STEP; i++) {
        node = ngx_http_osb_batch_next(zone, head);
        if (node == NULL) {
            break;
        }

        sheet = ngx_http_osb_batch_at(zone, head->first);
        sheet->done++;

        ngx_memory_barrier();
        ngx_http_osb_node_free(zone, node);
    }

    ngx_http_osb_registry_unlock(zone);

    return node ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_osb_batch_end(ngx_http_osb_batch_t *batch)
{
    ngx_int_t rc;

    do {
        rc = batch->committed ? ngx_http_osb_batch_publish(batch)
                              : ngx_http_osb_batch_abort(batch);
    } while (rc == NGX_AGAIN);

    ngx_http_osb_batch_close(batch);
}


void
ngx_http_osb_batch_adopt(ngx_http_osb_zone_t *zone)
{
    ngx_http_osb_batch_t batch;

    while (ngx_http_osb_batch_find(&batch, zone, ngx_http_osb_batch_orphan)) {
        ngx_http_osb_batch_end(&batch);
    }
}


void
ngx_http_osb_batch_finish(ngx_http_osb_zone_t *zone)
{
    ngx_http_osb_batch_t batch;

    while (ngx_http_osb_batch_find(&batch, zone, ngx_http_osb_batch_due)) {
        (void) ngx_http_osb_batch_publish(&batch);
    }
}


void
ngx_http_osb_batch_recover(ngx_http_osb_zone_t *zone)
{
    uint32_t                   link;
    ngx_str_t                  id;
    ngx_http_osb_node_t       *node;
    ngx_http_osb_batch_head_t *head;
    ngx_http_osb_named_t       buf;
    ngx_http_osb_sheet_t      *sheet;

    for (link = zone->shared->batches; link; link = head->next) {
        head = ngx_http_osb_batch_at(zone, link);

        node = ngx_http_osb_batch_node(zone, head);

        if (node == NULL || !head->committed) {
            continue;
        }

        id = ngx_http_osb_node_id(zone->shared, node, &buf);

        if (*ngx_http_osb_table_find(zone->shared, &id, node->hash) ==
            ngx_http_osb_node_link(zone->shared, node))
        {
            sheet = ngx_http_osb_batch_at(zone, head->first);
            sheet->done++;
        }
    }
}


/* The first batch of the zone that the function wants; 0 if it wants none. */

static ngx_uint_t
ngx_http_osb_batch_find(ngx_http_osb_batch_t *batch, ngx_http_osb_zone_t *zone,
                        ngx_http_osb_batch_want_pt want)
{
    ngx_http_osb_batch_head_t *head;

    ngx_memzero(batch, sizeof(ngx_http_osb_batch_t));
    batch->zone = zone;

    ngx_http_osb_registry_lock(zone);

    for (batch->link = zone->shared->batches; batch->link;
         batch->link = head->next) {
        head = ngx_http_osb_batch_at(zone, batch->link);

        if (want(head)) {
            batch->committed = head->committed;
            break;
        }
    }

    ngx_http_osb_registry_unlock(zone);

    return batch->link != 0;
}


/* Takes over what a dead process has left. */

static ngx_uint_t
ngx_http_osb_batch_orphan(ngx_http_osb_batch_head_t *head)
{
    if (ngx_http_osb_process_alive((ngx_pid_t) head->owner)) {
        return 0;
    }

    head->owner = (ngx_atomic_uint_t) ngx_pid;

    return 1;
}


static ngx_uint_t
ngx_http_osb_batch_due(ngx_http_osb_batch_head_t *head)
{
    return head->committed && head->first;
}


static void *
ngx_http_osb_batch_at(ngx_http_osb_zone_t *zone, uint32_t link)
{
    return ngx_http_osb_node_at(zone->shared, link);
}


static void *
ngx_http_osb_batch_room(ngx_http_osb_zone_t *zone, size_t size)
{
    /* a power of two, for links count units */

    return ngx_slab_calloc_locked(zone->pool,
                                  ngx_max(size, NGX_HTTP_OSB_NODE_UNIT));
}


/* The first node of a batch; NULL if its first sheet has no more. */

static ngx_http_osb_node_t *
ngx_http_osb_batch_node(ngx_http_osb_zone_t       *zone,
                        ngx_http_osb_batch_head_t *head)
{
    ngx_http_osb_sheet_t *sheet;

    if (head->first == 0) {
        return NULL;
    }

    sheet = ngx_http_osb_batch_at(zone, head->first);

    if (sheet->done == sheet->n) {
        return NULL;
    }

    return ngx_http_osb_node_at(zone->shared, sheet->nodes[sheet->done]);
}


/* The same; NULL if there is none on any sheet. */

static ngx_http_osb_node_t *
ngx_http_osb_batch_next(ngx_http_osb_zone_t       *zone,
                        ngx_http_osb_batch_head_t *head)
{
    ngx_http_osb_node_t  *node;
    ngx_http_osb_sheet_t *sheet;

    for (;;) {
        node = ngx_http_osb_batch_node(zone, head);

        if (node || head->first == 0) {
            return node;
        }

        sheet = ngx_http_osb_batch_at(zone, head->first);
        head->first = sheet->next;

        ngx_memory_barrier();
        ngx_slab_free_locked(zone->pool, sheet);
    }
}


static ngx_uint_t
ngx_http_osb_batch_listed(ngx_http_osb_zone_t *zone, uint32_t link)
{
    uint32_t                   at;
    ngx_http_osb_batch_head_t *head;

    for (at = zone->shared->batches; at && at != link; at = head->next) {
        head = ngx_http_osb_batch_at(zone, at);
    }

    return at != 0;
}


void
ngx_http_osb_batch_close(ngx_http_osb_batch_t *batch)
{
    uint32_t                  *link;
    ngx_http_osb_batch_head_t *head, *other;
    ngx_http_osb_zone_t       *zone;

    zone = batch->zone;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);

    for (link = &zone->shared->batches; *link && *link != batch->link;
         link = &other->next)
    {
        other = ngx_http_osb_batch_at(zone, *link);
    }

    if (*link) {
        *link = head->next;
        ngx_memory_barrier();
        ngx_slab_free_locked(zone->pool, head);
    }

    ngx_http_osb_registry_unlock(zone);

    batch->link = 0;
}
