/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_api.h"


#define NGX_HTTP_OPENSANDBOX_PAGE     100
#define NGX_HTTP_OPENSANDBOX_PAGE_MAX 1000
#define NGX_HTTP_OPENSANDBOX_BULK_MAX 100000
#define NGX_HTTP_OPENSANDBOX_TRIES    16
#define NGX_HTTP_OPENSANDBOX_CHUNK    65536


static ngx_int_t
ngx_http_opensandbox_api_overwrite(ngx_http_opensandbox_call_t   *call,
                                   ngx_http_opensandbox_change_t *change);
static ngx_uint_t
ngx_http_opensandbox_api_flags(ngx_http_opensandbox_call_t *call);
static json_t *
ngx_http_opensandbox_merge(ngx_http_opensandbox_record_t *record,
                           json_t                        *patch);
static ngx_int_t
ngx_http_opensandbox_bulk_records(ngx_http_opensandbox_call_t   *call,
                                  ngx_http_opensandbox_change_t *changes);


ngx_int_t
ngx_http_opensandbox_api_get(ngx_http_opensandbox_call_t *call)
{
    ngx_http_opensandbox_whole_t copy;

    if (ngx_http_opensandbox_registry_get(call->zone, &call->id,
                                          &copy.record) != NGX_OK)
    {
        return ngx_http_opensandbox_api_missing(call);
    }

    return ngx_http_opensandbox_api_send(
        call->request, NGX_HTTP_OK,
        ngx_http_opensandbox_record_json(&copy.record,
                                         ngx_http_opensandbox_api_flags(call)));
}


ngx_int_t
ngx_http_opensandbox_api_put(ngx_http_opensandbox_call_t *call)
{
    ngx_int_t                     rc;
    ngx_http_opensandbox_change_t change;

    change.record = ngx_http_opensandbox_record_parse(
        call->request->pool, call->body, &call->id, 0, &call->fault);
    if (change.record == NULL) {
        return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                              "bad_record");
    }

    rc = ngx_http_opensandbox_registry_put(call->zone, &change, 1,
                                           call->request->pool);

    if (rc == NGX_ERROR) {
        rc = ngx_http_opensandbox_api_overwrite(call, &change);
    }

    if (rc != NGX_OK) {
        return ngx_http_opensandbox_api_not_taken(call, rc);
    }

    return ngx_http_opensandbox_api_send(
        call->request, change.replaced ? NGX_HTTP_OK : NGX_HTTP_CREATED,
        ngx_http_opensandbox_record_json(change.record,
                                         ngx_http_opensandbox_api_flags(call)));
}


/* A full zone still takes a record that fits in the place of its old one. */

static ngx_int_t
ngx_http_opensandbox_api_overwrite(ngx_http_opensandbox_call_t   *call,
                                   ngx_http_opensandbox_change_t *change)
{
    ngx_int_t                    rc;
    ngx_uint_t                   tries;
    ngx_http_opensandbox_whole_t copy;

    change->replaced = 1;

    for (tries = 0; tries < NGX_HTTP_OPENSANDBOX_TRIES; tries++) {

        if (ngx_http_opensandbox_registry_get(call->zone, &call->id,
                                              &copy.record) != NGX_OK)
        {
            break;
        }

        rc = ngx_http_opensandbox_registry_swap(call->zone, &copy.record,
                                                change->record);
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_ERROR;
}


/* RFC 7396: what the body names is replaced, what it sets to null removed. */

ngx_int_t
ngx_http_opensandbox_api_patch(ngx_http_opensandbox_call_t *call)
{
    json_t                        *merged;
    ngx_int_t                      rc;
    ngx_uint_t                     tries;
    ngx_http_opensandbox_whole_t   copy;
    ngx_http_opensandbox_record_t *record;

    if (!json_is_object(call->body)) {
        ngx_http_opensandbox_fault(&call->fault, "",
                                   "a change is a JSON object");
        return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                              "bad_record");
    }

    for (tries = 0; tries < NGX_HTTP_OPENSANDBOX_TRIES; tries++) {

        if (ngx_http_opensandbox_registry_get(call->zone, &call->id,
                                              &copy.record) != NGX_OK)
        {
            return ngx_http_opensandbox_api_missing(call);
        }

        merged = ngx_http_opensandbox_merge(&copy.record, call->body);
        if (merged == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        record = ngx_http_opensandbox_record_parse(call->request->pool, merged,
                                                   &call->id, 0, &call->fault);
        json_decref(merged);

        if (record == NULL) {
            return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                                  "bad_record");
        }

        rc = ngx_http_opensandbox_registry_swap(call->zone, &copy.record,
                                                record);
        if (rc == NGX_ERROR || rc == NGX_BUSY) {
            return ngx_http_opensandbox_api_not_taken(call, rc);
        }

        if (rc == NGX_OK) {
            return ngx_http_opensandbox_api_send(
                call->request, NGX_HTTP_OK,
                ngx_http_opensandbox_record_json(
                    record, ngx_http_opensandbox_api_flags(call)));
        }

        /* another change came first: this one applies to its result */
    }

    ngx_http_opensandbox_fault(&call->fault, "",
                               "the record keeps changing, try again");

    return ngx_http_opensandbox_api_fault(call, NGX_HTTP_CONFLICT, "conflict");
}


