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


/* nodes in one hold of the lock */
#define NGX_HTTP_OSB_BATCH_STEP 64


typedef struct {
    ngx_atomic_t owner; /* a process */
    uint32_t     next;  /* a link to another batch */
    uint32_t     committed;
    uint32_t     source; /* that is fed in whole: its slot, from 1; or 0 */

    ngx_http_osb_sheets_t sheets;
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
static ngx_http_osb_source_t *
ngx_http_osb_batch_source(ngx_http_osb_shared_t     *shared,
                          ngx_http_osb_batch_head_t *head);
static ngx_http_osb_node_t *
ngx_http_osb_batch_insert(ngx_http_osb_batch_t *batch,
                          ngx_http_osb_sheet_t *sheet);
static ngx_http_osb_node_t *
ngx_http_osb_batch_delete(ngx_http_osb_zone_t  *zone,
                          ngx_http_osb_sheet_t *sheet);
static ngx_uint_t
ngx_http_osb_batch_listed(ngx_http_osb_zone_t *zone, uint32_t link);


ngx_int_t
ngx_http_osb_batch_open(ngx_http_osb_batch_t *batch, ngx_http_osb_zone_t *zone)
{
    ngx_http_osb_batch_head_t *head;

    ngx_memzero(batch, sizeof(ngx_http_osb_batch_t));
    batch->zone = zone;

    ngx_http_osb_registry_lock(zone);

    /* a power of two, for links count units */

    head =
        ngx_slab_calloc_locked(zone->pool, sizeof(ngx_http_osb_batch_head_t));

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
ngx_http_osb_batch_claim(ngx_http_osb_batch_t *batch, ngx_str_t *name)
{
    ngx_int_t                  rc;
    ngx_uint_t                 orphan;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_source_t     *source;
    ngx_http_osb_batch_head_t *head, *other;

    zone = batch->zone;
    orphan = 0;
    rc = NGX_OK;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);
    source = ngx_http_osb_source_find(zone->shared, name, 1);

    if (source && batch->order == 0) {
        batch->order = ++source->asked;
    }

    if (source == NULL) {
        rc = NGX_ERROR;

    } else if (source->batch) {
        other = ngx_http_osb_batch_at(zone, source->batch);
        orphan = !ngx_http_osb_process_alive((ngx_pid_t) other->owner);
        rc = NGX_AGAIN;

    } else if ((int32_t) (source->taken - batch->order) > 0) {
        rc = NGX_DECLINED;

    } else {
        head->source = (uint32_t) (source - zone->shared->sources) + 1;
        ngx_memory_barrier();
        source->batch = batch->link;
    }

    ngx_http_osb_registry_unlock(zone);

    if (orphan) {
        ngx_http_osb_batch_adopt(zone);
    }

    return rc;
}


ngx_int_t
ngx_http_osb_batch_add(ngx_http_osb_batch_t  *batch,
                       ngx_http_osb_record_t *record)
{
    uint32_t                   link;
    ngx_int_t                  rc;
    ngx_http_osb_node_t       *node;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_batch_head_t *head;

    zone = batch->zone;

    node = ngx_http_osb_node_create(zone, record, 0);
    if (node == NULL) {
        return NGX_ERROR;
    }

    link = ngx_http_osb_node_link(zone->shared, node);

    ngx_http_osb_registry_lock(zone);
    head = ngx_http_osb_batch_at(zone, batch->link);
    rc = ngx_http_osb_sheet_note(zone, &head->sheets, &link,
                                 NGX_HTTP_OSB_SHEET_INSERT);
    ngx_http_osb_registry_unlock(zone);

    if (rc != NGX_OK) {
        ngx_http_osb_node_release(zone, node);
    }

    return rc;
}


ngx_int_t
ngx_http_osb_batch_remove(ngx_http_osb_batch_t  *batch,
                          ngx_http_osb_record_t *record)
{
    uint32_t                   words[NGX_HTTP_OSB_SHEET_DELETE];
    ngx_int_t                  rc;
    ngx_str_t                  id;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_batch_head_t *head;

    zone = batch->zone;
    id = ngx_http_osb_text(record, &record->id);
    rc = NGX_OK;

    words[1] = ngx_murmur_hash2(id.data, id.len);
    words[2] = record->edition;

    ngx_http_osb_registry_lock(zone);

    words[0] = *ngx_http_osb_table_find(zone->shared, &id, words[1]);

    if (words[0]) {
        head = ngx_http_osb_batch_at(zone, batch->link);
        rc = ngx_http_osb_sheet_note(zone, &head->sheets, words,
                                     NGX_HTTP_OSB_SHEET_DELETE);
    }

    ngx_http_osb_registry_unlock(zone);

    return rc;
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

        if (head->source) {
            ngx_http_osb_batch_source(batch->zone->shared, head)->taken =
                batch->order;
        }

        ngx_memory_barrier();
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
    ngx_http_osb_node_t       *old;
    ngx_http_osb_node_t       *stale[NGX_HTTP_OSB_BATCH_STEP];
    ngx_http_osb_batch_head_t *head;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_sheet_t      *sheet;

    zone = batch->zone;
    n = 0;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);

    /* another zone may have taken it over, and its worker closed it */

    if (!ngx_http_osb_batch_listed(zone, batch->link) || !head->committed) {
        ngx_http_osb_registry_unlock(zone);
        return NGX_OK;
    }

    sheet = ngx_http_osb_sheet_next(zone, &head->sheets);

    if (sheet) {
        ngx_http_osb_journal_begin(zone);
    }

    for (i = 0; sheet && i < NGX_HTTP_OSB_BATCH_STEP; i++) {

        old = (sheet->entry == NGX_HTTP_OSB_SHEET_DELETE)
                  ? ngx_http_osb_batch_delete(zone, sheet)
                  : ngx_http_osb_batch_insert(batch, sheet);

        ngx_memory_barrier();

        sheet->done += sheet->entry;

        if (old) {
            stale[n++] = old;
        }

        sheet = ngx_http_osb_sheet_next(zone, &head->sheets);
    }

    if (i) {
        ngx_http_osb_journal_end(zone);
    }

    if (sheet == NULL && head->source) {
        ngx_http_osb_batch_source(zone->shared, head)->fed = ngx_time();
    }

    ngx_http_osb_registry_unlock(zone);

    while (n) {
        ngx_http_osb_node_release(zone, stale[--n]);
    }

    return sheet ? NGX_AGAIN : NGX_OK;
}


