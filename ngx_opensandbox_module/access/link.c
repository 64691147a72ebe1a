/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A signed host is another origin than the sandbox's own, so that a cookie set
 * there would be of no use here.  "/.opensandbox/{expires}/{signature}/rest"
 * at the sandbox's own host sets the cookie and goes on to "/rest".
 */


static ngx_int_t
ngx_http_osb_link_target(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         const char *before, ngx_str_t *value);
static ngx_int_t
ngx_http_osb_link_send(ngx_http_request_t *r, ngx_uint_t status,
                       const char *header, ngx_str_t *value);


ngx_int_t
ngx_http_osb_link_read(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t                uri;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->cookie == NGX_HTTP_OSB_COOKIE_OFF ||
        !(ctx->mode->flags & NGX_HTTP_OSB_MODE_COOKIE) ||
        (ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) ||
        ctx->route.signature.len)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_osb_uri_get(r, &uri) != NGX_OK) {
        ctx->reason = "no memory";
        return NGX_ERROR;
    }

    if (ngx_http_osb_route_link(&ctx->route, &uri) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        ctx->reason = "a link is opened by GET";
        return NGX_ERROR;
    }

    ctx->link = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_link_follow(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t                value;
    ngx_uint_t               strict;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    /*
     * A redirect still counts as the site's that has the link, and a strict
     * cookie would stay behind; a page that refreshes is of this site.
     */

    strict = (olcf->cookie == NGX_HTTP_OSB_COOKIE_STRICT);

    if (ngx_http_osb_link_target(r, ctx, strict ? "0; url=" : "", &value) !=
        NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_osb_link_send(r, strict ? NGX_HTTP_OK : NGX_HTTP_SEE_OTHER,
                                  strict ? "Refresh" : "Location", &value);
}


ngx_int_t
ngx_http_osb_link_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char                  *p;
    ngx_str_t               *prefix, rest, value;
    ngx_uint_t               is_signed, strict;
    ngx_http_osb_loc_conf_t *olcf;

    if (!(ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) ||
        !ngx_http_osb_origin_navigation(r))
    {
        return NGX_DECLINED;
    }

    is_signed = (ctx->prefix.len != ctx->route.prefix.len);
    rest = is_signed ? ctx->route.signed_rest : ctx->route.rest;

    /*
     * The cookie comes with the answer, or has come with the request.  A
     * program that keeps its prefix has its own mind about the slash: Next.js
     * redirects to where there is none.
     */

    if (ctx->keep && is_signed && (ctx->cookie.len || ctx->cookied)) {
        prefix = &ctx->route.prefix;

    } else if ((ctx->bare && !ctx->keep) || ctx->followed) {
        prefix = &ctx->prefix;

    } else {
        return NGX_DECLINED;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    /* as above */

    strict =
        (prefix != &ctx->prefix && olcf->cookie == NGX_HTTP_OSB_COOKIE_STRICT);

    p = ngx_pnalloc(r->pool, prefix->len + rest.len + 16);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = p;
    value.len =
        (size_t) (ngx_sprintf(p, "%s%V%s%V", strict ? "0; url=" : "", prefix,
                              ctx->bare && !ctx->keep ? "/" : "", &rest) -
                  p);

    if (prefix == &ctx->prefix) {
        return ngx_http_osb_link_send(r,
                                      ctx->followed
                                          ? NGX_HTTP_TEMPORARY_REDIRECT
                                          : NGX_HTTP_PERMANENT_REDIRECT,
                                      "Location", &value);
    }

    return ngx_http_osb_link_send(r, strict ? NGX_HTTP_OK : NGX_HTTP_SEE_OTHER,
                                  strict ? "Refresh" : "Location", &value);
}


/* An answer that leads elsewhere, and is nobody else's to keep. */

static ngx_int_t
ngx_http_osb_link_send(ngx_http_request_t *r, ngx_uint_t status,
                       const char *header, ngx_str_t *value)
{
    ngx_int_t rc;

    static ngx_str_t no_store = ngx_string("no-store");
    static ngx_str_t no_referrer = ngx_string("no-referrer");

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_osb_header_add(r, header, value) != NGX_OK ||
        ngx_http_osb_header_add(r, "Cache-Control", &no_store) != NGX_OK ||
        ngx_http_osb_header_add(r, "Referrer-Policy", &no_referrer) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_OK) {
        ngx_str_set(&r->headers_out.content_type, "text/html");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


/*
 * The rest, as a path of this host: what begins with two slashes, or what a
 * browser takes for them, would be another host's name (RFC 3986, 4.2).
 */

static ngx_int_t
ngx_http_osb_link_target(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         const char *before, ngx_str_t *value)
{
    ngx_str_t  *rest;
    const char *root;

    rest = &ctx->route.rest;

    if (rest->len == 0 || rest->data[0] != '/') {
        root = "/";

    } else if (rest->len > 1 && (rest->data[1] == '/' || rest->data[1] == '\\'))
    {
        root = "/.";

    } else {
        root = "";
    }

    value->data = ngx_pnalloc(r->pool, rest->len + 16);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len =
        (size_t) (ngx_sprintf(value->data, "%s%s%V", before, root, rest) -
                  value->data);

    return NGX_OK;
}
