/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * An array of records, all or none.  It may have a hundred thousand of them,
 * and a worker has others to serve: so it is read, given room and published in
 * slices of the event loop, each of which ends after some milliseconds.
 */


#define NGX_HTTP_OSB_BULK_SLICE 2 /* milliseconds */


/* others have to come to an end first */
#define NGX_HTTP_OSB_BULK_PAUSE 10


static void
ngx_http_osb_bulk_event(ngx_event_t *ev);
static ngx_int_t
ngx_http_osb_bulk_slice(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_start(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_read(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_bad(ngx_http_osb_bulk_t *bulk, ngx_int_t rc);
static ngx_int_t
ngx_http_osb_bulk_add(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_publish(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_skipped(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_reply(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_abort(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_conflicting(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_full(ngx_http_osb_bulk_t *bulk);
static void
ngx_http_osb_bulk_cleanup(void *data);


ngx_int_t
ngx_http_osb_api_bulk(ngx_http_osb_call_t *call)
{
    ngx_http_osb_bulk_t *bulk;

    bulk = ngx_http_osb_bulk_create(call->request);
    if (bulk == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    bulk->ready = ngx_http_osb_bulk_add;
    bulk->full = ngx_http_osb_bulk_revoke;
    bulk->reply = ngx_http_osb_bulk_reply;

    return ngx_http_osb_bulk_run(bulk, call);
}


ngx_http_osb_bulk_t *
ngx_http_osb_bulk_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_osb_bulk_t *bulk;

    bulk = ngx_pcalloc(r->pool, sizeof(ngx_http_osb_bulk_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (bulk == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_osb_bulk_cleanup;
    cln->data = bulk;

    return bulk;
}


ngx_int_t
ngx_http_osb_bulk_run(ngx_http_osb_bulk_t *bulk, ngx_http_osb_call_t *call)
{
    static ngx_str_t none; /* a collection has no tag */

    ngx_int_t           rc;
    ngx_http_request_t *r;

    r = call->request;

    rc = ngx_http_osb_api_judge(r, &none);
    if (rc != NGX_OK) {
        return ngx_http_osb_api_refuted(call, rc, NULL);
    }

    bulk->call = *call;

    bulk->event.handler = ngx_http_osb_bulk_event;
    bulk->event.data = bulk;
    bulk->event.log = r->connection->log;

    bulk->step = ngx_http_osb_bulk_start;

    if (ngx_http_osb_bulk_slice(bulk) != NGX_DONE) {

        /* it goes on whether or not the client waits for the answer */

        r->read_event_handler = ngx_http_block_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        call->held = 1;
        return NGX_DONE;
    }

    return bulk->rc;
}


static void
ngx_http_osb_bulk_event(ngx_event_t *ev)
{
    ngx_http_osb_bulk_t *bulk = ev->data;

    ngx_connection_t   *c;
    ngx_http_request_t *r;

    r = bulk->call.request;
    c = r->connection;

    if (ngx_http_osb_bulk_slice(bulk) == NGX_DONE) {
        ngx_http_finalize_request(r, bulk->rc);
        ngx_http_run_posted_requests(c);
    }
}


/* As much as a slice takes; there will be another but for NGX_DONE. */

static ngx_int_t
ngx_http_osb_bulk_slice(ngx_http_osb_bulk_t *bulk)
{
    int64_t         end, now;
    ngx_int_t       rc;
    struct timespec ts;

    end = 0;

    do {
        rc = bulk->step(bulk);

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        now = (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;

        if (end == 0) {
            end = now + NGX_HTTP_OSB_BULK_SLICE * 1000;
        }
    } while (rc == NGX_AGAIN && now < end);

    if (rc != NGX_DONE) {

        /* a timer, for which a worker that is to end waits, and a later one */

        ngx_add_timer(&bulk->event,
                      rc == NGX_BUSY ? NGX_HTTP_OSB_BULK_PAUSE : 1);
    }

    return rc;
}


ngx_int_t
ngx_http_osb_bulk_answer(ngx_http_osb_bulk_t *bulk, ngx_int_t rc)
{
    bulk->rc = rc;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_osb_bulk_start(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t rc;

    rc = ngx_http_osb_array_start(&bulk->array, &bulk->call);

    if (rc != NGX_OK) {
        return ngx_http_osb_bulk_bad(bulk, rc);
    }

    bulk->step = ngx_http_osb_bulk_read;

    return NGX_AGAIN;
}


/* Reads a record of the array, or its end. */

static ngx_int_t
ngx_http_osb_bulk_read(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t rc;

    rc = ngx_http_osb_array_next(&bulk->array);

    if (rc == NGX_OK) {
        return NGX_AGAIN;
    }

    if (rc != NGX_DONE) {
        return ngx_http_osb_bulk_bad(bulk, rc);
    }

    if (ngx_http_osb_api_source_reserve(&bulk->call) != NGX_OK) {
        return ngx_http_osb_bulk_answer(
            bulk, ngx_http_osb_api_sources_full(&bulk->call));
    }

    bulk->at = bulk->array.items;
    bulk->conflicts = json_array();
    bulk->step = bulk->ready;

    if (ngx_http_osb_batch_open(&bulk->batch, bulk->call.zone) != NGX_OK) {
        return ngx_http_osb_bulk_refuse(bulk, NGX_ERROR);
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_bulk_bad(ngx_http_osb_bulk_t *bulk, ngx_int_t rc)
{
    if (rc == NGX_ERROR) {
        return ngx_http_osb_bulk_answer(bulk, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    return ngx_http_osb_bulk_answer(
        bulk, ngx_http_osb_api_fault(&bulk->call, NGX_HTTP_BAD_REQUEST,
                                     bulk->array.code));
}


/* Finds room for a record; behind the last one all are decided on. */

static ngx_int_t
ngx_http_osb_bulk_add(ngx_http_osb_bulk_t *bulk)
{
    if (bulk->at == NULL) {
        return ngx_http_osb_bulk_commit(bulk);
    }

    if (ngx_http_osb_registry_compare(bulk->call.zone, bulk->at->record) ==
        NGX_ABORT)
    {
        return ngx_http_osb_bulk_refuse(bulk, NGX_ABORT);
    }

    if (ngx_http_osb_batch_add(&bulk->batch, bulk->at->record) != NGX_OK) {
        return ngx_http_osb_bulk_refuse(bulk, NGX_ERROR);
    }

    bulk->at = bulk->at->next;

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_osb_bulk_commit(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t rc;

    rc = ngx_http_osb_batch_commit(&bulk->batch);

    if (rc != NGX_OK) {
        return ngx_http_osb_bulk_refuse(bulk, rc);
    }

    bulk->step = ngx_http_osb_bulk_publish;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_bulk_publish(ngx_http_osb_bulk_t *bulk)
{
    if (ngx_http_osb_batch_publish(&bulk->batch) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_http_osb_batch_close(&bulk->batch);

    bulk->step = bulk->reply;

    if (bulk->batch.skipped) {
        (void) json_array_clear(bulk->conflicts);
        bulk->at = bulk->array.items;
        bulk->step = ngx_http_osb_bulk_skipped;
    }

    return NGX_AGAIN;
}


/* Looks for those that other sources have put while these were on their way. */

static ngx_int_t
ngx_http_osb_bulk_skipped(ngx_http_osb_bulk_t *bulk)
{
    ngx_http_osb_record_t *record;

    if (bulk->at == NULL) {
        bulk->step = bulk->reply;
        return NGX_AGAIN;
    }

    record = bulk->at->record;
    bulk->at = bulk->at->next;

    return ngx_http_osb_registry_compare(bulk->call.zone, record) == NGX_ABORT
               ? ngx_http_osb_bulk_conflict(bulk, record)
               : NGX_AGAIN;
}


ngx_int_t
ngx_http_osb_bulk_conflict(ngx_http_osb_bulk_t   *bulk,
                           ngx_http_osb_record_t *record)
{
    ngx_str_t id;

    id = ngx_http_osb_text(record, &record->id);

    (void) json_array_append_new(bulk->conflicts,
                                 json_stringn((char *) id.data, id.len));

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_bulk_reply(ngx_http_osb_bulk_t *bulk)
{
    json_t    *answer, *warnings;
    ngx_uint_t taken, replaced;

    replaced = bulk->batch.replaced;
    taken = bulk->array.n - bulk->batch.skipped;
    warnings = ngx_http_osb_array_warnings(&bulk->array);

    answer = json_pack("{s:I,s:I}", "created", (json_int_t) (taken - replaced),
                       "replaced", (json_int_t) replaced);

    if (bulk->batch.skipped) {
        (void) json_object_set(answer, "conflicts", bulk->conflicts);
    }

    if (warnings) {
        (void) json_object_set(answer, "warnings", warnings);
    }

    return ngx_http_osb_bulk_answer(
        bulk, ngx_http_osb_api_send(bulk->call.request, NGX_HTTP_OK, answer));
}


ngx_int_t
ngx_http_osb_bulk_refuse(ngx_http_osb_bulk_t *bulk, ngx_int_t refusal)
{
    bulk->refusal = refusal;
    bulk->step = ngx_http_osb_bulk_abort;

    return NGX_AGAIN;
}


/* None of them; but in a full zone, what they take away. */

static ngx_int_t
ngx_http_osb_bulk_abort(ngx_http_osb_bulk_t *bulk)
{
    if (bulk->batch.link) {

        if (ngx_http_osb_batch_abort(&bulk->batch) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ngx_http_osb_batch_close(&bulk->batch);
    }

    if (bulk->refusal == NGX_ABORT) {
        return ngx_http_osb_bulk_conflicting(bulk);
    }

    if (bulk->refusal == NGX_DECLINED) {
        ngx_http_osb_fault(&bulk->call.fault, "",
                           "a later array of all records of this source has "
                           "been taken");
        return ngx_http_osb_bulk_answer(
            bulk,
            ngx_http_osb_api_fault(&bulk->call, NGX_HTTP_CONFLICT, "conflict"));
    }

    if (bulk->refusal == NGX_BUSY) {
        return ngx_http_osb_bulk_answer(
            bulk, ngx_http_osb_api_not_taken(&bulk->call, NGX_BUSY));
    }

    bulk->at = bulk->array.items;
    bulk->revoked = json_array();
    bulk->step = bulk->full;

    return NGX_AGAIN;
}


/* The record that is next is another source's. */

static ngx_int_t
ngx_http_osb_bulk_conflicting(ngx_http_osb_bulk_t *bulk)
{
    ngx_str_t              id;
    ngx_http_osb_copy_t    copy;
    ngx_http_osb_record_t *record;

    record = bulk->at->record;
    id = ngx_http_osb_text(record, &record->id);

    if (ngx_http_osb_registry_route(bulk->call.zone, &id, &copy.record,
                                    sizeof(copy)) != NGX_OK)
    {
        /* it has gone meanwhile */

        return ngx_http_osb_bulk_answer(
            bulk, ngx_http_osb_api_not_taken(&bulk->call, NGX_BUSY));
    }

    return ngx_http_osb_bulk_answer(
        bulk, ngx_http_osb_api_held(&bulk->call, &copy.record));
}


ngx_int_t
ngx_http_osb_bulk_revoke(ngx_http_osb_bulk_t *bulk)
{
    ngx_int_t              rc;
    ngx_str_t              id;
    ngx_http_osb_whole_t   copy;
    ngx_http_osb_record_t *record;

    if (bulk->at == NULL) {
        return ngx_http_osb_bulk_full(bulk);
    }

    record = bulk->at->record;
    id = ngx_http_osb_text(record, &record->id);

    if (ngx_http_osb_registry_get(bulk->call.zone, &id, &copy.record) ==
            NGX_OK &&
        ngx_http_osb_record_yields(&copy.record, record) &&
        ngx_http_osb_record_revokes(&copy.record, record))
    {
        rc = ngx_http_osb_registry_swap(bulk->call.zone, &id, &copy.record,
                                        record);
        if (rc == NGX_DECLINED) {

            /* another change came first */

            return NGX_AGAIN;
        }

        if (rc == NGX_BUSY) {
            return ngx_http_osb_bulk_answer(
                bulk, ngx_http_osb_api_not_taken(&bulk->call, rc));
        }

        (void) json_array_append_new(bulk->revoked,
                                     json_stringn((char *) id.data, id.len));
    }

    bulk->at = bulk->at->next;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_bulk_full(ngx_http_osb_bulk_t *bulk)
{
    json_t *object;

    if (json_array_size(bulk->revoked) == 0 && bulk->removed == 0) {
        return ngx_http_osb_bulk_answer(
            bulk, ngx_http_osb_api_not_taken(&bulk->call, NGX_ERROR));
    }

    ngx_log_error(NGX_LOG_ERR, bulk->call.request->connection->log, 0,
                  "opensandbox_zone \"%V\" is full",
                  &bulk->call.zone->shm_zone->shm.name);

    object = json_pack(
        "{s:s,s:s,s:O}", "code", "full", "message",
        "the zone is full; of the records only those are taken that take "
        "something away, or their sandboxes are not ready or their policies "
        "deny all",
        "revoked", bulk->revoked);

    if (bulk->ready != ngx_http_osb_bulk_add) {
        (void) json_object_set_new(object, "removed",
                                   json_integer((json_int_t) bulk->removed));
    }

    return ngx_http_osb_bulk_answer(
        bulk, ngx_http_osb_api_send(bulk->call.request,
                                    NGX_HTTP_INSUFFICIENT_STORAGE, object));
}


/* What is decided is done, also where the request is cut off. */

static void
ngx_http_osb_bulk_cleanup(void *data)
{
    ngx_http_osb_bulk_t *bulk = data;

    if (bulk->event.timer_set) {
        ngx_del_timer(&bulk->event);
    }

    json_decref(bulk->revoked);
    json_decref(bulk->conflicts);
    json_decref(bulk->array.warnings);

    if (bulk->batch.link) {
        ngx_http_osb_batch_end(&bulk->batch);
    }
}
