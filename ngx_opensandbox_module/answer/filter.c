/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "access/access.h"


/*
 * What passes to clients: a sandbox's answer is vetted, and an error of the
 * gateway's own gets its body.
 */


static ngx_int_t
ngx_http_osb_filter_header(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_filter_cookie(ngx_http_request_t *r, ngx_str_t *cookie);
static ngx_int_t
ngx_http_osb_filter_body(ngx_http_request_t *r, ngx_chain_t *in);
static ngx_uint_t
ngx_http_osb_own_error(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_answered(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_vet(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_vet_connection(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_event_stream(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_garbage(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_diagnose(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


static ngx_http_output_header_filter_pt ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt   ngx_http_next_body_filter;


ngx_int_t
ngx_http_osb_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_osb_filter_header;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_osb_filter_body;

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_filter_header(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx == NULL && ngx_http_osb_own_error(r) &&
        ngx_http_osb_cors_error(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx == NULL || ctx->replied) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_osb_ctx_restore_uri(r, ctx);

    if (ngx_http_osb_answered(r, ctx)) {

        if (ngx_http_osb_garbage(r, ctx)) {
            r->http_version = ctx->http_version;
            ctx->status = NGX_HTTP_OSB_BAD_ANSWER;

            return ngx_http_filter_finalize_request(
                r, &ngx_http_opensandbox_module, NGX_HTTP_BAD_GATEWAY);
        }

        if (ngx_http_osb_vet(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (r->err_status) {

        /* nginx answers for the sandbox */

        ngx_http_osb_diagnose(r, ctx);

        if (ngx_http_osb_cors_error(r) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ctx->status != NGX_HTTP_OSB_OK &&
            r->err_status == ngx_http_osb_outcome_status(ctx->status) &&
            ngx_http_osb_reply(r, ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_osb_filter_cookie(r, &ctx->cookie) != NGX_OK ||
        ngx_http_osb_filter_cookie(r, &ctx->page) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/* Sets a cookie once, if there is one. */

static ngx_int_t
ngx_http_osb_filter_cookie(ngx_http_request_t *r, ngx_str_t *cookie)
{
    if (cookie->len == 0) {
        return NGX_OK;
    }

    if (ngx_http_osb_header_add(r, "Set-Cookie", cookie) != NGX_OK) {
        return NGX_ERROR;
    }

    cookie->len = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_filter_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t        *body;
    ngx_http_osb_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (in && ctx && ctx->body) {
        body = ctx->body;
        ctx->body = NULL;

        return ngx_http_next_body_filter(r, body);
    }

    /* the flush after the head of an answer that changes protocols */

    if (in && ctx && ctx->tunnel && ctx->relay == NULL &&
        ngx_http_osb_relay_start(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_body_filter(r, in);
}


/*
 * Whether nginx refuses a request before its route is read, or gives the page
 * for one that had a route.
 */

static ngx_uint_t
ngx_http_osb_own_error(ngx_http_request_t *r)
{
    ngx_http_osb_loc_conf_t *olcf;

    if (r != r->main || r->err_status < NGX_HTTP_BAD_REQUEST) {
        return 0;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    return olcf->mode || ngx_http_osb_ctx_own(r) != NULL;
}


/*
 * Whether the header is a sandbox's, be it for an error page: then the status
 * is nginx's.  The upstream has its clean-up as long as it is in use.
 */

static ngx_uint_t
ngx_http_osb_answered(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (!ctx->proxied || r->upstream == NULL || ctx->status != NGX_HTTP_OSB_OK)
    {
        return 0;
    }

#if (NGX_HTTP_CACHE)
    if (r->cached) {
        return 1;
    }
#endif

    return r->upstream->cleanup != NULL;
}


/* What the sandbox says of itself is not what its client is to read. */

static ngx_int_t
ngx_http_osb_vet(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_vet_connection(r);
    ngx_http_osb_cookie_field_guard(r);

    if ((ctx->prefix.len || ngx_http_osb_forwarded_trusted(r)) &&
        ngx_http_osb_rewrite(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->watched) {
        return NGX_OK;
    }

    if (r->upstream->upgrade) {
        ngx_http_osb_tunnel_open(r, ctx);

    } else if (ngx_http_osb_event_stream(r)) {
        ngx_http_osb_tunnel_stream_open(r, ctx);
    }

    return NGX_OK;
}


/*
 * Drops what is of the sandbox's own connection and nginx lets pass: an offer
 * to upgrade ("Upgrade: h2c", as Apache makes it with any answer), which in
 * HTTP/2 makes the whole answer malformed (RFC 9113, 8.2.2).
 */

static void
ngx_http_osb_vet_connection(ngx_http_request_t *r)
{
    ngx_uint_t       i, upgrade;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    static ngx_str_t name = ngx_string("upgrade");
    static ngx_str_t proxy = ngx_string("proxy-connection");

    /* what is asked for, or what a 426 demands */

    upgrade = r->http_version <= NGX_HTTP_VERSION_11 &&
              (r->upstream->upgrade || r->headers_out.status == 426);

    i = 0;
    part = &r->headers_out.headers.part;

    while ((h = ngx_http_osb_header_next(&part, &i)) != NULL) {

        if ((h->key.len == name.len && !upgrade &&
             ngx_strncasecmp(h->key.data, name.data, name.len) == 0) ||
            (h->key.len == proxy.len &&
             ngx_strncasecmp(h->key.data, proxy.data, proxy.len) == 0))
        {
            h->hash = 0;
        }
    }
}


/* Whether the answer is server-sent events, which have no end of their own. */

static ngx_uint_t
ngx_http_osb_event_stream(ngx_http_request_t *r)
{
    u_char    ch;
    ngx_str_t type;

    static ngx_str_t events = ngx_string("text/event-stream");

    type = r->headers_out.content_type;

    if (type.len < events.len ||
        ngx_strncasecmp(type.data, events.data, events.len) != 0)
    {
        return 0;
    }

    ch = type.len > events.len ? type.data[events.len] : ';';

    return ch == ';' || ch == ' ' || ch == '\t';
}


/*
 * Whether a sandbox's answer has no status.  Without a line for it, nginx would
 * take the answer for HTTP/0.9, and send it to the client as it is.
 */

static ngx_uint_t
ngx_http_osb_garbage(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (r->upstream->header_sent) {
        return 0;
    }

    /* nobody asked to change protocols, or a stream of HTTP/2 that cannot */

    if (r->upstream->headers_in.status_n == NGX_HTTP_SWITCHING_PROTOCOLS &&
        (!r->upstream->upgrade || r->http_version > NGX_HTTP_VERSION_11))
    {
        return 1;
    }

    return r->upstream->headers_in.status_n < NGX_HTTP_CONTINUE &&
           ctx->http_version != NGX_HTTP_VERSION_9;
}


/* What went wrong with the sandbox, if nginx has given it up. */

static void
ngx_http_osb_diagnose(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_upstream_t *u;

    u = r->upstream;

    if (ctx->status == NGX_HTTP_OSB_OK && u && u->state &&
        (r->err_status == NGX_HTTP_BAD_GATEWAY ||
         r->err_status == NGX_HTTP_GATEWAY_TIME_OUT))
    {
        ctx->status = ctx->failed;
        ctx->reason = ctx->failure;
    }
}
