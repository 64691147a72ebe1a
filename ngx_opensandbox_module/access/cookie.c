/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A signed route that a browser has opened leaves a cookie there, which admits
 * what the page then asks for without the signature.  Its value is
 * "{expires}-{signature}", both as in a route, but the signature has a form of
 * its own: a cookie is no link, and a link is no cookie.
 */


/* Chrome and RFC 6265bis keep a cookie no longer than 400 days */
#define NGX_HTTP_OSB_COOKIE_AGE (400 * 24 * 60 * 60)

/* signatures that one request may have checked: a page can plant cookies */
#define NGX_HTTP_OSB_COOKIE_TRIES 32


static ngx_int_t
ngx_http_osb_cookie_make(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         int64_t expires);
static int64_t
ngx_http_osb_cookie_find(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         ngx_uint_t *n);
static int64_t
ngx_http_osb_cookie_expires(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *value);


static ngx_conf_enum_t ngx_http_osb_cookie_values[] = {
    {ngx_string("off"), NGX_HTTP_OSB_COOKIE_OFF},
    {ngx_string("lax"), NGX_HTTP_OSB_COOKIE_LAX},
    {ngx_string("strict"), NGX_HTTP_OSB_COOKIE_STRICT},
    {ngx_string("none"), NGX_HTTP_OSB_COOKIE_NONE},
    {ngx_null_string, 0}};


const char *
ngx_http_osb_cookie_admit(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_uint_t               n;
    ngx_http_osb_ctx_t      *former;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    /*
     * Not by a routing header: a page can send one to a path of another
     * sandbox, and that sandbox's cookie would go with it.
     */

    if (olcf->cookie == NGX_HTTP_OSB_COOKIE_OFF ||
        !(ctx->mode->flags & NGX_HTTP_OSB_MODE_COOKIE))
    {
        ngx_http_osb_origin_no_credential(r, ctx);
        return ctx->reason;
    }

    /* the request's own, which it has lost on its way to another location */

    former = ctx->former;

    if (former && former->cookied && former->route.port == ctx->route.port &&
        ngx_memn2cmp(former->id.data, ctx->id.data, former->id.len,
                     ctx->id.len) == 0)
    {
        ctx->cookied = 1;
    }

    if (!ctx->cookied && ngx_http_osb_cookie_find(r, ctx, &n) < 0) {
        if (n == 0) {
            ngx_http_osb_origin_no_credential(r, ctx);
            return ctx->reason;
        }

        ctx->advice = NGX_HTTP_OSB_LINK_ADVICE;
        return "no cookie is valid here";
    }

    ctx->cookied = 1;

    return ngx_http_osb_origin_foreign(r, ctx);
}


/*
 * The latest expiry of the cookies that admit to the route's sandbox, -1
 * without any.  *n is how many have the name.
 */

static int64_t
ngx_http_osb_cookie_find(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         ngx_uint_t *n)
{
    int64_t          expires, latest;
    ngx_str_t        text, pair, value;
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    *n = 0;
    i = 0;
    latest = -1;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &i,
                                          &ngx_http_osb_cookie_header)) != NULL)
    {
        text = h->value;

        while (ngx_http_osb_cookie_field_next(&text, &pair)) {

            if (!ngx_http_osb_cookie_field_own(&pair, &value)) {
                continue;
            }

            if ((*n)++ == NGX_HTTP_OSB_COOKIE_TRIES) {
                return latest;
            }

            expires = ngx_http_osb_cookie_expires(r, ctx, &value);
            latest = ngx_max(latest, expires);
        }
    }

    return latest;
}


/* The expiry of a valid cookie; -1 of any other. */

static int64_t
ngx_http_osb_cookie_expires(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *value)
{
    ngx_str_t                 expires, signature;
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    signature.len = NGX_HTTP_OSB_LONG_SIG_LEN;

    if (value->len < signature.len + 2) {
        return -1;
    }

    signature.data = value->data + value->len - signature.len;

    expires.data = value->data;
    expires.len = value->len - signature.len - 1;

    if (signature.data[-1] != '-' || ngx_http_osb_parse_expires(&expires) < 0 ||
        ngx_http_osb_signature_verify(omcf, ctx, NGX_HTTP_OSB_COOKIE, &expires,
                                      &signature) != NULL)
    {
        return -1;
    }

    return ngx_http_osb_parse_expires(&expires);
}


ngx_int_t
ngx_http_osb_cookie_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    int64_t                  expires;
    ngx_uint_t               n;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->cookie == NGX_HTTP_OSB_COOKIE_OFF ||
        !(ctx->mode->flags & NGX_HTTP_OSB_MODE_COOKIE) ||
        (!ctx->link && !ngx_http_osb_origin_opens(r)))
    {
        return NGX_OK;
    }

    expires = ngx_http_osb_parse_expires(&ctx->route.expires);

    /* a link does not shorten what another one gave */

    if (expires == ngx_time()) {
        return NGX_OK;
    }

    if (ngx_http_osb_cookie_find(r, ctx, &n) >= expires) {
        ctx->cookied = 1;
        return NGX_OK;
    }

    return ngx_http_osb_cookie_make(r, ctx, expires);
}


/* The Set-Cookie value, in ctx->cookie; NGX_OK or NGX_ERROR. */

static ngx_int_t
ngx_http_osb_cookie_make(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         int64_t expires)
{
    u_char    *p, *last;
    ngx_str_t *path;
    ngx_uint_t host, secure;

    ngx_http_osb_secret_t    *key;
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    static ngx_str_t   root = ngx_string("/");
    static const char *site[] = {"", "Lax", "Strict", "None"};

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    secure = olcf->cookie_secure | ngx_http_osb_forwarded_https(r);

    host = !(ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX);

    /* without a slash at its end it matches a URI without one, too */
    path = host ? &root : &ctx->route.prefix;

    p = ngx_pnalloc(r->pool, path->len + 256);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->cookie.data = p;
    last = p + path->len + 256;

    p = ngx_slprintf(p, last, "%V=%V-",
                     &ngx_http_osb_cookie_names[host && secure ? 1 : 0],
                     &ctx->route.expires);

    key = ngx_http_osb_signature_key(omcf, &ctx->route.signature);

    p = ngx_http_osb_signature_make(p, key, NGX_HTTP_OSB_COOKIE, &ctx->id,
                                    ctx->route.port, &ctx->route.expires);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_slprintf(
        p, last, "; Path=%V; Max-Age=%L; HttpOnly; SameSite=%s%s%s", path,
        ngx_min(expires - ngx_time(), NGX_HTTP_OSB_COOKIE_AGE),
        site[olcf->cookie], secure ? "; Secure" : "",
        olcf->cookie == NGX_HTTP_OSB_COOKIE_NONE ? "; Partitioned" : "");

    ctx->cookie.len = (size_t) (p - ctx->cookie.data);

    return NGX_OK;
}


char *
ngx_http_osb_cookie_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_str_t       *value;
    ngx_conf_enum_t *e;

    if (olcf->cookie != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (e = ngx_http_osb_cookie_values; e->name.len; e++) {
        if (ngx_strcmp(e->name.data, value[1].data) == 0) {
            olcf->cookie = e->value;
            break;
        }
    }

    if (e->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be \"lax\", "
                           "\"strict\", \"none\" or \"off\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    /* no browser takes a cookie for other sites' frames that is not */
    olcf->cookie_secure = (e->value == NGX_HTTP_OSB_COOKIE_NONE);

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "secure") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        olcf->cookie_secure = 1;
    }

    return NGX_CONF_OK;
}
