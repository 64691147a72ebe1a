/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


static ngx_http_osb_status_e
ngx_http_osb_credential(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_http_osb_status_e
ngx_http_osb_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_http_osb_status_e
ngx_http_osb_admit(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


static ngx_str_t ngx_http_osb_token_header =
    ngx_string("opensandbox-secure-access");


ngx_http_osb_status_e
ngx_http_osb_access(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_record_t *record;
    ngx_http_osb_status_e  status;

    record = ctx->record;

    if (record->secure) {
        status = ngx_http_osb_credential(r, ctx);

        if (status != NGX_HTTP_OSB_OK) {
            return status;
        }
    }

    if (record->expires <= ngx_time()) {
        return NGX_HTTP_OSB_EXPIRED;
    }

    if (record->state == NGX_HTTP_OSB_STATE_AMBIGUOUS) {
        return NGX_HTTP_OSB_AMBIGUOUS;
    }

    ctx->endpoint = ngx_http_osb_record_endpoint(record, ctx->route.port);

    if (ctx->endpoint == NULL) {
        return ngx_http_osb_record_nowhere(record) ? NGX_HTTP_OSB_NOT_READY
                                                   : NGX_HTTP_OSB_NOT_EXPOSED;
    }

    if (record->state == NGX_HTTP_OSB_STATE_PAUSED) {
        return NGX_HTTP_OSB_PAUSED;
    }

    return record->ready ? NGX_HTTP_OSB_OK : NGX_HTTP_OSB_NOT_READY;
}


static ngx_http_osb_status_e
ngx_http_osb_credential(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t        token;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    h = ngx_http_osb_header_find(r, &ngx_http_osb_token_header, &n);

    if (h) {
        token = ngx_http_osb_text(ctx->record, &ctx->record->token);

        if (n != 1 || !ngx_http_osb_signature_equal(&h->value, &token)) {
            ctx->reason = "wrong access token";
            return NGX_HTTP_OSB_UNAUTHORIZED;
        }

        ctx->owner = 1;

        return ngx_http_osb_admit(r, ctx);
    }

    if (ngx_http_osb_link_read(r, ctx) == NGX_ERROR) {
        return NGX_HTTP_OSB_UNAUTHORIZED;
    }

    if (ctx->route.signature.len == 0) {
        ctx->reason = ngx_http_osb_cookie_admit(r, ctx);

        return ctx->reason ? NGX_HTTP_OSB_UNAUTHORIZED : NGX_HTTP_OSB_OK;
    }

    return ngx_http_osb_signed(r, ctx);
}


static ngx_http_osb_status_e
ngx_http_osb_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_uint_t                form;
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    if (omcf->keys.nelts == 0) {
        return NGX_HTTP_OSB_NO_KEYS;
    }

    form = ctx->route.signature.len == NGX_HTTP_OSB_LONG_SIG_LEN
               ? NGX_HTTP_OSB_LONG
               : NGX_HTTP_OSB_SHORT;

    ctx->reason = ngx_http_osb_signature_verify(
        omcf, ctx, form, &ctx->route.expires, &ctx->route.signature);
    if (ctx->reason) {
        ctx->advice = NGX_HTTP_OSB_LINK_ADVICE;
        return NGX_HTTP_OSB_UNAUTHORIZED;
    }

    if (ngx_http_osb_cookie_offer(r, ctx) != NGX_OK) {
        ctx->reason = "no memory";
        return NGX_HTTP_OSB_NOT_READY;
    }

    return ngx_http_osb_admit(r, ctx);
}


/*
 * At a sandbox with a token, a path that looks signed is a signed route, also
 * where the token admits: clients send both that an endpoint comes with.
 */

static ngx_http_osb_status_e
ngx_http_osb_admit(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (ctx->route.signature.len && ngx_http_osb_uri_signed(r, ctx) != NGX_OK) {
        ctx->reason = "no memory";
        return NGX_HTTP_OSB_NOT_READY;
    }

    return NGX_HTTP_OSB_OK;
}
