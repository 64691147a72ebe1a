/* SPDX-License-Identifier: Apache-2.0 */

#include "node.h"


/*
 * Changes in place, and what a process leaves that dies in a change of any
 * kind.  What is to be written over a record is in the journal before; its
 * other part, the link of the node, is set for as long as that takes.
 */


void
ngx_http_osb_registry_rewrite(ngx_http_osb_shared_t *shared,
                              ngx_http_osb_node_t   *node,
                              ngx_http_osb_record_t *record)
{
    shared->nready += record->ready - node->record.ready;

    ngx_memcpy(shared->journal, record, record->size);
    ngx_memory_barrier();
    shared->rewriting = ngx_http_osb_node_link(shared, node);
    ngx_memory_barrier();

    ngx_http_osb_node_write(shared, node, record);

    ngx_memory_barrier();
    shared->rewriting = 0;
}


void
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

    ngx_http_osb_registry_begin(zone);
    ngx_http_osb_registry_stamp(shared, node, &copy.record);

    copy.record.epoch = epoch;

    if (revokes & NGX_HTTP_OSB_REVOKES_ENTRY) {
        copy.record.ready = 0;
        copy.record.generation = ++shared->generation;
    }

    ngx_http_osb_registry_rewrite(shared, node, &copy.record);
    ngx_http_osb_registry_end(zone);
}


void
ngx_http_osb_registry_recover(ngx_http_osb_zone_t *zone)
{
    uint32_t               link;
    ngx_uint_t             i;
    ngx_http_osb_node_t   *node;
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;

    if (shared->rewriting) {
        node = ngx_http_osb_node_at(shared, shared->rewriting);
        ngx_http_osb_node_write(shared, node,
                                (ngx_http_osb_record_t *) shared->journal);
        ngx_memory_barrier();
        shared->rewriting = 0;
    }

    ngx_http_osb_tree_init(shared);
    shared->nrecords = 0;
    shared->nready = 0;

    for (i = 0; i <= shared->mask; i++) {
        for (link = shared->buckets[i]; link; link = node->next) {
            node = ngx_http_osb_node_at(shared, link);
            ngx_http_osb_tree_insert(shared, node);
            shared->nrecords++;
            shared->nready += node->record.ready;
        }
    }

    ngx_http_osb_batch_recover(zone);

    /* the policy of the last change may be a new one */
    shared->editions++;

    ngx_http_osb_registry_end(zone);
}
