/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * An array that is all of a source: what is new comes, what has changed
 * changes, what is not in it goes, and the rest is not touched.  All of that is
 * one batch.  Arrays of one source that come together are taken one after the
 * other, in the order in which they have been read.
 */


static ngx_int_t
ngx_http_osb_feed_claim(ngx_http_osb_bulk_t *bulk);
static void
ngx_http_osb_feed_scan(ngx_http_osb_bulk_t *bulk);
static ngx_http_osb_record_t *
ngx_http_osb_feed_gone(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_feed_remove(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_feed_add(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_feed_reply(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_feed_full(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_feed_delete(ngx_http_osb_bulk_t *bulk);


ngx_int_t
ngx_http_osb_api_feed(ngx_http_osb_call_t *call)
{
    u_char              *buf;
    ngx_str_t            value;
    ngx_http_osb_bulk_t *bulk;

    /* nobody is to lose all records of the API by a slip */

    if (ngx_http_osb_api_arg(call->request, "source", &value) != NGX_OK) {
        ngx_http_osb_fault(&call->fault, "source",
                           "all records of which source? ?source= says so");
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument");
    }

    bulk = ngx_http_osb_bulk_create(call->request);
    buf = ngx_palloc(call->request->pool, NGX_HTTP_OSB_WALK_SIZE);

    if (bulk == NULL || buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    bulk->ready = ngx_http_osb_feed_claim;
    bulk->full = ngx_http_osb_feed_full;
    bulk->reply = ngx_http_osb_feed_reply;

    bulk->walk.buf = buf;

    return ngx_http_osb_bulk_run(bulk, call);
}


/* Waits for those that were before. */

static ngx_int_t
ngx_http_osb_feed_claim(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t rc;

    rc = ngx_http_osb_batch_claim(&bulk->batch, &bulk->call.source);

    if (rc == NGX_AGAIN) {
        return NGX_BUSY;
    }

    if (rc != NGX_OK) {
        return ngx_http_osb_bulk_refuse(bulk, rc);
    }

    ngx_http_osb_feed_scan(bulk);
    bulk->step = ngx_http_osb_feed_remove;

    return NGX_AGAIN;
}


/* Begins to look for what is gone. */

static void
ngx_http_osb_feed_scan(ngx_http_osb_bulk_t *bulk)
{
    ngx_http_osb_walk_start(&bulk->walk, bulk->call.zone, bulk->walk.buf);
    bulk->removed = 0;
}


/*
 * The next record if it is one of the source and the array has it not; another
 * one is not returned.  At the end walk.at is empty.
 */

static ngx_http_osb_record_t *
ngx_http_osb_feed_gone(ngx_http_osb_bulk_t *bulk)
{
    ngx_str_t              id, source;
    ngx_http_osb_record_t *record;

    record = ngx_http_osb_walk_next(&bulk->walk);

    if (record == NULL) {
        bulk->walk.at.len = 0;
        return NULL;
    }

    id = ngx_http_osb_text(record, &record->id);
    source = ngx_http_osb_record_source(record);

    return ngx_memn2cmp(source.data, bulk->call.source.data, source.len,
                        bulk->call.source.len) == 0 &&
                   !ngx_http_osb_array_has(&bulk->array, &id)
               ? record
               : NULL;
}


static ngx_int_t
ngx_http_osb_feed_remove(ngx_http_osb_bulk_t *bulk)
{
    ngx_http_osb_record_t *record;

    record = ngx_http_osb_feed_gone(bulk);

    if (record) {
        bulk->removed++;

        if (ngx_http_osb_batch_remove(&bulk->batch, record) != NGX_OK) {
            return ngx_http_osb_bulk_refuse(bulk, NGX_ERROR);
        }

    } else if (bulk->walk.at.len == 0) {
        bulk->at = bulk->array.items;
        bulk->step = ngx_http_osb_feed_add;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_feed_add(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t              rc;
    ngx_http_osb_record_t *record;

    if (bulk->at == NULL) {
        return ngx_http_osb_bulk_commit(bulk);
    }

    record = bulk->at->record;
    rc = ngx_http_osb_registry_compare(bulk->call.zone, record);

    if (rc == NGX_OK) {
        bulk->unchanged++;

    } else if (rc == NGX_ABORT) {
        (void) ngx_http_osb_bulk_conflict(bulk, record);

    } else if (ngx_http_osb_batch_add(&bulk->batch, record) != NGX_OK) {
        return ngx_http_osb_bulk_refuse(bulk, NGX_ERROR);
    }

    bulk->changed += (rc == NGX_AGAIN);
    bulk->added += (rc == NGX_DECLINED);

    bulk->at = bulk->at->next;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_feed_reply(ngx_http_osb_bulk_t *bulk)
{
    json_t    *answer, *warnings;
    ngx_uint_t skipped;

    /* an id that another source has put meanwhile was nobody's mostly */

    skipped = ngx_min(bulk->batch.skipped, bulk->added);
    warnings = ngx_http_osb_array_warnings(&bulk->array);

    answer = json_pack(
        "{s:I,s:I,s:I,s:I,s:O}", "added", (json_int_t) (bulk->added - skipped),
        "changed",
        (json_int_t) (bulk->changed - (bulk->batch.skipped - skipped)),
        "removed", (json_int_t) bulk->removed, "unchanged",
        (json_int_t) bulk->unchanged, "conflicts", bulk->conflicts);

    if (warnings) {
        (void) json_object_set(answer, "warnings", warnings);
    }

    return ngx_http_osb_bulk_answer(
        bulk, ngx_http_osb_api_send(bulk->call.request, NGX_HTTP_OK, answer));
}


/* A full zone has no room even for what is to go: one after the other does. */

static ngx_int_t
ngx_http_osb_feed_full(ngx_http_osb_bulk_t *bulk)
{
    ngx_http_osb_feed_scan(bulk);
    bulk->step = ngx_http_osb_feed_delete;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_feed_delete(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t              rc;
    ngx_str_t              id;
    ngx_http_osb_record_t *record;

    record = ngx_http_osb_feed_gone(bulk);

    if (record) {
        id = ngx_http_osb_text(record, &record->id);

        /* one that has changed meanwhile is newer than the array */

        rc = ngx_http_osb_registry_swap(bulk->call.zone, &id, record, NULL);

        if (rc == NGX_BUSY) {
            return ngx_http_osb_bulk_answer(
                bulk, ngx_http_osb_api_not_taken(&bulk->call, rc));
        }

        bulk->removed += (rc == NGX_OK);

    } else if (bulk->walk.at.len == 0) {
        bulk->at = bulk->array.items;
        bulk->step = ngx_http_osb_bulk_revoke;
    }

    return NGX_AGAIN;
}
