/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include <ctype.h>


static char *
ngx_http_osb_api_warn(ngx_str_t *warnings, char *text, size_t *len);


ngx_int_t
ngx_http_osb_api_send(ngx_http_request_t *r, ngx_uint_t status, json_t *object)
{
    char     *text;
    ngx_int_t rc;

    text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);

    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_osb_api_send_text(r, status, text, ngx_strlen(text));

    free(text);

    return rc;
}


ngx_int_t
ngx_http_osb_api_send_text(ngx_http_request_t *r, ngx_uint_t status,
                           const char *text, size_t len)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;
    ngx_chain_t out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t) len + 1;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_create_temp_buf(r->pool, len + 1);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, text, len);
    *b->last++ = '\n';

    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_osb_api_send_record(ngx_http_osb_call_t *call, ngx_uint_t status,
                             ngx_http_osb_record_t *record)
{
    char               *text;
    size_t              len;
    ngx_int_t           rc;
    ngx_http_osb_etag_t etag;

    text = ngx_http_osb_record_text(record, ngx_http_osb_api_flags(call), &len);

    if (text && call->fault.warnings.len) {
        text = ngx_http_osb_api_warn(&call->fault.warnings, text, &len);
    }

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (text && ngx_http_osb_api_record_tag(record, &etag) == NGX_OK &&
        ngx_http_osb_api_set_tag(call->request, &etag.value) == NGX_OK)
    {
        rc = ngx_http_osb_api_send_text(call->request, status, text, len);
    }

    free(text);

    return rc;
}


/* The record's text, freed, with what of its policy was taken in another sense
 * than written; or NULL. */

static char *
ngx_http_osb_api_warn(ngx_str_t *warnings, char *text, size_t *len)
{
    static const char key[] = ",\"warnings\":";

    u_char *whole;

    whole = malloc(*len + sizeof(key) + warnings->len);

    if (whole) {
        *len = (size_t) (ngx_sprintf(whole, "%*s%s%V}", *len - 1, text, key,
                                     warnings) -
                         whole);
    }

    free(text);

    return (char *) whole;
}


ngx_int_t
ngx_http_osb_api_fault(ngx_http_osb_call_t *call, ngx_uint_t status,
                       const char *code)
{
    json_t *object;

    object =
        json_pack("{s:s,s:s}", "code", code, "message", call->fault.message);

    /* a mistake always has one, empty where all of the body is meant */

    if (object && (call->fault.field[0] || status == NGX_HTTP_BAD_REQUEST)) {
        (void) json_object_set_new(object, "field",
                                   json_string(call->fault.field));
    }

    return ngx_http_osb_api_send(call->request, status, object);
}


ngx_int_t
ngx_http_osb_api_arg(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    size_t    i;
    u_char   *p, *src;
    ngx_str_t raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, raw.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    src = raw.data;

    /* what is no encoding stays, and is no good argument */

    for (i = 0; i < raw.len; i++) {
        if (raw.data[i] == '%' &&
            (i + 2 >= raw.len || !isxdigit(raw.data[i + 1]) ||
             !isxdigit(raw.data[i + 2])))
        {
            p = ngx_cpymem(p, raw.data, raw.len);
            break;
        }
    }

    if (i == raw.len) {
        ngx_unescape_uri(&p, &src, raw.len, 0);
    }

    value->len = (size_t) (p - value->data);

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_api_unknown(ngx_http_osb_call_t *call)
{
    ngx_http_osb_fault(&call->fault, "", "the API has nothing at this path");

    return ngx_http_osb_api_fault(call, NGX_HTTP_NOT_FOUND, "unknown_path");
}


ngx_int_t
ngx_http_osb_api_not_allowed(ngx_http_osb_call_t *call)
{
    ngx_str_t allow;

    allow.data = (u_char *) call->allow;
    allow.len = ngx_strlen(call->allow);

    if (ngx_http_osb_header_add(call->request, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_osb_fault(&call->fault, "", "this path takes %s", call->allow);

    return ngx_http_osb_api_fault(call, NGX_HTTP_NOT_ALLOWED, "not_allowed");
}


ngx_int_t
ngx_http_osb_api_refuse(ngx_http_request_t *r)
{
    static ngx_str_t scheme = ngx_string("Bearer realm=\"opensandbox\"");

    if (ngx_http_osb_header_add(r, "WWW-Authenticate", &scheme) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_osb_api_send(r, NGX_HTTP_UNAUTHORIZED,
                                 json_pack("{s:s,s:s}", "code", "unauthorized",
                                           "message",
                                           "the API needs its bearer token"));
}


ngx_int_t
ngx_http_osb_api_forbid(ngx_http_request_t *r)
{
    return ngx_http_osb_api_send(
        r, NGX_HTTP_FORBIDDEN,
        json_pack("{s:s,s:s}", "code", "forbidden", "message",
                  "a page of another origin may change nothing where the API "
                  "has no token"));
}


ngx_int_t
ngx_http_osb_api_not_taken(ngx_http_osb_call_t *call, ngx_int_t rc)
{
    static ngx_str_t soon = ngx_string("1");

    if (rc == NGX_BUSY) {

        /* the next connection is likely to reach a new worker */

        call->request->keepalive = 0;

        if (ngx_http_osb_header_add(call->request, "Retry-After", &soon) !=
            NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_osb_fault(&call->fault, "",
                           "the records are moving, try again");

        return ngx_http_osb_api_fault(call, NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "moving");
    }

    ngx_log_error(NGX_LOG_ERR, call->request->connection->log, 0,
                  "opensandbox_zone \"%V\" is full",
                  &call->zone->shm_zone->shm.name);

    ngx_http_osb_fault(
        &call->fault, "",
        rc == NGX_DONE
            ? "the zone is full; what the record takes away is taken "
              "from the old one: the sandbox is not ready, or its "
              "policy denies all"
            : "the zone is full");

    return ngx_http_osb_api_fault(call, NGX_HTTP_INSUFFICIENT_STORAGE, "full");
}


ngx_int_t
ngx_http_osb_api_missing(ngx_http_osb_call_t *call)
{
    ngx_http_osb_fault(&call->fault, "id", "there is no sandbox %.*s",
                       (int) call->id.len, call->id.data);

    return ngx_http_osb_api_fault(call, NGX_HTTP_NOT_FOUND, "not_found");
}


/* Secrets show only in answers that ask for them by name. */

ngx_uint_t
ngx_http_osb_api_flags(ngx_http_osb_call_t *call)
{
    ngx_str_t value;

    if (ngx_http_osb_api_arg(call->request, "secrets", &value) == NGX_OK &&
        value.len == 4 && ngx_strncmp(value.data, "show", 4) == 0)
    {
        return NGX_HTTP_OSB_SHOW_SECRETS;
    }

    return 0;
}


ngx_int_t
ngx_http_osb_api_refuted(ngx_http_osb_call_t *call, ngx_int_t rc,
                         ngx_str_t *etag)
{
    ngx_http_request_t *r;

    r = call->request;

    if (etag && etag->len && ngx_http_osb_api_set_tag(r, etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_HTTP_NOT_MODIFIED) {
        r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
        r->header_only = 1;

        return ngx_http_send_header(r);
    }

    ngx_http_osb_fault(&call->fault, "",
                       "the record is not the one that If-Match or "
                       "If-None-Match asks for, nothing has changed");

    return ngx_http_osb_api_fault(call, NGX_HTTP_PRECONDITION_FAILED,
                                  "precondition_failed");
}
