/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


static ngx_int_t
ngx_http_osb_rewrite_header(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_table_elt_t *h);
static ngx_int_t
ngx_http_osb_rewrite_url(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         ngx_str_t *value, size_t skip);
static ngx_int_t
ngx_http_osb_rewrite_path(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                          ngx_str_t *value, size_t at, ngx_str_t *path);
static ngx_int_t
ngx_http_osb_rewrite_origin(ngx_http_request_t *r, ngx_str_t *value, size_t at,
                            size_t scheme, size_t host);
static ngx_int_t
ngx_http_osb_rewrite_refresh(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                             ngx_str_t *value);
static ngx_int_t
ngx_http_osb_rewrite_cookie(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *value);
static ngx_uint_t
ngx_http_osb_cookie_path(u_char *p, u_char *last, ngx_str_t *path);
static u_char *
ngx_http_osb_blanks(u_char *p, u_char *last);
static ngx_int_t
ngx_http_osb_rewrite_scope(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_str_t *value, ngx_str_t *path);
static ngx_uint_t
ngx_http_osb_own_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                      ngx_str_t *host, ngx_str_t *port);
static ngx_str_t
ngx_http_osb_bare_host(ngx_str_t *host, ngx_str_t *port);
static ngx_uint_t
ngx_http_osb_of_origin(ngx_str_t *name);
static ngx_uint_t
ngx_http_osb_prefixed(ngx_str_t *path, ngx_str_t *prefix);
static ngx_int_t
ngx_http_osb_splice(ngx_http_request_t *r, ngx_str_t *value, size_t at,
                    size_t cut, ngx_str_t *insert);