static json_t *
ngx_http_opensandbox_merge(ngx_http_opensandbox_record_t *record, json_t *patch)
{
    json_t     *merged, *value, *map, *target;
    const char *name, *port;

    merged = ngx_http_opensandbox_record_json(
        record, NGX_HTTP_OPENSANDBOX_SHOW_SECRETS);
    if (merged == NULL) {
        return NULL;
    }

    json_object_foreach(patch, name, value)
    {

        map = json_object_get(merged, name);

        if (json_is_null(value)) {
            (void) json_object_del(merged, name);

        } else if (json_is_object(value) && json_is_object(map)) {

            json_object_foreach(value, port, target)
            {
                if (json_is_null(target)) {
                    (void) json_object_del(map, port);

                } else {
                    (void) json_object_set(map, port, target);
                }
            }

        } else {
            (void) json_object_set(merged, name, value);
        }
    }

    return merged;
}


ngx_int_t
ngx_http_opensandbox_api_delete(ngx_http_opensandbox_call_t *call)
{
    ngx_int_t           rc;
    ngx_http_request_t *r;

    rc = ngx_http_opensandbox_registry_delete(call->zone, &call->id);

    if (rc == NGX_DECLINED) {
        return ngx_http_opensandbox_api_missing(call);
    }

    if (rc != NGX_OK) {
        return ngx_http_opensandbox_api_not_taken(call, rc);
    }

    r = call->request;

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_http_opensandbox_api_list(ngx_http_opensandbox_call_t *call)
{
    u_char                        *buf, *p;
    json_t                        *object, *list;
    ngx_int_t                      limit;
    ngx_str_t                      value, after;
    ngx_uint_t                     n, flags;
    ngx_http_request_t            *r;
    ngx_http_opensandbox_record_t *record;

    r = call->request;
    limit = NGX_HTTP_OPENSANDBOX_PAGE;

    if (ngx_http_arg(r, (u_char *) "limit", 5, &value) == NGX_OK && value.len) {
        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_OPENSANDBOX_PAGE_MAX) {
            ngx_http_opensandbox_fault(&call->fault, "limit",
                                       "a page has 1 to %d records",
                                       NGX_HTTP_OPENSANDBOX_PAGE_MAX);
            return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                                  "bad_argument");
        }
    }

    ngx_str_null(&after);

    if (ngx_http_arg(r, (u_char *) "after", 5, &value) == NGX_OK && value.len) {

        if (!ngx_http_opensandbox_valid_id(&value)) {
            ngx_http_opensandbox_fault(&call->fault, "after",
                                       "\"after\" is the id of a sandbox");
            return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                                  "bad_argument");
        }

        p = ngx_pnalloc(r->pool, value.len);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_strlow(p, value.data, value.len);

        after.data = p;
        after.len = value.len;
    }

    flags = ngx_http_opensandbox_api_flags(call);
    list = json_array();

    /* the buffers stay, since "after" points into the last one */

    while (limit > 0) {
        buf = ngx_palloc(r->pool, NGX_HTTP_OPENSANDBOX_CHUNK);
        if (buf == NULL) {
            json_decref(list);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        n = ngx_http_opensandbox_registry_list(
            call->zone, &after, buf, NGX_HTTP_OPENSANDBOX_CHUNK, limit);
        if (n == 0) {
            break;
        }

        limit -= n;
        record = (ngx_http_opensandbox_record_t *) buf;

        while (n--) {
            after = ngx_http_opensandbox_text(record, &record->id);
            (void) json_array_append_new(
                list, ngx_http_opensandbox_record_json(record, flags));
            record = ngx_http_opensandbox_next_record(record);
        }
    }

    object = json_pack("{s:o}", "sandboxes", list);

    if (limit == 0) {
        (void) json_object_set_new(
            object, "next", json_stringn((char *) after.data, after.len));
    }

    return ngx_http_opensandbox_api_send(r, NGX_HTTP_OK, object);
}


