/* SPDX-License-Identifier: Apache-2.0 */

#include "request.h"
#include "proxy/proxy.h"


#define NGX_HTTP_OSB_OLD 256 /* counts a header of the old name */


static ngx_int_t
ngx_http_osb_read_header(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_read_uri(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                      ngx_http_osb_ctx_t *ctx);


/* this name, and the one that it had before */
static ngx_str_t ngx_http_osb_route_header =
    ngx_string("opensandbox-ingress-to");
static ngx_str_t ngx_http_osb_old_header = ngx_string("open-sandbox-ingress");


void
ngx_http_osb_request_route(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                           ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t rc;

    rc = NGX_DECLINED;

    ctx->location = olcf;
    ctx->from = r->uri;

    ctx->status = NGX_HTTP_OSB_OK;
    ctx->reason = NULL;
    ctx->strays = 0;

    ngx_memzero(&ctx->route, sizeof(ngx_http_osb_route_t));
    ngx_str_null(&ctx->id);
    ngx_str_null(&ctx->prefix);
    ngx_str_null(&ctx->rest);

    if (olcf->mode & NGX_HTTP_OSB_MODE_HEADER) {
        ctx->mode = NGX_HTTP_OSB_MODE_HEADER;
        rc = ngx_http_osb_read_header(r, ctx);
    }

    if (rc == NGX_DECLINED && (olcf->mode & NGX_HTTP_OSB_MODE_HOST)) {
        ctx->mode = NGX_HTTP_OSB_MODE_HOST;
        rc = ngx_http_osb_route_host(&ctx->route, &r->headers_in.server,
                                     &olcf->domain,
                                     olcf->mode == NGX_HTTP_OSB_MODE_HOST);

        /* an ordinary host name may hold a hyphen */

        if (rc == NGX_ERROR && (olcf->mode & NGX_HTTP_OSB_MODE_URI)) {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_DECLINED && (olcf->mode & NGX_HTTP_OSB_MODE_URI)) {
        ctx->mode = NGX_HTTP_OSB_MODE_URI;
        rc = ngx_http_osb_read_uri(r, olcf, ctx);
    }

    /* what makes no attempt at a route may be a page's; any path is one here */

    if (ctx->reason == NULL &&
        (rc == NGX_DECLINED ||
         (rc == NGX_ERROR && ctx->mode == NGX_HTTP_OSB_MODE_URI &&
          olcf->prefix.len == 0)) &&
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


static ngx_int_t
ngx_http_osb_read_header(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t       *value;
    ngx_uint_t       i, n, name;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    value = NULL;
    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_osb_header_is(&h[i], &ngx_http_osb_route_header)) {
                name = 1;

            } else if (ngx_http_osb_header_is(&h[i], &ngx_http_osb_old_header))
            {
                name = NGX_HTTP_OSB_OLD;

            } else {
                continue;
            }

            if (h[i].value.len == 0) {
                continue;
            }

            n += name;

            /* both names may stand there, with the same value */

            if (value && (n != 1 + NGX_HTTP_OSB_OLD ||
                          ngx_memn2cmp(h[i].value.data, value->data,
                                       h[i].value.len, value->len) != 0))
            {
                ctx->reason = "there is more than one routing header";
                return NGX_ERROR;
            }

            value = &h[i].value;
        }
    }

    if (value == NULL) {
        ctx->route.error = "there is no routing header";
        return NGX_DECLINED;
    }

    return ngx_http_osb_route_field(&ctx->route, value);
}


static ngx_int_t
ngx_http_osb_read_uri(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                      ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_str_t            uri;
    ngx_http_osb_route_t decoded;

    if (ngx_http_osb_uri_get(r, &uri) != NGX_OK) {
        ctx->reason = "no memory";
        return NGX_ERROR;
    }

    rc = ngx_http_osb_route_uri(&ctx->route, &uri, &olcf->prefix);

    if (rc != NGX_OK) {
        return rc;
    }

    /*
     * The location was chosen by the decoded URI, dot segments resolved.  If
     * they lead out of the sandbox's prefix, another location may guard it.
     */

    if (r->uri.data != uri.data) {
        rc = ngx_http_osb_route_uri(&decoded, &r->uri, &olcf->prefix);

        ctx->strays =
            rc != NGX_OK ||
            ngx_memn2cmp(decoded.prefix.data, ctx->route.prefix.data,
                         decoded.prefix.len, ctx->route.prefix.len) != 0;
    }

    ctx->prefix = ctx->route.prefix;

    return ngx_http_osb_uri_rest(r, ctx, &ctx->route.rest);
}
