/* SPDX-License-Identifier: Apache-2.0 */

#include "module.h"


#define NGX_HTTP_OSB_OLD 256 /* counts a header of the old name */


static ngx_int_t
ngx_http_osb_read_header(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_inline ngx_uint_t
ngx_http_osb_named(ngx_table_elt_t *h, ngx_str_t *name);
static ngx_int_t
ngx_http_osb_read_uri(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                      ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_rest(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                  ngx_str_t *rest);


/* this name, and the one that it had before */
static ngx_str_t ngx_http_osb_route_header =
    ngx_string("opensandbox-ingress-to");
static ngx_str_t ngx_http_osb_old_header = ngx_string("open-sandbox-ingress");


void
ngx_http_osb_read_route(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
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

            if (ngx_http_osb_named(&h[i], &ngx_http_osb_route_header)) {
                name = 1;

            } else if (ngx_http_osb_named(&h[i], &ngx_http_osb_old_header)) {
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


static ngx_inline ngx_uint_t
ngx_http_osb_named(ngx_table_elt_t *h, ngx_str_t *name)
{
    return h->key.len == name->len &&
           ngx_memcmp(h->lowcase_key, name->data, name->len) == 0;
}


static ngx_int_t
ngx_http_osb_read_uri(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                      ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_str_t            uri;
    ngx_http_osb_route_t decoded;

    if (ngx_http_osb_request_uri(r, &uri) != NGX_OK) {
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

    return ngx_http_osb_rest(r, ctx, &ctx->route.rest);
}


ngx_int_t
ngx_http_osb_request_uri(ngx_http_request_t *r, ngx_str_t *uri)
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


/* A rest without a path has the root's. */

static ngx_int_t
ngx_http_osb_rest(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
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
ngx_http_osb_use_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (ctx->mode != NGX_HTTP_OSB_MODE_URI) {
        return NGX_OK;
    }

    ctx->prefix = ctx->route.signed_prefix;

    return ngx_http_osb_rest(r, ctx, &ctx->route.signed_rest);
}


ngx_int_t
ngx_http_osb_keep_prefix(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char                  *p;
    ngx_str_t               *prefix, rest;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (ctx->mode != NGX_HTTP_OSB_MODE_URI || ctx->keep || ctx->followed ||
        !(ctx->record->keeps ? ctx->record->keep : olcf->keep_prefix))
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


ngx_table_elt_t *
ngx_http_osb_header(ngx_http_request_t *r, ngx_str_t *name, ngx_uint_t *n)
{
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h, *first;

    i = 0;
    part = &r->headers_in.headers.part;

    first = ngx_http_osb_next_named(&part, &i, name);

    for (h = first, *n = 0; h; (*n)++) {
        h = ngx_http_osb_next_named(&part, &i, name);
    }

    return first;
}


ngx_table_elt_t *
ngx_http_osb_next_named(ngx_list_part_t **part, ngx_uint_t *i, ngx_str_t *name)
{
    ngx_uint_t       n;
    ngx_list_part_t *p;
    ngx_table_elt_t *h;

    n = *i;

    for (p = *part; p; p = p->next, n = 0) {

        h = p->elts;

        for (/* void */; n < p->nelts; n++) {

            if (ngx_http_osb_named(&h[n], name)) {
                *part = p;
                *i = n + 1;

                return &h[n];
            }
        }
    }

    *part = NULL;

    return NULL;
}


ngx_table_elt_t *
ngx_http_osb_next_header(ngx_list_part_t **part, ngx_uint_t *i)
{
    ngx_table_elt_t *h;

    while (*i >= (*part)->nelts) {
        if ((*part)->next == NULL) {
            return NULL;
        }

        *part = (*part)->next;
        *i = 0;
    }

    h = (*part)->elts;

    return &h[(*i)++];
}