/* Has the sheet's next node come; returns the one that is not needed now. */

static ngx_http_osb_node_t *
ngx_http_osb_batch_insert(ngx_http_osb_batch_t *batch,
                          ngx_http_osb_sheet_t *sheet)
{
    uint32_t               link;
    ngx_str_t              id;
    ngx_http_osb_node_t   *node, *old;
    ngx_http_osb_named_t   buf;
    ngx_http_osb_whole_t   copy;
    ngx_http_osb_shared_t *shared;

    shared = batch->zone->shared;
    node = ngx_http_osb_node_at(shared, sheet->words[sheet->done]);

    ngx_http_osb_node_read(shared, node, &copy.record, node->record.size);

    id = ngx_http_osb_text(&copy.record, &copy.record.id);
    link = *ngx_http_osb_table_find(shared, &id, node->hash);

    if (link) {
        old = ngx_http_osb_node_at(shared, link);

        if (!ngx_http_osb_record_yields(
                ngx_http_osb_node_start(shared, old, &buf), &copy.record))
        {
            batch->skipped++;
            return node;
        }

        batch->replaced++;
    }

    return ngx_http_osb_table_publish(shared, node, &copy.record);
}


/* Takes the sheet's next node out; NULL if it is not there any more. */

static ngx_http_osb_node_t *
ngx_http_osb_batch_delete(ngx_http_osb_zone_t  *zone,
                          ngx_http_osb_sheet_t *sheet)
{
    uint32_t            *words, *link;
    ngx_http_osb_node_t *node;

    words = &sheet->words[sheet->done];
    link = ngx_http_osb_table_link(zone->shared, words[1], words[0]);

    if (*link == 0) {
        return NULL;
    }

    node = ngx_http_osb_node_at(zone->shared, *link);

    if (node->hash != words[1] || node->record.edition != words[2]) {
        return NULL;
    }

    return ngx_http_osb_table_remove(zone->shared, link);
}


ngx_int_t
ngx_http_osb_batch_abort(ngx_http_osb_batch_t *batch)
{
    uint32_t                   link;
    ngx_uint_t                 i;
    ngx_http_osb_batch_head_t *head;
    ngx_http_osb_zone_t       *zone;
    ngx_http_osb_sheet_t      *sheet;

    zone = batch->zone;

    ngx_http_osb_registry_lock(zone);

    head = ngx_http_osb_batch_at(zone, batch->link);
    sheet = ngx_http_osb_sheet_next(zone, &head->sheets);

    for (i = 0; sheet && i < NGX_HTTP_OSB_BATCH_STEP; i++) {
        link = sheet->words[sheet->done];
        sheet->done += sheet->entry;

        if (sheet->entry == NGX_HTTP_OSB_SHEET_INSERT) {
            ngx_memory_barrier();
            ngx_http_osb_node_free(zone,
                                   ngx_http_osb_node_at(zone->shared, link));
        }

        sheet = ngx_http_osb_sheet_next(zone, &head->sheets);
    }

    ngx_http_osb_registry_unlock(zone);

    return sheet ? NGX_AGAIN : NGX_OK;
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

        sheet = ngx_http_osb_sheet_first(zone, &head->sheets);

        if (sheet == NULL || !head->committed ||
            sheet->entry != NGX_HTTP_OSB_SHEET_INSERT)
        {
            continue;
        }

        node = ngx_http_osb_node_at(zone->shared, sheet->words[sheet->done]);
        id = ngx_http_osb_node_id(zone->shared, node, &buf);

        if (*ngx_http_osb_table_find(zone->shared, &id, node->hash) ==
            ngx_http_osb_node_link(zone->shared, node))
        {
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
    return head->committed && head->sheets.first;
}


static void *
ngx_http_osb_batch_at(ngx_http_osb_zone_t *zone, uint32_t link)
{
    return ngx_http_osb_node_at(zone->shared, link);
}


static ngx_http_osb_source_t *
ngx_http_osb_batch_source(ngx_http_osb_shared_t     *shared,
                          ngx_http_osb_batch_head_t *head)
{
    return &shared->sources[head->source - 1];
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

        if (head->source) {
            ngx_http_osb_batch_source(zone->shared, head)->batch = 0;
        }

        *link = head->next;
        ngx_memory_barrier();
        ngx_slab_free_locked(zone->pool, head);
    }

    ngx_http_osb_registry_unlock(zone);

    batch->link = 0;
}
