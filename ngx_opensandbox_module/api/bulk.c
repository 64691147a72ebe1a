/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * An array of records, all or none.  It may have a hundred thousand of them,
 * and a worker has others to serve: so it is read, given room and published in
 * slices of the event loop, each of which ends after some milliseconds.
 */


#define NGX_HTTP_OSB_BULK_SLICE 2 /* milliseconds */


typedef struct ngx_http_osb_bulk_s ngx_http_osb_bulk_t;

/* NGX_AGAIN if there is more to do, NGX_DONE if it is answered */
typedef ngx_int_t (*ngx_http_osb_step_pt)(ngx_http_osb_bulk_t *bulk);

struct ngx_http_osb_bulk_s {
    ngx_http_osb_call_t  call;
    ngx_http_osb_array_t array;
    ngx_http_osb_step_pt step;
    ngx_event_t          event;
    ngx_http_osb_batch_t batch;
    ngx_http_osb_item_t *at;
    ngx_int_t            refusal; /* why it is not taken */
    json_t              *revoked; /* ids */
    ngx_int_t            rc;      /* what finalizes the request */
};


static void
ngx_http_osb_bulk_event(ngx_event_t *ev);
static ngx_int_t
ngx_http_osb_bulk_slice(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_answer(ngx_http_osb_bulk_t *bulk, ngx_int_t rc);
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
ngx_http_osb_bulk_abort(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_revoke(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_full(ngx_http_osb_bulk_t *bulk);
static void
ngx_http_osb_bulk_cleanup(void *data);


ngx_int_t
ngx_http_osb_api_bulk(ngx_http_osb_call_t *call)
{
    static ngx_str_t none; /* a collection has no tag */

    ngx_int_t            rc;
    ngx_http_request_t  *r;
    ngx_http_cleanup_t  *cln;
    ngx_http_osb_bulk_t *bulk;

    r = call->request;

    rc = ngx_http_osb_api_judge(r, &none);
    if (rc != NGX_OK) {
        return ngx_http_osb_api_refuted(call, rc, NULL);
    }

    bulk = ngx_pcalloc(r->pool, sizeof(ngx_http_osb_bulk_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (bulk == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_osb_bulk_cleanup;
    cln->data = bulk;

    bulk->call = *call;

    bulk->event.handler = ngx_http_osb_bulk_event;
    bulk->event.data = bulk;
    bulk->event.log = r->connection->log;

    bulk->step = ngx_http_osb_bulk_start;

    if (ngx_http_osb_bulk_slice(bulk) == NGX_AGAIN) {

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


/* As much as a slice takes; with NGX_AGAIN there will be another. */

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

    if (rc == NGX_AGAIN) {

        /* a timer, for which a worker that is to end waits, and a later one */

        ngx_add_timer(&bulk->event, 1);
    }

    return rc;
}


static ngx_int_t
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

    bulk->at = bulk->array.items;
    bulk->step = ngx_http_osb_bulk_add;

    if (ngx_http_osb_batch_open(&bulk->batch, bulk->call.zone) != NGX_OK) {
        bulk->refusal = NGX_ERROR;
        bulk->step = ngx_http_osb_bulk_abort;
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
        bulk->refusal = ngx_http_osb_batch_commit(&bulk->batch);
        bulk->step = (bulk->refusal == NGX_OK) ? ngx_http_osb_bulk_publish
                                               : ngx_http_osb_bulk_abort;
        return NGX_AGAIN;
    }

    if (ngx_http_osb_batch_add(&bulk->batch, bulk->at->record) != NGX_OK) {
        bulk->refusal = NGX_ERROR;
        bulk->step = ngx_http_osb_bulk_abort;
        return NGX_AGAIN;
    }

    bulk->at = bulk->at->next;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_bulk_publish(ngx_http_osb_bulk_t *bulk)
{
    json_t    *answer, *warnings;
    ngx_uint_t replaced;

    if (ngx_http_osb_batch_publish(&bulk->batch) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_http_osb_batch_close(&bulk->batch);

    replaced = bulk->batch.replaced;
    warnings = ngx_http_osb_array_warnings(&bulk->array);

    answer = json_pack("{s:I,s:I}", "created",
                       (json_int_t) (bulk->array.n - replaced), "replaced",
                       (json_int_t) replaced);

    if (warnings) {
        (void) json_object_set(answer, "warnings", warnings);
    }

    return ngx_http_osb_bulk_answer(
        bulk, ngx_http_osb_api_send(bulk->call.request, NGX_HTTP_OK, answer));
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

    if (bulk->refusal == NGX_BUSY) {
        return ngx_http_osb_bulk_answer(
            bulk, ngx_http_osb_api_not_taken(&bulk->call, NGX_BUSY));
    }

    bulk->at = bulk->array.items;
    bulk->revoked = json_array();
    bulk->step = ngx_http_osb_bulk_revoke;

    return NGX_AGAIN;
}


static ngx_int_t
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

    if (json_array_size(bulk->revoked) == 0) {
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
    json_decref(bulk->array.warnings);

    if (bulk->batch.link) {
        ngx_http_osb_batch_end(&bulk->batch);
    }
}
