/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "access/access.h"
#include <sys/mman.h>


/* a request's body in its file */
typedef struct {
    void  *addr;
    size_t size;
} ngx_http_osb_map_t;


static ngx_int_t
ngx_http_osb_api_authorize(ngx_http_request_t      *r,
                           ngx_http_osb_loc_conf_t *olcf);
static ngx_uint_t
ngx_http_osb_api_known(ngx_http_osb_loc_conf_t *olcf, ngx_str_t *given);
static void
ngx_http_osb_api_body_handler(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_api_read_body(ngx_http_request_t *r, ngx_str_t *body);
static ngx_int_t
ngx_http_osb_api_map_body(ngx_http_request_t *r, ngx_buf_t *b, ngx_str_t *body);
static void
ngx_http_osb_api_unmap_body(void *data);
static ngx_uint_t
ngx_http_osb_api_array(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_api_below(ngx_str_t *path, ngx_str_t *base);
static ngx_int_t
ngx_http_osb_api_dispatch(ngx_http_osb_call_t *call);
static ngx_int_t
ngx_http_osb_api_collection(ngx_http_osb_call_t *call);
static ngx_int_t
ngx_http_osb_api_sandbox(ngx_http_osb_call_t *call, ngx_str_t *rest);


static ngx_str_t ngx_http_osb_api_path = ngx_string("/v1/sandboxes");
static ngx_str_t ngx_http_osb_api_sources_path = ngx_string("/v1/sources");
static ngx_str_t ngx_http_osb_api_events_path = ngx_string("/v1/events");
static ngx_str_t ngx_http_osb_api_status_path = ngx_string("/v1/status");


ngx_int_t
ngx_http_osb_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc, verdict;
    ngx_http_osb_loc_conf_t *olcf;

    static ngx_str_t no_store = ngx_string("no-store");

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (!olcf->api_endpoints) {
        rc = ngx_http_osb_api_page(r);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    /* tokens are in answers, and what is current now */

    if (ngx_http_osb_header_add(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    verdict = ngx_http_osb_api_authorize(r, olcf);

    if (verdict != NGX_OK) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        return verdict == NGX_DECLINED ? ngx_http_osb_api_refuse(r)
                                       : ngx_http_osb_api_forbid(r);
    }

    /* conditions are judged here, not when the answer is sent */
    r->disable_not_modified = 1;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_osb_api_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/*
 * The token is a bearer's, or in the header that OpenSandbox's SDKs send:
 * NGX_DECLINED without it.  Where there is none, a browser would let any page
 * change records (a form, a request that needs no preflight): NGX_ABORT.
 */

static ngx_int_t
ngx_http_osb_api_authorize(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf)
{
    ngx_str_t        given;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    static ngx_str_t key = ngx_string("open-sandbox-api-key");

    if (olcf->api_tokens == NULL) {
        return !(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) &&
                       ngx_http_osb_origin_other(r)
                   ? NGX_ABORT
                   : NGX_OK;
    }

    h = ngx_http_osb_header_find(r, &key, &n);

    if (n == 1 && ngx_http_osb_api_known(olcf, &h->value)) {
        return NGX_OK;
    }

    if (r->headers_in.authorization == NULL ||
        r->headers_in.authorization->value.len < 7 ||
        ngx_strncasecmp(r->headers_in.authorization->value.data,
                        (u_char *) "Bearer ", 7) != 0)
    {
        return NGX_DECLINED;
    }

    given.data = r->headers_in.authorization->value.data + 7;
    given.len = r->headers_in.authorization->value.len - 7;

    /* RFC 6750, 2.1: any number of spaces */

    while (given.len && given.data[0] == ' ') {
        given.data++;
        given.len--;
    }

    return ngx_http_osb_api_known(olcf, &given) ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_http_osb_api_known(ngx_http_osb_loc_conf_t *olcf, ngx_str_t *given)
{
    ngx_str_t *token;
    ngx_uint_t i, found;

    token = olcf->api_tokens->elts;
    found = 0;

    for (i = 0; i < olcf->api_tokens->nelts; i++) {
        found |= ngx_http_osb_signature_equal(given, &token[i]);
    }

    return found;
}


static void
ngx_http_osb_api_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 body;
    json_error_t              error;
    ngx_http_osb_call_t       call;
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    if (ngx_http_osb_api_read_body(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_memzero(&call, sizeof(ngx_http_osb_call_t));

    call.request = r;
    call.zone = omcf->zone;
    call.conf = omcf;
    call.allow = "GET, HEAD";
    call.endpoints = olcf->api_endpoints;

    call.text = body;

    /* an array of records is read record by record */

    if (body.len && !ngx_http_osb_api_array(r)) {
        call.body =
            json_loadb((char *) body.data, body.len,
                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (call.body == NULL) {
            ngx_http_osb_fault(&call.fault, "",
                               "the body is not JSON: %s, line %d", error.text,
                               error.line);
        }
    }

    rc = ngx_http_osb_api_dispatch(&call);

    json_decref(call.body);

    if (call.held) {
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_osb_api_read_body(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char      *p;
    size_t       size;
    ssize_t      n;
    ngx_buf_t   *b;
    ngx_chain_t *cl;

    ngx_str_null(body);

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    size = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size == 0) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && cl->buf->in_file) {
        return ngx_http_osb_api_map_body(r, cl->buf, body);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = size;

    for (/* void */; cl; cl = cl->next) {
        b = cl->buf;

        if (b->in_file) {
            size = b->file_last - b->file_pos;

            n = ngx_read_file(b->file, p, size, b->file_pos);
            if (n != (ssize_t) size) {
                return NGX_ERROR;
            }

            p += size;

        } else if (b->last != b->pos) {

            /* the last one of a chunked body has no memory */

            p = ngx_cpymem(p, b->pos, b->last - b->pos);
        }
    }

    return NGX_OK;
}


/* A large body is read as it is used, and takes no memory of its own. */

static ngx_int_t
ngx_http_osb_api_map_body(ngx_http_request_t *r, ngx_buf_t *b, ngx_str_t *body)
{
    u_char             *p;
    ngx_pool_cleanup_t *cln;
    ngx_http_osb_map_t *map;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_osb_map_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    map = cln->data;
    map->size = (size_t) b->file_last;

    p = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, b->file->fd, 0);
    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, ngx_errno,
                      "mmap() of the request's body failed");
        return NGX_ERROR;
    }

    map->addr = p;
    cln->handler = ngx_http_osb_api_unmap_body;

    body->data = p + b->file_pos;
    body->len = (size_t) (b->file_last - b->file_pos);

    return NGX_OK;
}


static void
ngx_http_osb_api_unmap_body(void *data)
{
    ngx_http_osb_map_t *map = data;

    (void) munmap(map->addr, map->size);
}


static ngx_uint_t
ngx_http_osb_api_array(ngx_http_request_t *r)
{
    ngx_str_t path;

    path = r->uri;

    return (r->method & (NGX_HTTP_POST | NGX_HTTP_PUT)) &&
           ngx_http_osb_api_below(&path, &ngx_http_osb_api_path) &&
           (path.len == 0 || r->method == NGX_HTTP_POST);
}


/* Whether the path is the base, or below it: then it is cut to what follows. */

static ngx_uint_t
ngx_http_osb_api_below(ngx_str_t *path, ngx_str_t *base)
{
    if (path->len < base->len ||
        ngx_strncmp(path->data, base->data, base->len) != 0 ||
        (path->len > base->len && path->data[base->len] != '/'))
    {
        return 0;
    }

    path->data += base->len;
    path->len -= base->len;

    if (path->len) {
        path->data++;
        path->len--;
    }

    return 1;
}


static ngx_int_t
ngx_http_osb_api_dispatch(ngx_http_osb_call_t *call)
{
    u_char   *slash;
    ngx_str_t path, rest;

    path = call->request->uri;

    if (call->fault.message[0]) {
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST, "bad_json");
    }

    if (!call->endpoints && ngx_http_osb_api_source(call) != NGX_OK) {
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument");
    }

    if (!call->endpoints &&
        ngx_http_osb_api_below(&path, &ngx_http_osb_api_sources_path))
    {
        return ngx_http_osb_api_sources(call, &path);
    }

    if (!call->endpoints &&
        ngx_http_osb_api_below(&path, &ngx_http_osb_api_events_path) &&
        path.len == 0)
    {
        return ngx_http_osb_api_events(call);
    }

    if (!call->endpoints &&
        ngx_http_osb_api_below(&path, &ngx_http_osb_api_status_path) &&
        path.len == 0)
    {
        return call->request->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)
                   ? ngx_http_osb_status_send(call->request)
                   : ngx_http_osb_api_not_allowed(call);
    }

    if (!ngx_http_osb_api_below(&path, &ngx_http_osb_api_path)) {
        return ngx_http_osb_api_unknown(call);
    }

    if (path.len == 0) {
        return call->endpoints ? ngx_http_osb_api_unknown(call)
                               : ngx_http_osb_api_collection(call);
    }

    ngx_str_null(&rest);

    slash = ngx_strlchr(path.data, path.data + path.len, '/');

    if (slash) {
        rest.data = slash + 1;
        rest.len = path.data + path.len - rest.data;
        path.len = slash - path.data;
    }

    if (!ngx_http_osb_valid_id(&path)) {
        ngx_http_osb_fault(
            &call->fault, "id",
            "an id has 1 to 63 letters, digits, dots and hyphens");
        return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST, "bad_id");
    }

    call->id.len = path.len;
    call->id.data = ngx_pnalloc(call->request->pool, path.len);
    if (call->id.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_strlow(call->id.data, path.data, path.len);

    return ngx_http_osb_api_sandbox(call, &rest);
}


static ngx_int_t
ngx_http_osb_api_collection(ngx_http_osb_call_t *call)
{
    switch (call->request->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return ngx_http_osb_api_list(call);

    case NGX_HTTP_POST:
        return ngx_http_osb_api_bulk(call);

    case NGX_HTTP_PUT:
        return ngx_http_osb_api_feed(call);

    default:
        call->allow = "GET, HEAD, POST, PUT";
        return ngx_http_osb_api_not_allowed(call);
    }
}


static ngx_int_t
ngx_http_osb_api_sandbox(ngx_http_osb_call_t *call, ngx_str_t *rest)
{
    if (rest->len > 10 && ngx_strncmp(rest->data, "endpoints/", 10) == 0) {

        if (!(call->request->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
            return ngx_http_osb_api_not_allowed(call);
        }

        rest->data += 10;
        rest->len -= 10;

        return ngx_http_osb_api_endpoint(call, rest);
    }

    if (call->endpoints) {
        return ngx_http_osb_api_unknown(call);
    }

    if (rest->len == 6 && ngx_strncmp(rest->data, "policy", 6) == 0) {

        if (!(call->request->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
            return ngx_http_osb_api_not_allowed(call);
        }

        return ngx_http_osb_api_policy(call);
    }

    if (rest->len) {
        return ngx_http_osb_api_unknown(call);
    }

    switch (call->request->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return ngx_http_osb_api_get(call);

    case NGX_HTTP_PUT:
        return ngx_http_osb_api_put(call);

    case NGX_HTTP_PATCH:
        return ngx_http_osb_api_patch(call);

    case NGX_HTTP_DELETE:
        return ngx_http_osb_api_delete(call);

    default:
        call->allow = "GET, HEAD, PUT, PATCH, DELETE";
        return ngx_http_osb_api_not_allowed(call);
    }
}