ngx_int_t
ngx_http_osb_rewrite(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    i = 0;
    part = &r->headers_out.headers.part;

    while ((h = ngx_http_osb_header_next(&part, &i)) != NULL) {

        if (h->hash && ngx_http_osb_rewrite_header(r, ctx, h) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_rewrite_header(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_table_elt_t *h)
{
    if (ctx->prefix.len && ngx_http_osb_of_origin(&h->key)) {
        h->hash = 0;
        return NGX_OK;
    }

    switch (h->key.len) {

    case sizeof("Refresh") - 1:
        if (ngx_strncasecmp(h->key.data, (u_char *) "Refresh", 7) == 0) {
            return ngx_http_osb_rewrite_refresh(r, ctx, &h->value);
        }
        break;

    case sizeof("Location") - 1:
        if (ngx_strncasecmp(h->key.data, (u_char *) "Location", 8) == 0) {
            return ngx_http_osb_rewrite_url(r, ctx, &h->value, 0);
        }
        break;

    case sizeof("Set-Cookie") - 1:
        if (ngx_strncasecmp(h->key.data, (u_char *) "Set-Cookie", 10) == 0) {
            return ngx_http_osb_rewrite_cookie(r, ctx, &h->value);
        }
        break;

    case sizeof("Content-Location") - 1:
        if (ngx_strncasecmp(h->key.data, (u_char *) "Content-Location", 16) ==
            0) {
            return ngx_http_osb_rewrite_url(r, ctx, &h->value, 0);
        }
        break;

    case sizeof("Service-Worker-Allowed") - 1:
        if (ngx_strncasecmp(h->key.data, (u_char *) "Service-Worker-Allowed",
                            22) == 0) {
            return ctx->keep ? ngx_http_osb_rewrite_scope(r, ctx, &h->value,
                                                          &h->value)
                             : ngx_http_osb_rewrite_url(r, ctx, &h->value, 0);
        }
        break;
    }

    return NGX_OK;
}


/*
 * Whether a field is an order for the whole origin, which other sandboxes
 * share: it would clear their data, have their addresses reported, or move
 * their requests.
 */

static ngx_uint_t
ngx_http_osb_of_origin(ngx_str_t *name)
{
    ngx_uint_t i;

    static ngx_str_t fields[] = {
        ngx_string("Alt-Svc"),
        ngx_string("Clear-Site-Data"),
        ngx_string("NEL"),
        ngx_string("Report-To"),
        ngx_string("Strict-Transport-Security"),
    };

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (name->len == fields[i].len &&
            ngx_strncasecmp(name->data, fields[i].data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Brings the URL at "skip" of the value under the prefix: a path from the
 * root, or one with the sandbox's own host.  Others stay as they are.
 */

static ngx_int_t
ngx_http_osb_rewrite_url(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         ngx_str_t *value, size_t skip)
{
    u_char   *p, *last;
    size_t    scheme;
    ngx_str_t path, authority, port;

    p = value->data + skip;
    last = value->data + value->len;
    ngx_str_null(&port);

    if (last - p >= 2 && p[0] == '/' && p[1] == '/') {
        scheme = 2;

    } else if (last - p >= 7 &&
               ngx_strncasecmp(p, (u_char *) "http://", 7) == 0) {
        scheme = 7;
        ngx_str_set(&port, ":80");

    } else if (last - p >= 8 &&
               ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        scheme = 8;
        ngx_str_set(&port, ":443");

    } else if (p == last || p[0] != '/') {
        return NGX_OK;

    } else {
        path.data = p;
        path.len = (size_t) (last - p);

        return ngx_http_osb_rewrite_path(r, ctx, value, skip, &path);
    }

    authority.data = p + scheme;

    for (p = authority.data; p < last; p++) {
        if (*p == '/' || *p == '?' || *p == '#' || *p == '"' || *p == '\'') {
            break;
        }
    }

    authority.len = (size_t) (p - authority.data);

    if (!ngx_http_osb_own_host(r, ctx, &authority, &port)) {
        return NGX_OK;
    }

    path.data = p;
    path.len = (size_t) (last - p);

    /* the path first: what comes before it keeps its place */

    if (ngx_http_osb_rewrite_path(r, ctx, value, (size_t) (p - value->data),
                                  &path) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_osb_rewrite_origin(r, value, skip, scheme, authority.len);
}


/*
 * Brings the path at "at" of the value under the prefix.  A program that keeps
 * the prefix knows it without the signature.
 */

static ngx_int_t
ngx_http_osb_rewrite_path(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                          ngx_str_t *value, size_t at, ngx_str_t *path)
{
    size_t cut;

    if (ngx_http_osb_prefixed(path, &ctx->prefix)) {
        return NGX_OK;
    }

    cut = 0;

    if (ctx->keep && ngx_http_osb_prefixed(path, &ctx->route.prefix)) {
        cut = ctx->route.prefix.len;
    }

    return ngx_http_osb_splice(r, value, at, cut, &ctx->prefix);
}


/* Makes scheme and host, if they are there, those that the client uses. */

static ngx_int_t
ngx_http_osb_rewrite_origin(ngx_http_request_t *r, ngx_str_t *value, size_t at,
                            size_t scheme, size_t host)
{
    u_char     *p;
    ngx_str_t   client, origin;
    const char *text;

    client = ngx_http_osb_forwarded_host(r);

    if (client.len == 0) {

        /* of HTTP/1.0: nginx says the address of its own */

        return ngx_http_osb_splice(r, value, at, scheme + host, &client);
    }

    p = ngx_pnalloc(r->pool, client.len + sizeof("https://"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    text = ngx_http_osb_forwarded_https(r) ? "https://" : "http://";

    origin.data = p;
    origin.len =
        (size_t) (ngx_sprintf(p, "%s%V", scheme == 2 ? "//" : text, &client) -
                  p);

    return ngx_http_osb_splice(r, value, at, scheme + host, &origin);
}


/* "5; url=/path", as browsers read it: without "url=", too */

static ngx_int_t
ngx_http_osb_rewrite_refresh(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                             ngx_str_t *value)
{
    u_char *p, *q, *last;

    p = value->data;
    last = value->data + value->len;

    while (p < last && ((*p >= '0' && *p <= '9') || *p == '.' || *p == ' ' ||
                        *p == '\t' || *p == ';' || *p == ','))
    {
        p++;
    }

    if (last - p > 3 && ngx_strncasecmp(p, (u_char *) "url", 3) == 0) {
        q = ngx_http_osb_blanks(p + 3, last);

        if (q < last && *q == '=') {
            p = q + 1;
        }

        p = ngx_http_osb_blanks(p, last);
    }

    if (p < last && (*p == '"' || *p == '\'')) {
        p++;
    }

    return ngx_http_osb_rewrite_url(r, ctx, value, (size_t) (p - value->data));
}


/* Every path: of several, browsers take the last. */

static ngx_int_t
ngx_http_osb_rewrite_cookie(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *value)
{
    size_t    i;
    ngx_str_t path;

    /* from the end: a splice moves what is behind it */

    for (i = value->len; i-- > 0;) {

        if (value->data[i] == ';' &&
            ngx_http_osb_cookie_path(value->data + i + 1,
                                     value->data + value->len, &path) &&
            ngx_http_osb_rewrite_scope(r, ctx, value, &path) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Reads " Path = /x", behind the ";" of a cookie. */

static ngx_uint_t
ngx_http_osb_cookie_path(u_char *p, u_char *last, ngx_str_t *path)
{
    p = ngx_http_osb_blanks(p, last);

    if (last - p < 4 || ngx_strncasecmp(p, (u_char *) "path", 4) != 0) {
        return 0;
    }

    p = ngx_http_osb_blanks(p + 4, last);

    if (p == last || *p++ != '=') {
        return 0;
    }

    p = ngx_http_osb_blanks(p, last);

    path->data = p;
    path->len = (size_t) (last - p);

    return 1;
}


/* Where the blanks at "p" end. */

static u_char *
ngx_http_osb_blanks(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


/*
 * Brings the path of a scope under the prefix, for a program that keeps it
 * under the one without the signature, where its other requests go.
 */

static ngx_int_t
ngx_http_osb_rewrite_scope(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_str_t *value, ngx_str_t *path)
{
    ngx_str_t *prefix;

    prefix = ctx->keep ? &ctx->route.prefix : &ctx->prefix;

    if (path->len == 0 || path->data[0] != '/' ||
        ngx_http_osb_prefixed(path, prefix))
    {
        return NGX_OK;
    }

    return ngx_http_osb_splice(r, value, (size_t) (path->data - value->data), 0,
                               prefix);
}


/*
 * Whether a host, maybe with a port, is one that the sandbox knows as its.
 * "port" is the one that need not be said.
 */

static ngx_uint_t
ngx_http_osb_own_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                      ngx_str_t *host, ngx_str_t *port)
{
    ngx_str_t  own[3], bare, name;
    ngx_uint_t i;

    own[0] = ctx->peer.name;
    own[1] = ngx_http_osb_forwarded_host(r);

    if (ngx_http_osb_variables_host(r, ctx, &own[2]) != NGX_OK) {
        return 0;
    }

    bare = ngx_http_osb_bare_host(host, port);

    for (i = 0; i < 3; i++) {
        name = ngx_http_osb_bare_host(&own[i], port);

        if (name.len == bare.len &&
            ngx_strncasecmp(name.data, bare.data, bare.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_str_t
ngx_http_osb_bare_host(ngx_str_t *host, ngx_str_t *port)
{
    ngx_str_t bare;

    bare = *host;

    if (port->len && bare.len > port->len &&
        ngx_strncmp(bare.data + bare.len - port->len, port->data, port->len) ==
            0)
    {
        bare.len -= port->len;
    }

    return bare;
}


/*
 * A sandbox that heeds X-Forwarded-Prefix has done it all by itself; without
 * a prefix there is nothing to do.
 */

static ngx_uint_t
ngx_http_osb_prefixed(ngx_str_t *path, ngx_str_t *prefix)
{
    u_char ch;

    if (prefix->len == 0) {
        return 1;
    }

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


/* Replaces "cut" bytes of the value by another string. */

static ngx_int_t
ngx_http_osb_splice(ngx_http_request_t *r, ngx_str_t *value, size_t at,
                    size_t cut, ngx_str_t *insert)
{
    u_char   *p;
    ngx_str_t result;

    result.len = value->len - cut + insert->len;
    result.data = ngx_pnalloc(r->pool, result.len + 1);
    if (result.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(result.data, value->data, at);
    p = ngx_cpymem(p, insert->data, insert->len);

    p = ngx_cpymem(p, value->data + at + cut, value->len - at - cut);
    *p = '\0';

    *value = result;

    return NGX_OK;
}
