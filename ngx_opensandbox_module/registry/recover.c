/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What a process leaves that dies in a change of any kind.  Whoever takes the
 * lock next comes here by zone->recover, before it sees a record: the change
 * in place is done once more, and tree and counts are made anew of the chains,
 * which are whole at any instant.
 */


void
ngx_http_osb_recover(ngx_http_osb_zone_t *zone)
{
    uint32_t               link;
    ngx_uint_t             i;
    ngx_http_osb_node_t   *node;
    ngx_http_osb_shared_t *shared;

    shared = zone->shared;

    ngx_http_osb_journal_replay(shared);

    ngx_http_osb_tree_init(shared);
    shared->nrecords = 0;
    shared->nready = 0;

    for (i = 0; i < NGX_HTTP_OSB_SOURCES; i++) {
        shared->sources[i].records = 0;
    }

    for (i = 0; i <= shared->mask; i++) {
        for (link = shared->buckets[i]; link; link = node->next) {
            node = ngx_http_osb_node_at(shared, link);
            ngx_http_osb_tree_insert(shared, node);
            shared->nrecords++;
            shared->nready += ngx_http_osb_record_serves(&node->record);
            ngx_http_osb_source_count_node(shared, node, 1);
        }
    }

    ngx_http_osb_batch_recover(zone);

    /* the policy of the last change may be a new one */
    shared->editions++;

    ngx_http_osb_journal_end(zone);
}
