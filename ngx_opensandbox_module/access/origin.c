/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A browser sends its cookies whatever page asks, so a cookie admits a page of
 * the sandbox only.  Which page asks is told by headers that a page cannot set:
 * Sec-Fetch-Site (W3C Fetch Metadata) where the browser has it, else Origin
 * (RFC 6454); and, where sandboxes share an origin, by Referer.
 */


static ngx_uint_t
ngx_http_osb_is(ngx_table_elt_t *h, const char *value);
static ngx_uint_t
ngx_http_osb_framed(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_signed_page(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_same_host(ngx_http_request_t *r, ngx_str_t *url, ngx_str_t *path);
static ngx_uint_t
ngx_http_osb_other_sandbox(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_str_t *referer);


static ngx_str_t ngx_http_osb_fetch_mode = ngx_string("sec-fetch-mode");
static ngx_str_t ngx_http_osb_fetch_site = ngx_string("sec-fetch-site");
static ngx_str_t ngx_http_osb_accept = ngx_string("accept");
static ngx_str_t ngx_http_osb_origin = ngx_string("origin");
static ngx_str_t ngx_http_osb_referer = ngx_string("referer");


ngx_uint_t
ngx_http_osb_origin_navigation(ngx_http_request_t *r)
{
    ngx_uint_t       n;
    ngx_table_elt_t *mode;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return 0;
    }

    mode = ngx_http_osb_header_find(r, &ngx_http_osb_fetch_mode, &n);

    if (mode) {
        return ngx_http_osb_is(mode, "navigate");
    }

    return ngx_http_osb_header_find(r, &ngx_http_osb_fetch_site, &n) == NULL &&
           ngx_http_osb_header_find(r, &ngx_http_osb_origin, &n) == NULL &&
           ngx_http_osb_accept_html(r);
}


ngx_uint_t
ngx_http_osb_origin_opens(ngx_http_request_t *r)
{
    u_char          *text;
    ngx_uint_t       n;
    ngx_table_elt_t *accept;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return 0;
    }

    if (ngx_http_osb_header_find(r, &ngx_http_osb_fetch_mode, &n) ||
        ngx_http_osb_header_find(r, &ngx_http_osb_fetch_site, &n) ||
        ngx_http_osb_header_find(r, &ngx_http_osb_origin, &n))
    {
        return ngx_http_osb_origin_navigation(r);
    }

    /* no browser that says so: command lines and embedded views take pages */

    accept = ngx_http_osb_header_find(r, &ngx_http_osb_accept, &n);

    if (accept == NULL) {
        return 1;
    }

    text = accept->value.data;
    n = accept->value.len;

    return ngx_strlcasestrn(text, text + n, (u_char *) "text/html", 8) ||
           ngx_strlcasestrn(text, text + n, (u_char *) "*/*", 2);
}


const char *
ngx_http_osb_origin_foreign(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_uint_t       n;
    ngx_table_elt_t *referer;

    /* SameSite has decided about links from elsewhere: they are but opened */

    if (ngx_http_osb_origin_navigation(r)) {
        return NULL;
    }

    if (ngx_http_osb_origin_other(r)) {
        return "the cookie does not admit pages of another origin";
    }

    referer = ngx_http_osb_header_find(r, &ngx_http_osb_referer, &n);

    if (referer && (ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) &&
        ngx_http_osb_other_sandbox(r, ctx, &referer->value))
    {
        return "the cookie does not admit pages of another sandbox";
    }

    return NULL;
}


ngx_uint_t
ngx_http_osb_origin_other(ngx_http_request_t *r)
{
    ngx_str_t        path;
    ngx_uint_t       n;
    ngx_table_elt_t *site, *origin;

    site = ngx_http_osb_header_find(r, &ngx_http_osb_fetch_site, &n);

    if (site) {
        return !ngx_http_osb_is(site, "same-origin") &&
               !ngx_http_osb_is(site, "none");
    }

    origin = ngx_http_osb_header_find(r, &ngx_http_osb_origin, &n);

    return origin && !ngx_http_osb_same_host(r, &origin->value, &path);
}


static ngx_uint_t
ngx_http_osb_is(ngx_table_elt_t *h, const char *value)
{
    return h->value.len == ngx_strlen(value) &&
           ngx_strncmp(h->value.data, value, h->value.len) == 0;
}


