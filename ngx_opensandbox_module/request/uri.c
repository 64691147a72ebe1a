/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* What the sandbox gets of a URI, and under which prefix. */


ngx_int_t
ngx_http_osb_uri_get(ngx_http_request_t *r, ngx_str_t *uri)
{
    size_t  escape;
    u_char *p;

    if (r->valid_unparsed_uri) {
        *uri = r->unparsed_uri;
        return NGX_OK;
    }

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    uri->len = r->uri.len + escape + (r->args.len ? r->args.len + 1 : 0);
    uri->data = ngx_pnalloc(r->pool, uri->len);
    if (uri->data == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) ngx_escape_uri(uri->data, r->uri.data, r->uri.len,
                                  escape ? NGX_ESCAPE_URI : 0);
    if (escape == 0) {
        p = ngx_cpymem(uri->data, r->uri.data, r->uri.len);
    }

    if (r->args.len) {
        *p++ = '?';
        ngx_memcpy(p, r->args.data, r->args.len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_uri_rest(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                      ngx_str_t *rest)
{
    u_char *p;

    ctx->bare = (rest->len == 0 || rest->data[0] != '/');

    if (!ctx->bare) {
        ctx->rest = *rest;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, rest->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p[0] = '/';
    ngx_memcpy(p + 1, rest->data, rest->len);

    ctx->rest.data = p;
    ctx->rest.len = rest->len + 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_uri_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (!(ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX)) {
        return NGX_OK;
    }

    ctx->prefix = ctx->route.signed_prefix;

    return ngx_http_osb_uri_rest(r, ctx, &ctx->route.signed_rest);
}


ngx_int_t
ngx_http_osb_uri_keep_prefix(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char                  *p;
    ngx_str_t               *prefix, rest;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (!(ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) || ctx->keep ||
        ctx->followed ||
        !(ctx->record->keep_prefix_set ? ctx->record->keep_prefix
                                       : olcf->keep_prefix))
    {
        return NGX_OK;
    }

    ctx->keep = 1;
    prefix = &ctx->route.prefix;

    /* as the client sent it, without a slash that was not there */

    rest = ctx->prefix.len == prefix->len ? ctx->route.rest
                                          : ctx->route.signed_rest;

    p = ngx_pnalloc(r->pool, prefix->len + rest.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->rest.data = p;
    ctx->rest.len = prefix->len + rest.len;

    p = ngx_cpymem(p, prefix->data, prefix->len);
    ngx_memcpy(p, rest.data, rest.len);

    return NGX_OK;
}
