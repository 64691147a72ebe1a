/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_module.h"


static ngx_int_t
ngx_http_opensandbox_rewrite_url(ngx_http_request_t         *r,
                                 ngx_http_opensandbox_ctx_t *ctx,
                                 ngx_str_t *value, size_t skip);
static ngx_int_t
ngx_http_opensandbox_rewrite_refresh(ngx_http_request_t         *r,
                                     ngx_http_opensandbox_ctx_t *ctx,
                                     ngx_str_t                  *value);
static ngx_int_t
ngx_http_opensandbox_rewrite_cookie(ngx_http_request_t         *r,
                                    ngx_http_opensandbox_ctx_t *ctx,
                                    ngx_str_t                  *value);
static ngx_uint_t
ngx_http_opensandbox_own_host(ngx_http_request_t         *r,
                              ngx_http_opensandbox_ctx_t *ctx, ngx_str_t *host);
static ngx_uint_t
ngx_http_opensandbox_prefixed(ngx_str_t *path, ngx_str_t *prefix);
static ngx_int_t
ngx_http_opensandbox_splice(ngx_http_request_t *r, ngx_str_t *value, size_t at,
                            size_t cut, ngx_str_t *insert, ngx_str_t *more);


ngx_int_t
ngx_http_opensandbox_rewrite(ngx_http_request_t         *r,
                             ngx_http_opensandbox_ctx_t *ctx)
{
    ngx_int_t        rc;
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    i = 0;
    part = &r->headers_out.headers.part;

    while ((h = ngx_http_opensandbox_next_header(&part, &i)) != NULL) {

        rc = NGX_OK;

        if (h->hash == 0) {
            continue;
        }

        switch (h->key.len) {

        case sizeof("Refresh") - 1:
            if (ngx_strncasecmp(h->key.data, (u_char *) "Refresh", 7) == 0) {
                rc = ngx_http_opensandbox_rewrite_refresh(r, ctx, &h->value);
            }
            break;

        case sizeof("Location") - 1:
            if (ngx_strncasecmp(h->key.data, (u_char *) "Location", 8) == 0) {
                rc = ngx_http_opensandbox_rewrite_url(r, ctx, &h->value, 0);
            }
            break;

        case sizeof("Set-Cookie") - 1:
            if (ngx_strncasecmp(h->key.data, (u_char *) "Set-Cookie", 10) == 0)
            {
                rc = ngx_http_opensandbox_rewrite_cookie(r, ctx, &h->value);
            }
            break;

        case sizeof("Content-Location") - 1:
            if (ngx_strncasecmp(h->key.data, (u_char *) "Content-Location",
                                16) == 0) {
                rc = ngx_http_opensandbox_rewrite_url(r, ctx, &h->value, 0);
            }
            break;

        case sizeof("Service-Worker-Allowed") - 1:
            if (ngx_strncasecmp(h->key.data,
                                (u_char *) "Service-Worker-Allowed", 22) == 0) {
                rc = ngx_http_opensandbox_rewrite_url(r, ctx, &h->value, 0);
            }
            break;

        case sizeof("Clear-Site-Data") - 1:

            /* of the whole origin, which other sandboxes share */

            if (ngx_strncasecmp(h->key.data, (u_char *) "Clear-Site-Data",
                                15) == 0) {
                h->hash = 0;
            }
            break;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * Brings the URL at "skip" of the value under the prefix: a path from the
 * root, or one with the sandbox's own host.  Others stay as they are.
 */

static ngx_int_t
ngx_http_opensandbox_rewrite_url(ngx_http_request_t         *r,
                                 ngx_http_opensandbox_ctx_t *ctx,
                                 ngx_str_t *value, size_t skip)
{
    u_char   *p, *start, *last, *host;
    size_t    cut;
    ngx_str_t path, authority, client;

    start = value->data + skip;
    last = value->data + value->len;
    host = NULL;
    p = start;

    if (last - p >= 2 && p[0] == '/' && p[1] == '/') {
        host = p + 2;

    } else if (last - p >= 7 &&
               ngx_strncasecmp(p, (u_char *) "http://", 7) == 0) {
        host = p + 7;

    } else if (last - p >= 8 &&
               ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        host = p + 8;

    } else if (p == last || p[0] != '/') {
        return NGX_OK;
    }

    if (host == NULL) {
        path.data = p;
        path.len = (size_t) (last - p);

        if (ngx_http_opensandbox_prefixed(&path, &ctx->prefix)) {
            return NGX_OK;
        }

        return ngx_http_opensandbox_splice(r, value, skip, 0, &ctx->prefix,
                                           NULL);
    }

    for (p = host; p < last; p++) {
        if (*p == '/' || *p == '?' || *p == '#' || *p == '"' || *p == '\'') {
            break;
        }
    }

    authority.data = host;
    authority.len = (size_t) (p - host);

    path.data = p;
    path.len = (size_t) (last - p);

    if (!ngx_http_opensandbox_own_host(r, ctx, &authority) ||
        ngx_http_opensandbox_prefixed(&path, &ctx->prefix))
    {
        return NGX_OK;
    }

    /* the scheme, too, is the one that the client uses */

    client = ngx_http_opensandbox_client_host(r);
    cut = (size_t) (p - start);

    if (host - start == 2) {
        cut -= 2;
        skip += 2;

        return ngx_http_opensandbox_splice(r, value, skip, cut, &client,
                                           &ctx->prefix);
    }

    authority.data = ngx_pnalloc(r->pool, client.len + sizeof("https://"));
    if (authority.data == NULL) {
        return NGX_ERROR;
    }

    authority.len = (size_t) (ngx_sprintf(authority.data, "%s%V",
#if (NGX_HTTP_SSL)
                                          r->connection->ssl ? "https://" :
#endif
                                                             "http://",
                                          &client) -
                              authority.data);

    return ngx_http_opensandbox_splice(r, value, skip, cut, &authority,
                                       &ctx->prefix);
}


/* "5; url=/path" */

static ngx_int_t
ngx_http_opensandbox_rewrite_refresh(ngx_http_request_t         *r,
                                     ngx_http_opensandbox_ctx_t *ctx,
                                     ngx_str_t                  *value)
{
    u_char *p, *last;

    last = value->data + value->len;

    for (p = value->data; last - p > 4; p++) {

        if (ngx_strncasecmp(p, (u_char *) "url=", 4) == 0) {
            p += 4;

            if (*p == '"' || *p == '\'') {
                p++;
            }

            return ngx_http_opensandbox_rewrite_url(r, ctx, value,
                                                    (size_t) (p - value->data));
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_opensandbox_rewrite_cookie(ngx_http_request_t         *r,
                                    ngx_http_opensandbox_ctx_t *ctx,
                                    ngx_str_t                  *value)
{
    u_char   *p, *last;
    ngx_str_t path;

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if (*p != ';') {
            continue;
        }

        while (last - p > 1 && (p[1] == ' ' || p[1] == '\t')) {
            p++;
        }

        if (last - p > 6 &&
            ngx_strncasecmp(p + 1, (u_char *) "path=", 5) == 0 && p[6] == '/')
        {
            path.data = p + 6;
            path.len = (size_t) (last - path.data);

            if (ngx_http_opensandbox_prefixed(&path, &ctx->prefix)) {
                return NGX_OK;
            }

            return ngx_http_opensandbox_splice(
                r, value, (size_t) (path.data - value->data), 0, &ctx->prefix,
                NULL);
        }
    }

    return NGX_OK;
}


/* Whether a host, maybe with a port, is one that the sandbox knows as its. */

static ngx_uint_t
ngx_http_opensandbox_own_host(ngx_http_request_t         *r,
                              ngx_http_opensandbox_ctx_t *ctx, ngx_str_t *host)
{
    ngx_uint_t i;
    ngx_str_t  own[3];

    own[0] = ctx->peer.name;
    own[1] = ngx_http_opensandbox_client_host(r);

    if (ngx_http_opensandbox_sandbox_host(r, ctx, &own[2]) != NGX_OK) {
        return 0;
    }

    for (i = 0; i < 3; i++) {
        if (own[i].len == host->len &&
            ngx_strncasecmp(own[i].data, host->data, host->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* A sandbox that heeds X-Forwarded-Prefix has done it all by itself. */

static ngx_uint_t
ngx_http_opensandbox_prefixed(ngx_str_t *path, ngx_str_t *prefix)
{
    u_char ch;

    if (path->len < prefix->len ||
        ngx_strncmp(path->data, prefix->data, prefix->len) != 0)
    {
        return 0;
    }

    if (path->len == prefix->len) {
        return 1;
    }

    ch = path->data[prefix->len];

    return ch == '/' || ch == '?' || ch == '#' || ch == ';' || ch == '"';
}


/* Replaces "cut" bytes of the value by one or two other strings. */

static ngx_int_t
ngx_http_opensandbox_splice(ngx_http_request_t *r, ngx_str_t *value, size_t at,
                            size_t cut, ngx_str_t *insert, ngx_str_t *more)
{
    u_char   *p;
    ngx_str_t result;

    result.len = value->len - cut + insert->len + (more ? more->len : 0);
    result.data = ngx_pnalloc(r->pool, result.len + 1);
    if (result.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(result.data, value->data, at);
    p = ngx_cpymem(p, insert->data, insert->len);

    if (more) {
        p = ngx_cpymem(p, more->data, more->len);
    }

    p = ngx_cpymem(p, value->data + at + cut, value->len - at - cut);
    *p = '\0';

    *value = result;

    return NGX_OK;
}
