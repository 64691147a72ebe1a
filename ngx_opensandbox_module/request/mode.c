/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The routing modes: a row each.  Whatever else asks for a mode (directives,
 * the API, cookies, meters, variables) asks its row, so that another mode is
 * another row, its reader and its writer, all of them here.
 */


#define NGX_HTTP_OSB_OLD 256 /* counts a header of the old name */


static ngx_int_t
ngx_http_osb_mode_read_header(ngx_http_request_t      *r,
                              ngx_http_osb_loc_conf_t *olcf,
                              ngx_http_osb_ctx_t      *ctx);
static u_char *
ngx_http_osb_mode_write_header(u_char *p, ngx_http_osb_address_t *address,
                               const char **error);
static ngx_int_t
ngx_http_osb_mode_read_host(ngx_http_request_t      *r,
                            ngx_http_osb_loc_conf_t *olcf,
                            ngx_http_osb_ctx_t      *ctx);
static u_char *
ngx_http_osb_mode_write_host(u_char *p, ngx_http_osb_address_t *address,
                             const char **error);
static ngx_int_t
ngx_http_osb_mode_read_uri(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                           ngx_http_osb_ctx_t *ctx);
static u_char *
ngx_http_osb_mode_write_uri(u_char *p, ngx_http_osb_address_t *address,
                            const char **error);


/*
 * In the order in which a request is read.  By their bits, which leave no gap,
 * they are counted, listed and, the lowest first, offered as addresses.
 */

static ngx_http_osb_mode_t ngx_http_osb_modes[] = {

    {0x0002, ngx_string("header"), ngx_http_osb_mode_read_header,
     ngx_http_osb_mode_write_header, "OpenSandbox-Ingress-To", 0},

    {0x0004, ngx_string("host"), ngx_http_osb_mode_read_host,
     ngx_http_osb_mode_write_host, NULL,
     NGX_HTTP_OSB_MODE_COOKIE | NGX_HTTP_OSB_MODE_DOMAIN},

    {NGX_HTTP_OSB_MODE_URI, ngx_string("uri"), ngx_http_osb_mode_read_uri,
     ngx_http_osb_mode_write_uri, NULL,
     NGX_HTTP_OSB_MODE_COOKIE | NGX_HTTP_OSB_MODE_PREFIX},

    {0, ngx_null_string, NULL, NULL, NULL, 0}};


_Static_assert(sizeof(ngx_http_osb_modes) / sizeof(ngx_http_osb_mode_t) - 1 <=
                   NGX_HTTP_OSB_MODES_MAX,
               "more modes than are counted");


static ngx_str_t ngx_http_osb_mode_any = ngx_string("any");

/* this name, and the one that it had before */
static ngx_str_t ngx_http_osb_route_header =
    ngx_string("opensandbox-ingress-to");
static ngx_str_t ngx_http_osb_old_header = ngx_string("open-sandbox-ingress");


