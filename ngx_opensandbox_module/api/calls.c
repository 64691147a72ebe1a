/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


#define NGX_HTTP_OSB_TRIES 16

/* the most objects in one change of a record */
#define NGX_HTTP_OSB_MERGES 64


/*
 * Makes the new record of the old one, which is NULL if there is none.
 * NGX_ABORT with the call's fault set if the request is bad.
 */
typedef ngx_int_t (*ngx_http_osb_made_pt)(ngx_http_osb_call_t    *call,
                                          ngx_http_osb_record_t  *old,
                                          ngx_http_osb_record_t **record);


static ngx_int_t
ngx_http_osb_put_made(ngx_http_osb_call_t *call, ngx_http_osb_record_t *old,
                      ngx_http_osb_record_t **record);
static ngx_int_t
ngx_http_osb_patch_made(ngx_http_osb_call_t *call, ngx_http_osb_record_t *old,
                        ngx_http_osb_record_t **record);
static ngx_int_t
ngx_http_osb_delete_made(ngx_http_osb_call_t *call, ngx_http_osb_record_t *old,
                         ngx_http_osb_record_t **record);
static ngx_int_t
ngx_http_osb_api_change(ngx_http_osb_call_t *call, ngx_http_osb_made_pt made,
                        ngx_http_osb_record_t *record);
static ngx_int_t
ngx_http_osb_api_judge_record(ngx_http_osb_call_t   *call,
                              ngx_http_osb_record_t *record,
                              ngx_http_osb_etag_t   *etag);
static ngx_int_t
ngx_http_osb_merge(json_t *target, json_t *patch);
static ngx_int_t
ngx_http_osb_api_no_content(ngx_http_request_t *r);


ngx_int_t
ngx_http_osb_api_get(ngx_http_osb_call_t *call)
{
    ngx_int_t            rc;
    ngx_http_osb_etag_t  etag;
    ngx_http_osb_whole_t copy;

    if (ngx_http_osb_registry_get(call->zone, &call->id, &copy.record) !=
        NGX_OK) {
        return ngx_http_osb_api_missing(call);
    }

    rc = ngx_http_osb_api_judge_record(call, &copy.record, &etag);
    if (rc != NGX_OK) {
        return ngx_http_osb_api_refuted(call, rc, &etag.value);
    }

    return ngx_http_osb_api_send_record(call, NGX_HTTP_OK, &copy.record);
}


ngx_int_t
ngx_http_osb_api_put(ngx_http_osb_call_t *call)
{
    ngx_http_osb_record_t *record;

    record = NULL;

    if (ngx_http_osb_api_own(call, call->body, &call->id) == NGX_OK) {
        record = ngx_http_osb_record_parse(call->request->pool, call->body,
                                           &call->id, 0, &call->fault);
    }

    if (record == NULL) {
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST, "bad_record");
    }

    if (ngx_http_osb_api_source_reserve(call) != NGX_OK) {
        return ngx_http_osb_api_sources_full(call);
    }

    return ngx_http_osb_api_change(call, ngx_http_osb_put_made, record);
}


/* What PUT makes of a record, or of none: the one that came. */

static ngx_int_t
ngx_http_osb_put_made(ngx_http_osb_call_t *call, ngx_http_osb_record_t *old,
                      ngx_http_osb_record_t **record)
{
    return NGX_OK;
}


/* RFC 7396: what the body names is replaced, what it sets to null removed. */

ngx_int_t
ngx_http_osb_api_patch(ngx_http_osb_call_t *call)
{
    if (!json_is_object(call->body)) {
        ngx_http_osb_fault(&call->fault, "", "a change is a JSON object");
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST, "bad_record");
    }

    return ngx_http_osb_api_change(call, ngx_http_osb_patch_made, NULL);
}


/* Likewise PATCH: the old one, merged with the body. */

static ngx_int_t
ngx_http_osb_patch_made(ngx_http_osb_call_t *call, ngx_http_osb_record_t *old,
                        ngx_http_osb_record_t **record)
{
    json_t *merged;

    if (old == NULL) {
        return NGX_DECLINED;
    }

    merged = ngx_http_osb_record_json(old, NGX_HTTP_OSB_SHOW_SECRETS);
    if (merged == NULL) {
        return NGX_ERROR;
    }

    (void) json_object_del(merged, "source");

    if (ngx_http_osb_merge(merged, call->body) != NGX_OK) {
        json_decref(merged);
        ngx_http_osb_fault(&call->fault, "", "a change has at most %d objects",
                           NGX_HTTP_OSB_MERGES);
        return NGX_ABORT;
    }

    *record = NULL;

    if (ngx_http_osb_api_own(call, merged, &call->id) == NGX_OK) {
        *record = ngx_http_osb_record_parse(call->request->pool, merged,
                                            &call->id, 0, &call->fault);
    }

    json_decref(merged);

    return *record ? NGX_OK : NGX_ABORT;
}


