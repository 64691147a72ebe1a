/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "access/access.h"


/*
 * A page in uri mode that asks for "/x" means a path of its sandbox, but asks
 * the gateway.  Which page it is, its address tells (Referer, RFC 9110,
 * 10.1.3), or the cookie "opensandbox-page-{id}-{port}" that the page was
 * given, if the browser has but one: a WebSocket has no Referer, and what a
 * style sheet asks for has that of the sheet.
 */


static ngx_int_t
ngx_http_osb_follow_referer(ngx_http_request_t *r, ngx_http_osb_route_t *route);
static ngx_int_t
ngx_http_osb_follow_cookie(ngx_http_request_t *r, ngx_http_osb_route_t *route);
static ngx_int_t
ngx_http_osb_follow_prefix(ngx_http_request_t *r, ngx_http_osb_route_t *route);
static const char *
ngx_http_osb_follow_advice(ngx_http_request_t *r, ngx_http_osb_route_t *route);


ngx_int_t
ngx_http_osb_follow(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                    ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t            uri;
    ngx_uint_t           n;
    ngx_http_osb_route_t route;

    static ngx_str_t worker = ngx_string("service-worker");

    if (ngx_http_osb_follow_referer(r, &route) != NGX_OK) {

        if (!olcf->follow_referer ||
            ngx_http_osb_follow_cookie(r, &route) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    if (!olcf->follow_referer) {
        ctx->reason = ngx_http_osb_follow_advice(r, &route);
        return NGX_DECLINED;
    }

    if (ngx_http_osb_header_find(r, &worker, &n)) {
        ctx->reason = "a service worker of the root would have the pages of "
                      "all sandboxes: it must be below the page's own path";
        return NGX_DECLINED;
    }

    if (ngx_http_osb_uri_get(r, &uri) != NGX_OK) {
        ctx->reason = "no memory";
        return NGX_ERROR;
    }

    /* all of the request is the rest, be the page's address signed or not */

    route.rest = uri;
    route.signed_rest = uri;

    ctx->route = route;
    ctx->mode = ngx_http_osb_mode(NGX_HTTP_OSB_MODE_URI);
    ctx->prefix = route.prefix;
    ctx->rest = uri;
    ctx->followed = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_follow_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char                  *p;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (!olcf->follow_referer || ctx->followed ||
        !(ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) ||
        !ngx_http_osb_origin_navigation(r))
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, ctx->id.len + 128);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->page.data = p;
    p = ngx_sprintf(p,
                    NGX_HTTP_OSB_PAGE_COOKIE
                    "%V-%ui=1; Path=/; HttpOnly; SameSite=Lax%s",
                    &ctx->id, ctx->route.port,
                    ngx_http_osb_forwarded_https(r) ? "; Secure" : "");
    ctx->page.len = (size_t) (p - ctx->page.data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_follow_referer(ngx_http_request_t *r, ngx_http_osb_route_t *route)
{
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    static ngx_str_t referer = ngx_string("referer");

    h = ngx_http_osb_header_find(r, &referer, &n);

    return n == 1 ? ngx_http_osb_origin_page(r, &h->value, route)
                  : NGX_DECLINED;
}


/* NGX_OK if there is one such cookie, and it names a sandbox. */

static ngx_int_t
ngx_http_osb_follow_cookie(ngx_http_request_t *r, ngx_http_osb_route_t *route)
{
    ngx_str_t name;

    if (ngx_http_osb_cookie_field_page(r, &name) != 1 ||
        ngx_http_osb_route_name(route, &name) != NGX_OK || route->signature.len)
    {
        return NGX_DECLINED;
    }

    return ngx_http_osb_follow_prefix(r, route);
}


/* The prefix of a sandbox's pages in this server. */

static ngx_int_t
ngx_http_osb_follow_prefix(ngx_http_request_t *r, ngx_http_osb_route_t *route)
{
    u_char                   *p;
    ngx_str_t                *prefix;
    ngx_uint_t                i;
    ngx_http_core_srv_conf_t *cscf;
    ngx_http_osb_gateway_t   *gateway;
    ngx_http_osb_main_conf_t *omcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    gateway = omcf->gateways.elts;

    for (i = 0; i < omcf->gateways.nelts; i++) {

        if (gateway[i].server != cscf ||
            !(gateway[i].location->mode & NGX_HTTP_OSB_MODE_URI))
        {
            continue;
        }

        prefix = &gateway[i].location->prefix;

        p = ngx_pnalloc(r->pool, prefix->len + route->id.len + 16);
        if (p == NULL) {
            return NGX_ERROR;
        }

        route->prefix.data = p;
        p = ngx_sprintf(p, "%V/%V%s/%ui", prefix, &route->id,
                        prefix->len ? "/port" : "", route->port);
        route->prefix.len = (size_t) (p - route->prefix.data);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static const char *
ngx_http_osb_follow_advice(ngx_http_request_t *r, ngx_http_osb_route_t *route)
{
    u_char *p;

    p = ngx_pnalloc(r->pool, route->id.len + route->prefix.len + 256);
    if (p == NULL) {
        return NULL;
    }

    *ngx_sprintf(p,
                 "a page of sandbox %V, port %ui, asked for a path outside of "
                 "its prefix; reach it by a host name, give its program the "
                 "base path %V/ and keep the prefix, or follow the referer",
                 &route->id, route->port, &route->prefix) = '\0';

    return (const char *) p;
}
