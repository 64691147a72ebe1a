/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * All records are behind the zone's slab mutex, which a master process releases
 * when a worker of its own dies with it.  A record is published by one store
 * into a hash chain, so the chains are whole at any instant; the tree is made
 * anew from them if its last writer did not finish.  A node is given back only
 * when no chain leads to it; if its worker dies before, it is lost, no more.
 *
 * A full zone has no room for a new node beside the old one.  Then the record
 * is written over the old one, but into the journal before: who takes the lock
 * from a process that died at that writes it over once more.  And whatever
 * takes rights away finds room: in the reserve, over the old record, or else by
 * making the old one refuse, which needs none.
 */


static ngx_int_t
ngx_http_osb_registry_copy(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                           ngx_http_osb_record_t *buf, size_t room,
                           ngx_uint_t lean);
static ngx_uint_t
ngx_http_osb_registry_like(ngx_http_osb_shared_t *shared,
                           ngx_http_osb_node_t   *node,
                           ngx_http_osb_record_t *record);
static ngx_int_t
ngx_http_osb_registry_overwrite(ngx_http_osb_zone_t   *zone,
                                ngx_http_osb_node_t   *node,
                                ngx_http_osb_record_t *record,
                                ngx_uint_t             revokes);
static void
ngx_http_osb_registry_withhold(ngx_http_osb_zone_t *zone,
                               ngx_http_osb_node_t *node, ngx_uint_t revokes);


ngx_int_t
ngx_http_osb_registry_get(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                          ngx_http_osb_record_t *buf)
{
    return ngx_http_osb_registry_copy(zone, id, buf, NGX_HTTP_OSB_RECORD_MAX,
                                      0);
}


ngx_int_t
ngx_http_osb_registry_route(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                            ngx_http_osb_record_t *buf, size_t room)
{
    ngx_int_t rc;

    rc = ngx_http_osb_registry_copy(zone, id, buf, room, 1);

    if (rc == NGX_OK) {
        buf->size = buf->lean;
    }

    return rc;
}


/*
 * The record, or with lean all of it but the policy; NGX_AGAIN if that is more
 * than there is room for.
 */

static ngx_int_t
ngx_http_osb_registry_copy(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                           ngx_http_osb_record_t *buf, size_t room,
                           ngx_uint_t lean)
{
    size_t               size;
    uint32_t             hash, link;
    ngx_int_t            rc;
    ngx_http_osb_node_t *node;

    hash = ngx_murmur_hash2(id->data, id->len);

    ngx_http_osb_registry_lock(zone);

    link = *ngx_http_osb_table_find(zone->shared, id, hash);

    rc = NGX_DECLINED;

    if (link) {
        node = ngx_http_osb_node_at(zone->shared, link);
        size = lean ? node->record.lean : node->record.size;
        rc = NGX_OK;

        if (size > room) {
            rc = NGX_AGAIN;

        } else if (size <= node->head) {
            ngx_memcpy(buf, &node->record, size);

        } else {
            ngx_http_osb_node_read(zone->shared, node, buf, size);
        }
    }

    ngx_http_osb_registry_unlock(zone);

    return rc;
}


ngx_int_t
ngx_http_osb_registry_put(ngx_http_osb_zone_t   *zone,
                          ngx_http_osb_record_t *record)
{
    ngx_int_t            rc;
    ngx_http_osb_node_t *node;

    node = ngx_http_osb_node_create(zone, record, 1);
    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_http_osb_registry_lock(zone);

    rc = ngx_http_osb_memory_superseded(zone->memory) ? NGX_BUSY : NGX_OK;

    if (rc == NGX_OK) {
        ngx_http_osb_journal_begin(zone);
        node = ngx_http_osb_table_publish(zone->shared, node, record);
        ngx_http_osb_journal_end(zone);
    }

    ngx_http_osb_registry_unlock(zone);

    if (node) {
        ngx_http_osb_node_release(zone, node);
    }

    return rc;
}


ngx_int_t
ngx_http_osb_registry_swap(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                           ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record)
{
    uint32_t               hash, *link;
    ngx_int_t              rc;
    ngx_uint_t             revokes;
    ngx_http_osb_node_t   *node, *spare;
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;
    hash = ngx_murmur_hash2(id->data, id->len);

    spare = NULL;
    revokes = (old && record) ? ngx_http_osb_record_revokes(old, record) : 0;

    if (record) {
        spare = ngx_http_osb_node_create(zone, record, revokes);
    }

    ngx_http_osb_registry_lock(zone);

    link = ngx_http_osb_table_find(shared, id, hash);
    node = *link ? ngx_http_osb_node_at(shared, *link) : NULL;

    if (ngx_http_osb_memory_superseded(zone->memory)) {
        rc = NGX_BUSY;
        node = spare;

    } else if (node ? old == NULL || !ngx_http_osb_node_holds(shared, node, old)
                    : old != NULL)
    {
        rc = NGX_DECLINED;
        node = spare;

    } else if (record == NULL) {
        node = ngx_http_osb_table_unlink(zone, link);
        rc = NGX_OK;

    } else if (spare) {
        ngx_http_osb_journal_begin(zone);
        node = ngx_http_osb_table_publish(shared, spare, record);
        ngx_http_osb_journal_end(zone);
        rc = NGX_OK;

    } else {
        rc = node ? ngx_http_osb_registry_overwrite(zone, node, record, revokes)
                  : NGX_ERROR;
        node = NULL;
    }

    ngx_http_osb_registry_unlock(zone);

    if (node) {
        ngx_http_osb_node_release(zone, node);
    }

    return rc;
}


