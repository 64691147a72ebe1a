/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The mark that a change is under way, and changes in place.  What is to be
 * written over a record is in the journal before; its other part, the link of
 * the node, is set for as long as that takes.
 */


void
ngx_http_osb_journal_begin(ngx_http_osb_zone_t *zone)
{
    zone->shared->changing = 1;
    ngx_memory_barrier();
}


void
ngx_http_osb_journal_end(ngx_http_osb_zone_t *zone)
{
    ngx_memory_barrier();
    zone->shared->changing = 0;
    zone->shared->changes++;
}


void
ngx_http_osb_journal_rewrite(ngx_http_osb_shared_t *shared,
                             ngx_http_osb_node_t   *node,
                             ngx_http_osb_record_t *record)
{
    shared->nready += ngx_http_osb_record_serves(record) -
                      ngx_http_osb_record_serves(&node->record);
    ngx_http_osb_source_count_node(shared, node, -1);
    ngx_http_osb_source_count(shared, record, 1);

    if (record->state != node->record.state) {
        node->told = 0;
    }

    ngx_memcpy(shared->journal, record, record->size);
    ngx_memory_barrier();
    shared->rewriting = ngx_http_osb_node_link(shared, node);
    ngx_memory_barrier();

    ngx_http_osb_node_write(shared, node, record);

    ngx_memory_barrier();
    shared->rewriting = 0;
}


void
ngx_http_osb_journal_replay(ngx_http_osb_shared_t *shared)
{
    ngx_http_osb_node_t *node;

    if (shared->rewriting == 0) {
        return;
    }

    node = ngx_http_osb_node_at(shared, shared->rewriting);
    ngx_http_osb_node_write(shared, node,
                            (ngx_http_osb_record_t *) shared->journal);

    ngx_memory_barrier();
    shared->rewriting = 0;
}