ngx_int_t
ngx_http_opensandbox_api_bulk(ngx_http_opensandbox_call_t *call)
{
    size_t                         n, i, replaced;
    ngx_int_t                      rc;
    ngx_http_request_t            *r;
    ngx_http_opensandbox_change_t *changes;

    r = call->request;
    n = json_array_size(call->body);

    if (!json_is_array(call->body) || n > NGX_HTTP_OPENSANDBOX_BULK_MAX) {
        ngx_http_opensandbox_fault(&call->fault, "",
                                   "an array of at most %d records is expected",
                                   NGX_HTTP_OPENSANDBOX_BULK_MAX);
        return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                              "bad_record");
    }

    changes =
        ngx_pcalloc(r->pool, (n + 1) * sizeof(ngx_http_opensandbox_change_t));
    if (changes == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_opensandbox_bulk_records(call, changes) != NGX_OK) {
        return ngx_http_opensandbox_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                              "bad_record");
    }

    rc = n ? ngx_http_opensandbox_registry_put(call->zone, changes, n, r->pool)
           : NGX_OK;
    if (rc != NGX_OK) {
        return ngx_http_opensandbox_api_not_taken(call, rc);
    }

    for (i = 0, replaced = 0; i < n; i++) {
        replaced += changes[i].replaced;
    }

    return ngx_http_opensandbox_api_send(
        r, NGX_HTTP_OK,
        json_pack("{s:I,s:I}", "created", (json_int_t) (n - replaced),
                  "replaced", (json_int_t) replaced));
}


static ngx_int_t
ngx_http_opensandbox_bulk_records(ngx_http_opensandbox_call_t   *call,
                                  ngx_http_opensandbox_change_t *changes)
{
    size_t    i;
    char      field[sizeof(call->fault.field)];
    json_t   *item, *seen;
    ngx_str_t id;
    ngx_int_t rc;

    rc = NGX_OK;
    seen = json_object();

    json_array_foreach(call->body, i, item)
    {

        changes[i].record = ngx_http_opensandbox_record_parse(
            call->request->pool, item, NULL, 0, &call->fault);

        if (changes[i].record == NULL) {
            (void) snprintf(field, sizeof(field), "[%zu]%s%.40s", i,
                            call->fault.field[0] ? "." : "", call->fault.field);
            ngx_memcpy(call->fault.field, field, sizeof(field));
            rc = NGX_ERROR;
            break;
        }

        id = ngx_http_opensandbox_text(changes[i].record,
                                       &changes[i].record->id);

        if (json_object_getn(seen, (char *) id.data, id.len)) {
            (void) snprintf(field, sizeof(field), "[%zu].id", i);
            ngx_http_opensandbox_fault(&call->fault, field,
                                       "the id is there twice");
            rc = NGX_ERROR;
            break;
        }

        (void) json_object_setn_new(seen, (char *) id.data, id.len,
                                    json_true());
    }

    json_decref(seen);

    return rc;
}


ngx_int_t
ngx_http_opensandbox_api_missing(ngx_http_opensandbox_call_t *call)
{
    ngx_http_opensandbox_fault(&call->fault, "id", "there is no sandbox %.*s",
                               (int) call->id.len, call->id.data);

    return ngx_http_opensandbox_api_fault(call, NGX_HTTP_NOT_FOUND,
                                          "not_found");
}


/* Secrets show only in answers that ask for them by name. */

static ngx_uint_t
ngx_http_opensandbox_api_flags(ngx_http_opensandbox_call_t *call)
{
    ngx_str_t value;

    if (ngx_http_arg(call->request, (u_char *) "secrets", 7, &value) ==
            NGX_OK &&
        value.len == 4 && ngx_strncmp(value.data, "show", 4) == 0)
    {
        return NGX_HTTP_OPENSANDBOX_SHOW_SECRETS;
    }

    return 0;
}
