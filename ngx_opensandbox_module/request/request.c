/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


void
ngx_http_osb_request_route(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                           ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t rc;

    ctx->location = olcf;
    ctx->from = r->uri;

    ctx->status = NGX_HTTP_OSB_OK;
    ctx->reason = NULL;
    ctx->strays = 0;

    ngx_memzero(&ctx->route, sizeof(ngx_http_osb_route_t));
    ngx_str_null(&ctx->id);
    ngx_str_null(&ctx->prefix);
    ngx_str_null(&ctx->rest);

    rc = ngx_http_osb_mode_read(r, olcf, ctx);

    /* what makes no attempt at a route may be a page's */

    if (rc == NGX_DECLINED && ctx->reason == NULL &&
        ngx_http_osb_follow(r, olcf, ctx) == NGX_OK)
    {
        rc = NGX_OK;
    }

    if (rc != NGX_OK) {
        ctx->status = NGX_HTTP_OSB_BAD_ROUTE;
        ctx->reason = ctx->reason ? ctx->reason : ctx->route.error;
        ngx_str_null(&ctx->route.id);
        ctx->route.port = 0;
        return;
    }

    ngx_http_osb_fold_id(ctx->folded, &ctx->route.id);

    ctx->id.data = ctx->folded;
    ctx->id.len = ctx->route.id.len;
}
