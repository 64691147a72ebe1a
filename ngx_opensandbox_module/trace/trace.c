/* SPDX-License-Identifier: Apache-2.0 */

#include "trace.h"
#include "parent.h"
#include "request/request.h"
#include <openssl/rand.h>

#include <openssl/rand.h>


/*
 * W3C Trace Context.  A valid traceparent goes on as it came, with tracestate:
 * the gateway makes no span of its own.  In place of any other there is a new
 * one, and no tracestate, which would belong to another trace.
 */


static ngx_int_t
ngx_http_osb_trace_settle(ngx_http_request_t *r, ngx_str_t *text);
static ngx_uint_t
ngx_http_osb_trace_find(ngx_http_request_t *r, ngx_str_t *text);
static ngx_int_t
ngx_http_osb_trace_text(ngx_http_request_t *r, ngx_str_t *text);
static ngx_uint_t
ngx_http_osb_trace_void(ngx_http_request_t *r, ngx_str_t *name);
static ngx_int_t
ngx_http_osb_trace_push(ngx_http_request_t *r, ngx_str_t *text);


static ngx_str_t ngx_http_osb_trace_parent = ngx_string("traceparent");
static ngx_str_t ngx_http_osb_trace_state = ngx_string("tracestate");


ngx_int_t
ngx_http_osb_trace(ngx_http_request_t *r, ngx_http_osb_trace_part_e part,
                   ngx_str_t *value)
{
    ngx_str_t                id, parent;
    ngx_http_osb_loc_conf_t *olcf;

    ngx_str_null(value);

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (!olcf->trace) {
        return NGX_OK;
    }

    if (ngx_http_osb_trace_settle(r, value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (part == NGX_HTTP_OSB_TRACE_PARENT) {
        return NGX_OK;
    }

    if (ngx_http_osb_trace_parent_read(value, &id, &parent) != NGX_OK) {
        return NGX_ERROR;
    }

    if (part == NGX_HTTP_OSB_TRACE_ID) {
        *value = id;

    } else if (part == NGX_HTTP_OSB_TRACE_PARENT_ID) {
        *value = parent;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_trace_settle(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_uint_t changed;

    if (ngx_http_osb_trace_find(r, text)) {
        return NGX_OK;
    }

    if (ngx_http_osb_trace_text(r, text) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a subrequest's list is its parent's: it gets a copy */

    if (r != r->main && ngx_http_osb_header_drop(r) != NGX_OK) {
        return NGX_ERROR;
    }

    changed = ngx_http_osb_trace_void(r, &ngx_http_osb_trace_parent);
    changed |= ngx_http_osb_trace_void(r, &ngx_http_osb_trace_state);

    if (changed && ngx_http_osb_header_drop(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_osb_trace_push(r, text);
}


/* Whether the request has one traceparent, and a valid one. */

static ngx_uint_t
ngx_http_osb_trace_find(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_str_t        id, parent;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    h = ngx_http_osb_header_find(r, &ngx_http_osb_trace_parent, &n);

    if (n != 1 ||
        ngx_http_osb_trace_parent_read(&h->value, &id, &parent) != NGX_OK) {
        return 0;
    }

    *text = h->value;

    return 1;
}


/* A new traceparent; a subrequest has its parent's. */

static ngx_int_t
ngx_http_osb_trace_text(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char random[NGX_HTTP_OSB_TRACE_RANDOM];

    if (r->parent) {
        if (ngx_http_osb_trace(r->parent, NGX_HTTP_OSB_TRACE_PARENT, text) !=
            NGX_OK) {
            return NGX_ERROR;
        }

        if (text->len) {
            return NGX_OK;
        }
    }

    if (RAND_bytes(random, sizeof(random)) != 1) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "opensandbox: no random bytes for a traceparent");
        return NGX_ERROR;
    }

    text->len = NGX_HTTP_OSB_TRACE_LEN;
    text->data = ngx_pnalloc(r->pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_osb_trace_parent_write(text->data, random);
    text->data[text->len] = '\0';

    return NGX_OK;
}


/* Marks the fields of that name for ngx_http_osb_header_drop(). */

static ngx_uint_t
ngx_http_osb_trace_void(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_uint_t       i, n;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    i = 0;
    n = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &i, name)) != NULL) {
        h->hash = 0;
        h->value.len = 0;
        n = 1;
    }

    return n;
}


static ngx_int_t
ngx_http_osb_trace_push(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_table_elt_t *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = ngx_http_osb_trace_parent;
    h->lowcase_key = h->key.data;
    h->hash = ngx_hash_key(h->key.data, h->key.len);
    h->value = *text;

    return NGX_OK;
}