ngx_int_t
ngx_http_osb_registry_edition(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                              uint32_t *edition)
{
    uint32_t hash, link;

    hash = ngx_murmur_hash2(id->data, id->len);

    ngx_http_osb_registry_lock(zone);

    link = *ngx_http_osb_table_find(zone->shared, id, hash);

    if (link) {
        *edition = ngx_http_osb_node_at(zone->shared, link)->record.edition;
    }

    ngx_http_osb_registry_unlock(zone);

    return link ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_osb_registry_compare(ngx_http_osb_zone_t   *zone,
                              ngx_http_osb_record_t *record)
{
    uint32_t             hash, link;
    ngx_int_t            rc;
    ngx_str_t            id;
    ngx_http_osb_node_t *node;
    ngx_http_osb_named_t buf;

    id = ngx_http_osb_text(record, &record->id);
    hash = ngx_murmur_hash2(id.data, id.len);
    rc = NGX_DECLINED;

    ngx_http_osb_registry_lock(zone);

    link = *ngx_http_osb_table_find(zone->shared, &id, hash);

    if (link) {
        node = ngx_http_osb_node_at(zone->shared, link);

        if (!ngx_http_osb_record_yields(
                ngx_http_osb_node_start(zone->shared, node, &buf), record))
        {
            rc = NGX_ABORT;

        } else if (ngx_http_osb_registry_like(zone->shared, node, record)) {
            rc = NGX_OK;

        } else {
            rc = NGX_AGAIN;
        }
    }

    ngx_http_osb_registry_unlock(zone);

    return rc;
}


/* Whether only what the registry sets may differ; that of the node is set. */

static ngx_uint_t
ngx_http_osb_registry_like(ngx_http_osb_shared_t *shared,
                           ngx_http_osb_node_t   *node,
                           ngx_http_osb_record_t *record)
{
    record->generation = node->record.generation;
    record->edition = node->record.edition;
    record->epoch = node->record.epoch;

    return ngx_http_osb_node_holds(shared, node, record);
}


ngx_uint_t
ngx_http_osb_registry_same(ngx_http_osb_zone_t   *zone,
                           ngx_http_osb_record_t *record)
{
    uint32_t             hash, link;
    ngx_str_t            id;
    ngx_uint_t           same;
    ngx_http_osb_node_t *node;

    id = ngx_http_osb_text(record, &record->id);
    hash = ngx_murmur_hash2(id.data, id.len);
    same = 0;

    ngx_http_osb_registry_lock(zone);

    link = *ngx_http_osb_table_find(zone->shared, &id, hash);

    if (link) {
        node = ngx_http_osb_node_at(zone->shared, link);

        same = ngx_http_osb_registry_like(zone->shared, node, record);

        if (same) {
            node->record.epoch = zone->shared->epoch;
        }
    }

    ngx_http_osb_registry_unlock(zone);

    return same;
}


time_t
ngx_http_osb_registry_renew(ngx_http_osb_zone_t *zone, ngx_str_t *id,
                            time_t now, time_t min_interval)
{
    time_t               last;
    uint32_t             hash, link;
    ngx_http_osb_node_t *node;

    hash = ngx_murmur_hash2(id->data, id->len);
    last = now;

    ngx_http_osb_registry_lock(zone);

    link = *ngx_http_osb_table_find(zone->shared, id, hash);

    if (link) {
        node = ngx_http_osb_node_at(zone->shared, link);
        last = node->told;

        /* the clock may have been set back */

        if (last > now || now - last >= min_interval) {
            node->told = (uint32_t) now;
            last = 0;
        }
    }

    ngx_http_osb_registry_unlock(zone);

    return last;
}


/*
 * A full zone still takes what fits in the old place; of what takes rights away
 * it takes at least that, which is NGX_DONE.
 */

static ngx_int_t
ngx_http_osb_registry_overwrite(ngx_http_osb_zone_t   *zone,
                                ngx_http_osb_node_t   *node,
                                ngx_http_osb_record_t *record,
                                ngx_uint_t             revokes)
{
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;

    if (record->size <= shared->room &&
        ngx_http_osb_node_fits(node, record->size)) {
        ngx_http_osb_journal_begin(zone);
        ngx_http_osb_table_stamp(shared, node, record);
        ngx_http_osb_journal_rewrite(shared, node, record);
        ngx_http_osb_journal_end(zone);

        return NGX_OK;
    }

    if (revokes) {
        ngx_http_osb_registry_withhold(zone, node, revokes);
        return NGX_DONE;
    }

    return NGX_ERROR;
}


/* Leaves the node's record without what is to be taken away. */

static void
ngx_http_osb_registry_withhold(ngx_http_osb_zone_t *zone,
                               ngx_http_osb_node_t *node, ngx_uint_t revokes)
{
    uint32_t               epoch;
    ngx_http_osb_whole_t   copy;
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;

    ngx_http_osb_node_read(shared, node, &copy.record, node->record.size);

    /* it is no record of the present configuration */
    epoch = copy.record.epoch;

    /* the journal of a small zone has no room for every policy */

    if ((revokes & NGX_HTTP_OSB_REVOKES_POLICY) ||
        copy.record.size > shared->room) {
        copy.record.size = copy.record.lean;
    }

    ngx_http_osb_journal_begin(zone);
    ngx_http_osb_table_stamp(shared, node, &copy.record);

    copy.record.epoch = epoch;

    if (revokes & NGX_HTTP_OSB_REVOKES_ENTRY) {
        copy.record.ready = 0;
        copy.record.generation = ++shared->generation;
    }

    ngx_http_osb_journal_rewrite(shared, node, &copy.record);
    ngx_http_osb_journal_end(zone);
}
