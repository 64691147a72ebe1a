/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


static ngx_chain_t *
ngx_http_osb_reply_body(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        ngx_uint_t html, ngx_str_t *id);
static ngx_chain_t *
ngx_http_osb_reply_json(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        u_char *message);
static ngx_int_t
ngx_http_osb_reply_id(ngx_http_request_t *r, ngx_str_t *id);


ngx_int_t
ngx_http_osb_reply(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t              id;
    ngx_uint_t             html;
    ngx_http_osb_answer_t *answer;

    static ngx_str_t second = ngx_string("1");
    static ngx_str_t scheme = ngx_string("OpenSandbox-Secure-Access");
    static ngx_str_t no_store = ngx_string("no-store");

    ctx->replied = 1;
    answer = ngx_http_osb_outcome_answer(ctx->status);
    html = ngx_http_osb_accept_html(r);

    if (ngx_http_osb_reply_id(r, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->body = ngx_http_osb_reply_body(r, ctx, html, &id);
    if (ctx->body == NULL) {
        return NGX_ERROR;
    }

    if (html && ngx_http_osb_page_headers(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (html) {
        ngx_str_set(&r->headers_out.content_type, "text/html");
        ngx_str_set(&r->headers_out.charset, "utf-8");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        ngx_str_null(&r->headers_out.charset);
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    r->headers_out.content_length_n =
        ctx->body->buf->last - ctx->body->buf->pos;

    if (r->headers_out.content_length) {
        r->headers_out.content_length->hash = 0;
        r->headers_out.content_length = NULL;
    }

    if (answer->retry &&
        ngx_http_osb_header_add(r, "Retry-After", &second) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (answer->status == NGX_HTTP_UNAUTHORIZED &&
        ngx_http_osb_header_add(r, "WWW-Authenticate", &scheme) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_osb_header_add(r, "Cache-Control", &no_store);
}


static ngx_chain_t *
ngx_http_osb_reply_body(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        ngx_uint_t html, ngx_str_t *id)
{
    u_char                *p, *message;
    ngx_chain_t           *cl;
    ngx_http_osb_answer_t *answer;

    enum {
        size = 512
    };

    answer = ngx_http_osb_outcome_answer(ctx->status);

    message = ngx_pnalloc(r->pool, size);
    if (message == NULL) {
        return NULL;
    }

    if (html && ctx->status == NGX_HTTP_OSB_UNAUTHORIZED) {

        /* a page for anybody tells nothing of what is behind it */

        p = ngx_snprintf(message, size - 1,
                         "this address needs an access token");

    } else {
        p = ngx_snprintf(message, size - 1, answer->message, &ctx->id,
                         ctx->route.port);
    }

    if (ctx->reason) {
        p = ngx_slprintf(p, message + size - 1, ": %s", ctx->reason);
    }

    *p = '\0';

    if (html) {
        *message = ngx_toupper(*message);
    }

    cl = html ? ngx_http_osb_page(r, ctx, message, id)
              : ngx_http_osb_reply_json(r, ctx, message);
    if (cl == NULL) {
        return NULL;
    }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;
    cl->next = NULL;

    return cl;
}


static ngx_chain_t *
ngx_http_osb_reply_json(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        u_char *message)
{
    u_char      *p;
    ngx_buf_t   *b;
    ngx_chain_t *cl;

    enum {
        size = 2048
    };

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_create_temp_buf(r->pool, size);

    if (cl == NULL || b == NULL) {
        return NULL;
    }

    p = ngx_slprintf(b->last, b->end, "{\"code\":\"%V\",\"message\":\"",
                     ngx_http_osb_outcome_name(ctx->status));
    p = (u_char *) ngx_escape_json(p, message, ngx_strlen(message));
    p = ngx_slprintf(p, b->end, "\",\"sandbox\":\"%V\",\"port\":%ui}\n",
                     &ctx->id, ctx->route.port);

    b->last = p;
    cl->buf = b;

    return cl;
}


/* nginx's $request_id, which the log may have, too, for the client to name. */

static ngx_int_t
ngx_http_osb_reply_id(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_uint_t                 key;
    ngx_http_variable_value_t *v;

    static ngx_str_t name = ngx_string("request_id");

    key = ngx_hash_key(name.data, name.len);

    v = ngx_http_get_variable(r, &name, key);
    if (v == NULL || v->not_found) {
        return NGX_ERROR;
    }

    id->data = v->data;
    id->len = v->len;

    return ngx_http_osb_header_add(r, "X-Request-Id", id);
}
