/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * An array of records, all or none.  It may have a hundred thousand of them,
 * and a worker has others to serve: so it is read, given room and published in
 * slices of the event loop, each of which ends after some milliseconds.
 */


#define NGX_HTTP_OSB_BULK_MAX   100000
#define NGX_HTTP_OSB_BULK_SLICE 2 /* milliseconds */

/* warnings in an answer; of more, how many there are */
#define NGX_HTTP_OSB_BULK_WARNINGS 100

/* bytes of the body for a head of the table of ids */
#define NGX_HTTP_OSB_BULK_SPREAD 128


typedef struct ngx_http_osb_item_s ngx_http_osb_item_t;

struct ngx_http_osb_item_s {
    ngx_http_osb_record_t *record;
    ngx_http_osb_item_t   *next;
    ngx_http_osb_item_t   *same; /* of the same head */
};


typedef struct ngx_http_osb_bulk_s ngx_http_osb_bulk_t;

/* NGX_AGAIN if there is more to do; else what finalizes the request */
typedef ngx_int_t (*ngx_http_osb_step_pt)(ngx_http_osb_bulk_t *bulk);

struct ngx_http_osb_bulk_s {
    ngx_http_osb_call_t   call;
    ngx_http_osb_step_pt  step;
    ngx_event_t           event;
    ngx_http_osb_batch_t  batch;
    u_char               *p; /* what is to be read */
    u_char               *last;
    ngx_uint_t            line;
    ngx_uint_t            n;
    ngx_http_osb_item_t  *items;
    ngx_http_osb_item_t **tail;
    ngx_http_osb_item_t  *at;
    ngx_http_osb_item_t **heads;
    ngx_uint_t            mask;
    ngx_uint_t            replaced;
    ngx_int_t             rc;      /* why it is not taken */
    json_t               *revoked; /* ids */
    json_t               *warnings;
    ngx_uint_t            nwarnings;
    unsigned              committed : 1;
};