ngx_http_osb_mode_t *
ngx_http_osb_mode(ngx_uint_t bit)
{
    ngx_http_osb_mode_t *mode;

    for (mode = ngx_http_osb_modes; mode->bit; mode++) {
        if (mode->bit == bit) {
            return mode;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_osb_mode_bits(ngx_str_t *name)
{
    ngx_uint_t           any;
    ngx_http_osb_mode_t *mode;

    any = 0;

    for (mode = ngx_http_osb_modes; mode->bit; mode++) {
        if (ngx_memn2cmp(mode->name.data, name->data, mode->name.len,
                         name->len) == 0) {
            return mode->bit;
        }

        any |= mode->bit;
    }

    return ngx_memn2cmp(ngx_http_osb_mode_any.data, name->data,
                        ngx_http_osb_mode_any.len, name->len) == 0
               ? any
               : 0;
}


ngx_uint_t
ngx_http_osb_mode_flags(ngx_uint_t bits)
{
    ngx_uint_t           flags;
    ngx_http_osb_mode_t *mode;

    flags = 0;

    for (mode = ngx_http_osb_modes; mode->bit; mode++) {
        if (bits & mode->bit) {
            flags |= mode->flags;
        }
    }

    return flags;
}


const char *
ngx_http_osb_mode_list(u_char *buf, ngx_uint_t any)
{
    u_char              *p, *last;
    ngx_uint_t           bit, end;
    ngx_http_osb_mode_t *mode;

    p = buf;
    last = buf + NGX_HTTP_OSB_MODE_LIST - 1;

    for (bit = 1; (mode = ngx_http_osb_mode(bit)) != NULL; bit <<= 1) {
        end = !any && ngx_http_osb_mode(bit << 1) == NULL;

        p = ngx_slprintf(p, last, "%s\"%V\"",
                         bit == 1 ? "" : (end ? " or " : ", "), &mode->name);
    }

    if (any) {
        p = ngx_slprintf(p, last, " or \"%V\"", &ngx_http_osb_mode_any);
    }

    *p = '\0';

    return (const char *) buf;
}


ngx_int_t
ngx_http_osb_mode_read(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                       ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_osb_mode_t *mode;

    rc = NGX_DECLINED;

    for (mode = ngx_http_osb_modes; mode->bit && rc == NGX_DECLINED; mode++) {
        if (olcf->mode & mode->bit) {
            ctx->mode = mode;
            rc = mode->read(r, olcf, ctx);
        }
    }

    return rc;
}


u_char *
ngx_http_osb_mode_label(u_char *p, ngx_http_osb_address_t *address)
{
    p = ngx_sprintf(p, "%V-%ui", &address->id, address->port);

    return address->signature.len ? ngx_sprintf(p, "-%V-%V", &address->expires,
                                                &address->signature)
                                  : p;
}


static ngx_int_t
ngx_http_osb_mode_read_header(ngx_http_request_t      *r,
                              ngx_http_osb_loc_conf_t *olcf,
                              ngx_http_osb_ctx_t      *ctx)
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


/* The route itself goes in the header. */

static u_char *
ngx_http_osb_mode_write_header(u_char *p, ngx_http_osb_address_t *address,
                               const char **error)
{
    return ngx_sprintf(p, "%V", &address->base);
}


static ngx_int_t
ngx_http_osb_mode_read_host(ngx_http_request_t      *r,
                            ngx_http_osb_loc_conf_t *olcf,
                            ngx_http_osb_ctx_t      *ctx)
{
    ngx_int_t rc;

    rc = ngx_http_osb_route_host(&ctx->route, &r->headers_in.server,
                                 &olcf->domain, olcf->mode == ctx->mode->bit);

    /* an ordinary host name may hold a hyphen */

    if (rc == NGX_ERROR && (olcf->mode & NGX_HTTP_OSB_MODE_URI)) {
        return NGX_DECLINED;
    }

    return rc;
}


/* A browser's signature is in the path: the host is the sandbox's own. */

static u_char *
ngx_http_osb_mode_write_host(u_char *p, ngx_http_osb_address_t *address,
                             const char **error)
{
    u_char                *last, label[NGX_HTTP_OSB_LABEL_LEN];
    ngx_http_osb_address_t host;

    host = *address;

    if (address->browser) {
        ngx_str_null(&host.signature);
    }

    last = ngx_http_osb_mode_label(label, &host);

    /* RFC 1035, 2.3.4; and a dot would begin another label */

    if (last - label > 63 || memchr(address->id.data, '.', address->id.len)) {
        *error = "the route does not fit in a label of a host name";
        return NULL;
    }

    p = ngx_sprintf(p, "%s%*s.%V%s", address->scheme, (size_t) (last - label),
                    label, &address->base, address->browser ? "/" : "");

    if (address->browser && address->signature.len) {
        p = ngx_sprintf(p, ".opensandbox/%V/%V/", &address->expires,
                        &address->signature);
    }

    return p;
}


static ngx_int_t
ngx_http_osb_mode_read_uri(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
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

    /* without a prefix any path is one here */

    if (rc == NGX_ERROR && olcf->prefix.len == 0) {
        return NGX_DECLINED;
    }

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


static u_char *
ngx_http_osb_mode_write_uri(u_char *p, ngx_http_osb_address_t *address,
                            const char **error)
{
    const char *mark;

    mark = address->signature.len ? "/" : "";

    return ngx_sprintf(
        p, "%s%V/%V%s/%ui%s%V%s%V%s", address->scheme, &address->base,
        &address->id,
        memchr(address->base.data, '/', address->base.len) ? "/port" : "",
        address->port, mark, &address->expires, mark, &address->signature,
        address->browser ? "/" : "");
}