/* And DELETE: none. */

static ngx_int_t
ngx_http_osb_delete_made(ngx_http_osb_call_t *call, ngx_http_osb_record_t *old,
                         ngx_http_osb_record_t **record)
{
    return old ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_osb_api_delete(ngx_http_osb_call_t *call)
{
    return ngx_http_osb_api_change(call, ngx_http_osb_delete_made, NULL);
}


/*
 * Changes the record as it is now: judges the request's conditions, has the new
 * one made (NULL deletes), and puts it in its place if that has not changed
 * meanwhile; else once more.
 */

static ngx_int_t
ngx_http_osb_api_change(ngx_http_osb_call_t *call, ngx_http_osb_made_pt made,
                        ngx_http_osb_record_t *record)
{
    ngx_int_t              rc;
    ngx_uint_t             tries;
    ngx_http_osb_etag_t    etag;
    ngx_http_osb_whole_t   copy;
    ngx_http_osb_record_t *old;

    for (tries = 0; tries < NGX_HTTP_OSB_TRIES; tries++) {

        rc = ngx_http_osb_registry_get(call->zone, &call->id, &copy.record);
        old = (rc == NGX_OK) ? &copy.record : NULL;

        if (old == NULL && made != ngx_http_osb_put_made) {

            /* it may be where the records are now */

            return ngx_http_osb_memory_superseded(call->zone->memory)
                       ? ngx_http_osb_api_not_taken(call, NGX_BUSY)
                       : ngx_http_osb_api_missing(call);
        }

        rc = ngx_http_osb_api_judge_record(call, old, &etag);
        if (rc != NGX_OK) {
            return ngx_http_osb_api_refuted(call, rc, &etag.value);
        }

        if (old && !ngx_http_osb_record_obeys(old, &call->source)) {
            return ngx_http_osb_api_held(call, old);
        }

        rc = made(call, old, &record);

        if (rc == NGX_ABORT && call->fault.message[0]) {
            return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                          "bad_record");
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_http_osb_registry_swap(call->zone, &call->id, old, record);
        if (rc == NGX_ERROR || rc == NGX_DONE || rc == NGX_BUSY) {
            return ngx_http_osb_api_not_taken(call, rc);
        }

        if (rc == NGX_OK && record == NULL) {
            return ngx_http_osb_api_no_content(call->request);
        }

        if (rc == NGX_OK) {
            return ngx_http_osb_api_send_record(
                call, old ? NGX_HTTP_OK : NGX_HTTP_CREATED, record);
        }

        /* another change came first: this one applies to its result */
    }

    ngx_http_osb_fault(&call->fault, "",
                       "the record keeps changing, try again");

    return ngx_http_osb_api_fault(call, NGX_HTTP_CONFLICT, "conflict");
}


/* The tag of the record is left in etag, empty without a record. */

static ngx_int_t
ngx_http_osb_api_judge_record(ngx_http_osb_call_t   *call,
                              ngx_http_osb_record_t *record,
                              ngx_http_osb_etag_t   *etag)
{
    ngx_str_null(&etag->value);

    if (!ngx_http_osb_api_conditional(call->request)) {
        return NGX_OK;
    }

    if (record && ngx_http_osb_api_record_tag(record, etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_osb_api_judge(call->request, record ? &etag->value : NULL);
}


/*
 * RFC 7396, 2, level by level: an object takes the place of what is none, and
 * nulls never get in.
 */

static ngx_int_t
ngx_http_osb_merge(json_t *target, json_t *patch)
{
    json_t     *value, *old, *fresh;
    ngx_uint_t  n, last;
    const char *name;

    struct {
        json_t *target;
        json_t *patch;
    } todo[NGX_HTTP_OSB_MERGES];

    todo[0].target = target;
    todo[0].patch = patch;
    last = 1;

    for (n = 0; n < last; n++) {

        json_object_foreach(todo[n].patch, name, value)
        {
            if (json_is_null(value)) {
                (void) json_object_del(todo[n].target, name);
                continue;
            }

            if (!json_is_object(value)) {
                (void) json_object_set(todo[n].target, name, value);
                continue;
            }

            old = json_object_get(todo[n].target, name);

            if (!json_is_object(old)) {
                fresh = json_object();
                (void) json_object_set_new(todo[n].target, name, fresh);
                old = fresh;
            }

            if (last == NGX_HTTP_OSB_MERGES) {
                return NGX_ERROR;
            }

            todo[last].target = old;
            todo[last++].patch = value;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_api_no_content(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}
