/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Interim answers, 1xx (RFC 9110, 15.2).  To the proxy of older nginx they are
 * the answer, and what follows, its real headers, a body.  So they are dropped
 * here; 103 (Early Hints) only where nginx does not know it.  A change of
 * protocols that the client did not ask for is no answer at all.
 */


static ngx_int_t
ngx_http_osb_process_header(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_reinit_request(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_skip(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* the proxy of HTTP/1; others have frames for this */
extern ngx_module_t ngx_http_proxy_module;


void
ngx_http_osb_interim(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_upstream_t *u;

    u = r->upstream;

    if (u->output.tag != (ngx_buf_tag_t) &ngx_http_proxy_module) {
        return;
    }

    ctx->process_header = u->process_header;
    ctx->reinit_request = u->reinit_request;

    u->process_header = ngx_http_osb_process_header;
    u->reinit_request = ngx_http_osb_reinit_request;
}


static ngx_int_t
ngx_http_osb_process_header(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_uint_t           status;
    ngx_http_upstream_t *u;
    ngx_http_osb_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);
    u = r->upstream;

    for (;;) {
        u->process_header = ctx->process_header;

        rc = u->process_header(r);

        /* it goes on in another function when it has the status line */

        ctx->process_header = u->process_header;
        u->process_header = ngx_http_osb_process_header;

        status = u->headers_in.status_n;

        if (rc != NGX_OK || status == 0 || status >= NGX_HTTP_OK) {
            return rc;
        }

        if (status == NGX_HTTP_SWITCHING_PROTOCOLS) {

            if (!ngx_http_osb_upgrade_wanted(r)) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "upstream switches protocols unasked");
                return NGX_HTTP_UPSTREAM_INVALID_HEADER;
            }

            return NGX_OK;
        }

#ifdef NGX_HTTP_EARLY_HINTS
        if (status == NGX_HTTP_EARLY_HINTS) {
            return NGX_OK;
        }
#endif

        if (ngx_http_osb_skip(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        if (u->buffer.pos == u->buffer.last) {
            return NGX_AGAIN;
        }
    }
}


/* The proxy makes itself ready for another answer, on a further attempt. */

static ngx_int_t
ngx_http_osb_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_upstream_t *u;
    ngx_http_osb_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);
    u = r->upstream;

    rc = ctx->reinit_request(r);

    ctx->process_header = u->process_header;
    u->process_header = ngx_http_osb_process_header;

    return rc;
}


/* Forgets an answer, all but its place in the buffer. */

static ngx_int_t
ngx_http_osb_skip(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_upstream_t *u;

    u = r->upstream;

    if (ngx_http_osb_reinit_request(r) != NGX_OK) {
        return NGX_ERROR;
    }

    u->keepalive = 0;
    u->state->status = 0;

    ngx_memzero(&u->headers_in, sizeof(ngx_http_upstream_headers_in_t));

    u->headers_in.content_length_n = -1;
    u->headers_in.last_modified_time = -1;

    if (ngx_list_init(&u->headers_in.headers, r->pool, 8,
                      sizeof(ngx_table_elt_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_list_init(&u->headers_in.trailers, r->pool, 2,
                         sizeof(ngx_table_elt_t));
}
