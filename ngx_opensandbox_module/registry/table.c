/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The nodes of all records: a hash table for requests, and a tree for the order
 * of ids.
 */


uint32_t *
ngx_http_osb_table_find(ngx_http_osb_shared_t *shared, ngx_str_t *id,
                        uint32_t hash)
{
    uint32_t            *link;
    ngx_http_osb_node_t *node;

    link = &shared->buckets[hash & shared->mask];

    while (*link) {
        node = ngx_http_osb_node_at(shared, *link);

        if (node->hash == hash &&
            (node->record.id.offset + id->len <= node->head
                 ? node->record.id.len == id->len &&
                       ngx_memcmp((u_char *) &node->record +
                                      node->record.id.offset,
                                  id->data, id->len) == 0
                 : ngx_http_osb_node_named(shared, node, id)))
        {
            break;
        }

        link = &node->next;
    }

    return link;
}


ngx_http_osb_node_t *
ngx_http_osb_table_publish(ngx_http_osb_shared_t *shared,
                           ngx_http_osb_node_t   *node,
                           ngx_http_osb_record_t *record)
{
    uint32_t            *link;
    ngx_str_t            id;
    ngx_http_osb_named_t buf;
    ngx_http_osb_node_t *old;

    id = ngx_http_osb_node_id(shared, node, &buf);

    link = ngx_http_osb_table_find(shared, &id, node->hash);
    old = NULL;

    if (*link) {
        old = ngx_http_osb_node_at(shared, *link);
        ngx_http_osb_source_count_node(shared, old, -1);
        shared->nready -= ngx_http_osb_record_serves(&old->record);
        node->told = old->record.state == record->state ? old->told : 0;
        node->next = old->next;

    } else {
        shared->nrecords++;
    }

    ngx_http_osb_table_stamp(shared, old, record);

    node->record.generation = record->generation;
    node->record.edition = record->edition;
    node->record.epoch = record->epoch;
    shared->nready += ngx_http_osb_record_serves(record);
    ngx_http_osb_source_count(shared, record, 1);

    ngx_memory_barrier();
    *link = ngx_http_osb_node_link(shared, node);

    if (old) {
        ngx_http_osb_tree_replace(shared, old, node);

    } else {
        ngx_http_osb_tree_insert(shared, node);
    }

    return old;
}


uint32_t *
ngx_http_osb_table_link(ngx_http_osb_shared_t *shared, uint32_t hash,
                        uint32_t node)
{
    uint32_t *link;

    link = &shared->buckets[hash & shared->mask];

    while (*link && *link != node) {
        link = &ngx_http_osb_node_at(shared, *link)->next;
    }

    return link;
}


ngx_http_osb_node_t *
ngx_http_osb_table_remove(ngx_http_osb_shared_t *shared, uint32_t *link)
{
    ngx_http_osb_node_t *node;

    node = ngx_http_osb_node_at(shared, *link);

    *link = node->next;
    ngx_http_osb_tree_delete(shared, node);
    shared->nrecords--;
    shared->nready -= ngx_http_osb_record_serves(&node->record);
    ngx_http_osb_source_count_node(shared, node, -1);
    shared->editions++;

    return node;
}


ngx_http_osb_node_t *
ngx_http_osb_table_unlink(ngx_http_osb_zone_t *zone, uint32_t *link)
{
    ngx_http_osb_node_t *node;

    ngx_http_osb_journal_begin(zone);
    node = ngx_http_osb_table_remove(zone->shared, link);
    ngx_http_osb_journal_end(zone);

    return node;
}


void
ngx_http_osb_table_stamp(ngx_http_osb_shared_t *shared,
                         ngx_http_osb_node_t   *old,
                         ngx_http_osb_record_t *record)
{
    ngx_http_osb_copy_t before;

    record->epoch = shared->epoch;

    if (old) {
        ngx_http_osb_node_read(shared, old, &before.record, old->record.lean);
    }

    if (old && ngx_http_osb_record_same(&before.record, record)) {
        record->generation = before.record.generation;

    } else {
        record->generation = ++shared->generation;
    }

    if (old && ngx_http_osb_node_policy_same(shared, old, record)) {
        record->edition = before.record.edition;

    } else {
        record->edition = ++shared->editions;
    }
}
