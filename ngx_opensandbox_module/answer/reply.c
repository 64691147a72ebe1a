/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


static ngx_chain_t *
ngx_http_osb_reply_body(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                        ngx_uint_t html);


ngx_int_t
ngx_http_osb_reply(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_uint_t             html;
    ngx_http_osb_answer_t *answer;

    static ngx_str_t second = ngx_string("1");
    static ngx_str_t scheme = ngx_string("OpenSandbox-Secure-Access");
    static ngx_str_t no_store = ngx_string("no-store");

    ctx->replied = 1;
    answer = ngx_http_osb_outcome_answer(ctx->status);
    html = ngx_http_osb_accept_html(r);

    ctx->body = ngx_http_osb_reply_body(r, ctx, html);
    if (ctx->body == NULL) {
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
                        ngx_uint_t html)
{
    u_char                *p, *last, *message;
    ngx_buf_t             *b;
    ngx_chain_t           *cl;
    ngx_http_osb_answer_t *answer;

    enum {
        size = 2048
    };

    answer = ngx_http_osb_outcome_answer(ctx->status);

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_create_temp_buf(r->pool, size);
    message = ngx_pnalloc(r->pool, size / 4);

    if (cl == NULL || b == NULL || message == NULL) {
        return NULL;
    }

    p = ngx_snprintf(message, size / 4 - 1, answer->message, &ctx->id,
                     ctx->route.port);

    if (ctx->reason) {
        p = ngx_slprintf(p, message + size / 4 - 1, ": %s", ctx->reason);
    }

    *p = '\0';
    last = b->end;

    if (html) {
        p = ngx_slprintf(
            b->last, last,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><title>%ui %V"
            "</title>\n<style>body{font:16px/1.5 sans-serif;max-width:40em;"
            "margin:4em auto;padding:0 1em}</style></head>\n<body>"
            "<h1>%ui</h1>\n<p>",
            answer->status, &answer->name, answer->status);
        p = (u_char *) ngx_escape_html(p, message, ngx_strlen(message));
        p = ngx_slprintf(p, last, ".</p>\n<p>%s</p>\n</body></html>\n",
                         ctx->advice ? ctx->advice : answer->advice);

    } else {
        p = ngx_slprintf(b->last, last, "{\"code\":\"%V\",\"message\":\"",
                         &answer->name);
        p = (u_char *) ngx_escape_json(p, message, ngx_strlen(message));
        p = ngx_slprintf(p, last, "\",\"sandbox\":\"%V\",\"port\":%ui}\n",
                         &ctx->id, ctx->route.port);
    }

    b->last = p;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    cl->buf = b;
    cl->next = NULL;

    return cl;
}