static ngx_int_t
ngx_http_osb_bulk_start(ngx_http_osb_bulk_t *bulk);
static void
ngx_http_osb_bulk_event(ngx_event_t *ev);
static ngx_int_t
ngx_http_osb_bulk_slice(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_read(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_item(ngx_http_osb_bulk_t *bulk, json_t *object);
static ngx_int_t
ngx_http_osb_bulk_warn(ngx_http_osb_bulk_t *bulk, ngx_str_t *id);
static void
ngx_http_osb_bulk_space(ngx_http_osb_bulk_t *bulk);
static ngx_int_t
ngx_http_osb_bulk_bad(ngx_http_osb_bulk_t *bulk, const char *text);
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

    rc = ngx_http_osb_bulk_start(bulk);

    if (rc == NGX_AGAIN) {
        rc = ngx_http_osb_bulk_slice(bulk);
    }

    if (rc == NGX_AGAIN) {

        /* it goes on whether or not the client waits for the answer */

        r->read_event_handler = ngx_http_block_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        call->held = 1;
        return NGX_DONE;
    }

    return rc;
}


static ngx_int_t
ngx_http_osb_bulk_start(ngx_http_osb_bulk_t *bulk)
{
    json_t      *body;
    ngx_str_t   *text;
    ngx_uint_t   n;
    json_error_t error;

    text = &bulk->call.text;

    bulk->p = text->data;
    bulk->last = text->data + text->len;
    bulk->line = 1;
    bulk->tail = &bulk->items;
    bulk->step = ngx_http_osb_bulk_read;

    ngx_http_osb_bulk_space(bulk);

    if (bulk->p == bulk->last || *bulk->p != '[') {
        body = text->len ? json_loadb((char *) text->data, text->len,
                                      JSON_DECODE_ANY, &error)
                         : NULL;

        if (body == NULL && text->len) {
            bulk->line = error.line;
            return ngx_http_osb_bulk_bad(bulk, error.text);
        }

        json_decref(body);

        ngx_http_osb_fault(&bulk->call.fault, "",
                           "an array of at most %d records is expected",
                           NGX_HTTP_OSB_BULK_MAX);
        return ngx_http_osb_api_fault(&bulk->call, NGX_HTTP_BAD_REQUEST,
                                      "bad_record");
    }

    bulk->p++;

    for (n = 64;
         n * NGX_HTTP_OSB_BULK_SPREAD < text->len && n < NGX_HTTP_OSB_BULK_MAX;
         n *= 2)
    { /* void */
    }

    bulk->mask = n - 1;
    bulk->heads = ngx_pcalloc(bulk->call.request->pool,
                              n * sizeof(ngx_http_osb_item_t *));

    return bulk->heads ? NGX_AGAIN : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_http_osb_bulk_event(ngx_event_t *ev)
{
    ngx_http_osb_bulk_t *bulk = ev->data;

    ngx_int_t           rc;
    ngx_connection_t   *c;
    ngx_http_request_t *r;

    r = bulk->call.request;
    c = r->connection;

    rc = ngx_http_osb_bulk_slice(bulk);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
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


/* Reads a record of the array, or its end. */

static ngx_int_t
ngx_http_osb_bulk_read(ngx_http_osb_bulk_t *bulk)
{
    u_char      *end;
    json_t      *object;
    ngx_int_t    rc;
    json_error_t error;

    ngx_http_osb_bulk_space(bulk);

    if (bulk->p < bulk->last && *bulk->p == ']') {
        bulk->p++;
        ngx_http_osb_bulk_space(bulk);

        if (bulk->p < bulk->last) {
            return ngx_http_osb_bulk_bad(bulk, "end of file expected");
        }

        bulk->at = bulk->items;
        bulk->step = ngx_http_osb_bulk_add;

        if (ngx_http_osb_batch_open(&bulk->batch, bulk->call.zone) != NGX_OK) {
            bulk->rc = NGX_ERROR;
            bulk->step = ngx_http_osb_bulk_abort;
        }

        return NGX_AGAIN;
    }

    if (bulk->n) {

        if (bulk->p == bulk->last || *bulk->p != ',') {
            return ngx_http_osb_bulk_bad(bulk, "']' expected");
        }

        bulk->p++;
        ngx_http_osb_bulk_space(bulk);
    }

    object = json_loadb((char *) bulk->p, (size_t) (bulk->last - bulk->p),
                        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY |
                            JSON_DISABLE_EOF_CHECK,
                        &error);

    if (object == NULL) {
        bulk->line += (ngx_uint_t) error.line - 1;
        return ngx_http_osb_bulk_bad(bulk, error.text);
    }

    for (end = bulk->p + error.position; bulk->p < end; bulk->p++) {
        bulk->line += (*bulk->p == '\n');
    }

    rc = ngx_http_osb_bulk_item(bulk, object);

    json_decref(object);

    if (rc == NGX_DECLINED) {
        return ngx_http_osb_api_fault(&bulk->call, NGX_HTTP_BAD_REQUEST,
                                      "bad_record");
    }

    return rc == NGX_OK ? NGX_AGAIN : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* NGX_DECLINED if the call's fault says what is wrong. */

static ngx_int_t
ngx_http_osb_bulk_item(ngx_http_osb_bulk_t *bulk, json_t *object)
{
    char                   field[64];
    ngx_str_t              id, other;
    ngx_pool_t            *pool;
    ngx_http_osb_item_t   *item, *same, **head;
    ngx_http_osb_fault_t  *fault;
    ngx_http_osb_record_t *record;

    pool = bulk->call.request->pool;
    fault = &bulk->call.fault;

    if (bulk->n == NGX_HTTP_OSB_BULK_MAX) {
        ngx_http_osb_fault(fault, "",
                           "an array of at most %d records is expected",
                           NGX_HTTP_OSB_BULK_MAX);
        return NGX_DECLINED;
    }

    record = ngx_http_osb_record_parse(pool, object, NULL, 0, fault);

    if (record == NULL) {
        (void) snprintf(field, sizeof(field), "[%u]%s%.40s", (unsigned) bulk->n,
                        fault->field[0] ? "." : "", fault->field);
        ngx_memcpy(fault->field, field, sizeof(field));
        return NGX_DECLINED;
    }

    id = ngx_http_osb_text(record, &record->id);
    head = &bulk->heads[ngx_murmur_hash2(id.data, id.len) & bulk->mask];

    for (same = *head; same; same = same->same) {
        other = ngx_http_osb_text(same->record, &same->record->id);

        if (ngx_memn2cmp(id.data, other.data, id.len, other.len) == 0) {
            (void) snprintf(field, sizeof(field), "[%u].id",
                            (unsigned) bulk->n);
            ngx_http_osb_fault(fault, field, "the id is there twice");
            return NGX_DECLINED;
        }
    }

    if (fault->warnings.len && ngx_http_osb_bulk_warn(bulk, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    item = ngx_palloc(pool, sizeof(ngx_http_osb_item_t));
    if (item == NULL) {
        return NGX_ERROR;
    }

    item->record = record;
    item->next = NULL;
    item->same = *head;

    *head = item;
    *bulk->tail = item;
    bulk->tail = &item->next;
    bulk->n++;

    return NGX_OK;
}


/* Keeps what a record's policy was taken for, with its id, for the answer. */

static ngx_int_t
ngx_http_osb_bulk_warn(ngx_http_osb_bulk_t *bulk, ngx_str_t *id)
{
    json_t    *list, *item;
    size_t     i;
    ngx_str_t *text;

    text = &bulk->call.fault.warnings;
    list = json_loadb((char *) text->data, text->len, 0, NULL);

    if (bulk->warnings == NULL) {
        bulk->warnings = json_array();
    }

    if (list == NULL || bulk->warnings == NULL) {
        json_decref(list);
        return NGX_ERROR;
    }

    json_array_foreach(list, i, item)
    {
        if (bulk->nwarnings++ < NGX_HTTP_OSB_BULK_WARNINGS) {
            (void) json_array_append_new(bulk->warnings,
                                         json_sprintf("%.*s: %s", (int) id->len,
                                                      (char *) id->data,
                                                      json_string_value(item)));
        }
    }

    json_decref(list);

    return NGX_OK;
}


static void
ngx_http_osb_bulk_space(ngx_http_osb_bulk_t *bulk)
{
    for (/* void */; bulk->p < bulk->last; bulk->p++) {

        if (*bulk->p == '\n') {
            bulk->line++;

        } else if (*bulk->p != ' ' && *bulk->p != '\t' && *bulk->p != '\r') {
            return;
        }
    }
}


static ngx_int_t
ngx_http_osb_bulk_bad(ngx_http_osb_bulk_t *bulk, const char *text)
{
    ngx_http_osb_fault(&bulk->call.fault, "",
                       "the body is not JSON: %s, line %u", text,
                       (unsigned) bulk->line);

    return ngx_http_osb_api_fault(&bulk->call, NGX_HTTP_BAD_REQUEST,
                                  "bad_json");
}


/* Finds room for a record; behind the last one all are decided on. */

static ngx_int_t
ngx_http_osb_bulk_add(ngx_http_osb_bulk_t *bulk)
{
    if (bulk->at == NULL) {
        bulk->rc = ngx_http_osb_batch_commit(&bulk->batch);
        bulk->committed = (bulk->rc == NGX_OK);
        bulk->step = bulk->committed ? ngx_http_osb_bulk_publish
                                     : ngx_http_osb_bulk_abort;
        return NGX_AGAIN;
    }

    if (ngx_http_osb_batch_add(&bulk->batch, bulk->at->record) != NGX_OK) {
        bulk->rc = NGX_ERROR;
        bulk->step = ngx_http_osb_bulk_abort;
        return NGX_AGAIN;
    }

    bulk->at = bulk->at->next;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_bulk_publish(ngx_http_osb_bulk_t *bulk)
{
    json_t *answer;

    if (ngx_http_osb_batch_publish(&bulk->batch, &bulk->replaced) == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    ngx_http_osb_batch_close(&bulk->batch);

    answer = json_pack("{s:I,s:I}", "created",
                       (json_int_t) (bulk->n - bulk->replaced), "replaced",
                       (json_int_t) bulk->replaced);

    if (bulk->nwarnings > NGX_HTTP_OSB_BULK_WARNINGS) {
        (void) json_array_append_new(
            bulk->warnings,
            json_sprintf(
                "and %u more",
                (unsigned) (bulk->nwarnings - NGX_HTTP_OSB_BULK_WARNINGS)));
    }

    if (bulk->warnings) {
        (void) json_object_set(answer, "warnings", bulk->warnings);
    }

    return ngx_http_osb_api_send(bulk->call.request, NGX_HTTP_OK, answer);
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

    if (bulk->rc == NGX_BUSY) {
        return ngx_http_osb_api_not_taken(&bulk->call, bulk->rc);
    }

    bulk->at = bulk->items;
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
            return ngx_http_osb_api_not_taken(&bulk->call, rc);
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
        return ngx_http_osb_api_not_taken(&bulk->call, NGX_ERROR);
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

    return ngx_http_osb_api_send(bulk->call.request,
                                 NGX_HTTP_INSUFFICIENT_STORAGE, object);
}


/* What is decided is done, also where the request is cut off. */

static void
ngx_http_osb_bulk_cleanup(void *data)
{
    ngx_http_osb_bulk_t *bulk = data;

    ngx_int_t rc;

    if (bulk->event.timer_set) {
        ngx_del_timer(&bulk->event);
    }

    json_decref(bulk->revoked);
    json_decref(bulk->warnings);

    if (bulk->batch.link == 0) {
        return;
    }

    do {
        rc = bulk->committed
                 ? ngx_http_osb_batch_publish(&bulk->batch, &bulk->replaced)
                 : ngx_http_osb_batch_abort(&bulk->batch);
    } while (rc == NGX_AGAIN);

    ngx_http_osb_batch_close(&bulk->batch);
}