void
ngx_http_osb_origin_no_credential(ngx_http_request_t *r,
                                  ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    ctx->reason = "no credential";

    if (!(ctx->mode->flags & NGX_HTTP_OSB_MODE_COOKIE)) {
        return;
    }

    if (olcf->cookie == NGX_HTTP_OSB_COOKIE_OFF) {

        if (ngx_http_osb_signed_page(r)) {
            ctx->reason = "the page was opened by a signed link, the cookie of "
                          "which is off here (opensandbox_access_cookie)";
        }

        return;
    }

    if (ngx_http_osb_framed(r)) {
        ctx->advice = "Open the link in a window of its own.";
        ctx->reason =
            olcf->cookie == NGX_HTTP_OSB_COOKIE_NONE
                ? "no cookie of a signed link came from a frame of another "
                  "site: the browser keeps none there"
                : "no cookie of a signed link comes from a frame of another "
                  "site: that needs \"opensandbox_access_cookie none\"";
        return;
    }

    if (ngx_http_osb_signed_page(r)) {
        ctx->advice = "Open the link in a window of its own, and let the "
                      "browser keep its cookie.";
        ctx->reason = "the page was opened by a signed link, but its cookie "
                      "did not come with this request: in a frame of another "
                      "site it needs \"opensandbox_access_cookie none\"";
    }
}


/*
 * Whether the request is of a frame in a page of another site: Chromium tells
 * for each request there if cookies were at hand (Storage Access Headers),
 * others for the frame itself alone (Fetch Metadata).
 */

static ngx_uint_t
ngx_http_osb_framed(ngx_http_request_t *r)
{
    ngx_uint_t       i, n;
    ngx_table_elt_t *site, *dest;

    static ngx_str_t   access = ngx_string("sec-fetch-storage-access");
    static ngx_str_t   fetch_dest = ngx_string("sec-fetch-dest");
    static const char *frames[] = {"iframe", "frame", "embed", "object",
                                   "fencedframe"};

    if (ngx_http_osb_header_find(r, &access, &n)) {
        return 1;
    }

    site = ngx_http_osb_header_find(r, &ngx_http_osb_fetch_site, &n);
    dest = ngx_http_osb_header_find(r, &fetch_dest, &n);

    if (site == NULL || dest == NULL || !ngx_http_osb_is(site, "cross-site")) {
        return 0;
    }

    for (i = 0; i < 5; i++) {
        if (ngx_http_osb_is(dest, frames[i])) {
            return 1;
        }
    }

    return 0;
}


/* Whether a page asks whose own address is a signed route in uri mode. */

static ngx_uint_t
ngx_http_osb_signed_page(ngx_http_request_t *r)
{
    ngx_uint_t           n;
    ngx_table_elt_t     *referer;
    ngx_http_osb_route_t route;

    referer = ngx_http_osb_header_find(r, &ngx_http_osb_referer, &n);

    return referer &&
           ngx_http_osb_origin_page(r, &referer->value, &route) == NGX_OK &&
           route.signature.len;
}


/* Whether a URL is of the host that the client asked for; and its path. */

static ngx_uint_t
ngx_http_osb_same_host(ngx_http_request_t *r, ngx_str_t *url, ngx_str_t *path)
{
    u_char   *p, *last;
    ngx_str_t host, client;

    last = url->data + url->len;

    p = ngx_strnstr(url->data, "://", url->len);
    if (p == NULL) {
        return 0;
    }

    host.data = p + 3;

    for (p = host.data; p < last && *p != '/'; p++) { /* void */
    }

    host.len = (size_t) (p - host.data);

    path->data = p;
    path->len = (size_t) (last - p);

    client = ngx_http_osb_forwarded_host(r);

    return host.len == client.len &&
           ngx_strncasecmp(host.data, client.data, host.len) == 0;
}


ngx_int_t
ngx_http_osb_origin_page(ngx_http_request_t *r, ngx_str_t *url,
                         ngx_http_osb_route_t *route)
{
    ngx_str_t                 path;
    ngx_uint_t                i;
    ngx_http_core_srv_conf_t *cscf;
    ngx_http_osb_gateway_t   *gateway;
    ngx_http_osb_main_conf_t *omcf;

    if (!ngx_http_osb_same_host(r, url, &path)) {
        return NGX_DECLINED;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    gateway = omcf->gateways.elts;

    for (i = 0; i < omcf->gateways.nelts; i++) {

        if (gateway[i].server == cscf &&
            (gateway[i].location->mode & NGX_HTTP_OSB_MODE_URI) &&
            ngx_http_osb_route_uri(route, &path,
                                   &gateway[i].location->prefix) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* Another port of the same sandbox is not another one. */

static ngx_uint_t
ngx_http_osb_other_sandbox(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_str_t *referer)
{
    ngx_http_osb_route_t route;

    if (ngx_http_osb_origin_page(r, referer, &route) != NGX_OK) {
        return 0;
    }

    return route.id.len != ctx->id.len ||
           ngx_strncasecmp(route.id.data, ctx->id.data, ctx->id.len) != 0;
}
