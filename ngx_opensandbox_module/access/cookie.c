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


static int64_t
ngx_http_osb_cookie_find(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                         ngx_uint_t *n);
static int64_t
ngx_http_osb_cookie_expires(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *value);
static ngx_uint_t
ngx_http_osb_cookie_next(ngx_str_t *text, ngx_str_t *pair);
static void
ngx_http_osb_cookie_trim(ngx_str_t *pair);
static ngx_uint_t
ngx_http_osb_cookie_own(ngx_str_t *pair, ngx_str_t *value);
static ngx_uint_t
ngx_http_osb_cookie_of_page(ngx_str_t *pair, ngx_str_t *name);
static ngx_int_t
ngx_http_osb_cookie_strip(ngx_http_request_t *r, ngx_str_t *text);
static ngx_int_t
ngx_http_osb_cookie_drop(ngx_http_request_t *r);


static ngx_str_t ngx_http_osb_cookie_header = ngx_string("cookie");

/* where the cookie is of a host, and Secure, browsers guard it by its name */
static ngx_str_t ngx_http_osb_cookie_names[] = {
    ngx_string("opensandbox-access"), ngx_string("__Host-opensandbox-access")};


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
        ngx_http_osb_no_credential(r, ctx);
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
            ngx_http_osb_no_credential(r, ctx);
            return ctx->reason;
        }

        ctx->advice = NGX_HTTP_OSB_LINK_ADVICE;
        return "no cookie is valid here";
    }

    ctx->cookied = 1;

    return ngx_http_osb_foreign(r, ctx);
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

        while (ngx_http_osb_cookie_next(&text, &pair)) {

            if (!ngx_http_osb_cookie_own(&pair, &value)) {
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
    u_char    *p, *last;
    int64_t    expires;
    ngx_str_t *path;
    ngx_uint_t n, host, secure;

    ngx_http_osb_secret_t    *key;
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    static ngx_str_t   root = ngx_string("/");
    static const char *site[] = {"", "Lax", "Strict", "None"};

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    if (olcf->cookie == NGX_HTTP_OSB_COOKIE_OFF ||
        !(ctx->mode->flags & NGX_HTTP_OSB_MODE_COOKIE) ||
        (!ctx->link && !ngx_http_osb_opens(r)))
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

    secure = olcf->cookie_secure | ngx_http_osb_client_https(r);

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


/* Cuts a pair off a Cookie header's text, with the blanks around it. */

static ngx_uint_t
ngx_http_osb_cookie_next(ngx_str_t *text, ngx_str_t *pair)
{
    u_char *p;

    if (text->data == NULL) {
        return 0;
    }

    *pair = *text;

    p = memchr(text->data, ';', text->len);

    if (p == NULL) {
        ngx_str_null(text);
        return 1;
    }

    pair->len = (size_t) (p - pair->data);

    text->data = p + 1;
    text->len -= pair->len + 1;

    return 1;
}


static void
ngx_http_osb_cookie_trim(ngx_str_t *pair)
{
    while (pair->len && (*pair->data == ' ' || *pair->data == '\t')) {
        pair->data++;
        pair->len--;
    }

    while (pair->len && (pair->data[pair->len - 1] == ' ' ||
                         pair->data[pair->len - 1] == '\t'))
    {
        pair->len--;
    }
}


static ngx_uint_t
ngx_http_osb_cookie_own(ngx_str_t *pair, ngx_str_t *value)
{
    u_char    *p, *last;
    ngx_str_t *name, text;
    ngx_uint_t i;

    text = *pair;
    ngx_http_osb_cookie_trim(&text);

    p = text.data;
    last = p + text.len;

    for (i = 0; i < 2; i++) {
        name = &ngx_http_osb_cookie_names[i];

        if ((size_t) (last - p) > name->len && p[name->len] == '=' &&
            ngx_memcmp(p, name->data, name->len) == 0)
        {
            value->data = p + name->len + 1;
            value->len = (size_t) (last - value->data);

            return 1;
        }
    }

    return 0;
}


/* Whether the pair tells a page's sandbox; and the "{id}-{port}" of its name.
 */

static ngx_uint_t
ngx_http_osb_cookie_of_page(ngx_str_t *pair, ngx_str_t *name)
{
    size_t    skip;
    u_char   *equals;
    ngx_str_t text;

    text = *pair;
    ngx_http_osb_cookie_trim(&text);

    skip = sizeof(NGX_HTTP_OSB_PAGE_COOKIE) - 1;

    if (text.len <= skip ||
        ngx_strncmp(text.data, NGX_HTTP_OSB_PAGE_COOKIE, skip) != 0)
    {
        return 0;
    }

    equals = memchr(text.data, '=', text.len);

    name->data = text.data + skip;
    name->len =
        (size_t) ((equals ? equals : text.data + text.len) - name->data);

    return 1;
}


ngx_uint_t
ngx_http_osb_cookie_page(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_str_t        text, pair;
    ngx_uint_t       i, n;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    n = 0;
    i = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &i,
                                          &ngx_http_osb_cookie_header)) != NULL)
    {
        text = h->value;

        while (ngx_http_osb_cookie_next(&text, &pair)) {
            n += ngx_http_osb_cookie_of_page(&pair, name);
        }
    }

    return n;
}


ngx_int_t
ngx_http_osb_cookie_cut(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    ngx_uint_t       i, empty;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

#if (nginx_version >= 1023000)
    if (r->headers_in.cookie == NULL) {
        return NGX_OK;
    }
#else
    if (r->headers_in.cookies.nelts == 0) {
        return NGX_OK;
    }
#endif

    i = 0;
    empty = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &i,
                                          &ngx_http_osb_cookie_header)) != NULL)
    {
        rc = ngx_http_osb_cookie_strip(r, &h->value);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK && h->value.len == 0) {
            h->hash = 0;
            empty = 1;
        }
    }

    return empty ? ngx_http_osb_cookie_drop(r) : NGX_OK;
}


/* NGX_DECLINED if the cookie is not there; other pairs stay as they are. */

static ngx_int_t
ngx_http_osb_cookie_strip(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char    *p, *start;
    ngx_str_t  rest, pair, value;
    ngx_uint_t found;

    found = 0;
    rest = *text;

    while (!found && ngx_http_osb_cookie_next(&rest, &pair)) {
        found = ngx_http_osb_cookie_own(&pair, &value) ||
                ngx_http_osb_cookie_of_page(&pair, &value);
    }

    if (!found) {
        return NGX_DECLINED;
    }

    /* not in place: a variable may already show the old text */

    start = ngx_pnalloc(r->pool, text->len + 1);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;
    rest = *text;

    while (ngx_http_osb_cookie_next(&rest, &pair)) {

        if (ngx_http_osb_cookie_own(&pair, &value) ||
            ngx_http_osb_cookie_of_page(&pair, &value))
        {
            continue;
        }

        if (p > start) {
            *p++ = ';';

        } else {
            while (pair.len && (*pair.data == ' ' || *pair.data == '\t')) {
                pair.data++;
                pair.len--;
            }
        }

        p = ngx_cpymem(p, pair.data, pair.len);
    }

    *p = '\0';

    text->data = start;
    text->len = (size_t) (p - start);

    return NGX_OK;
}


/* nginx's lists cannot lose an element: another one takes what is left. */

static ngx_int_t
ngx_http_osb_cookie_drop(ngx_http_request_t *r)
{
    ngx_uint_t       i;
    ngx_list_part_t  first, *part;
    ngx_table_elt_t *h, *copy;

    first = r->headers_in.headers.part;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &first; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0 && h[i].value.len == 0) {
                continue;
            }

            copy = ngx_list_push(&r->headers_in.headers);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];
        }
    }

    return NGX_OK;
}


void
ngx_http_osb_cookie_guard(ngx_http_request_t *r)
{
    u_char          *p, *last;
    ngx_str_t       *own;
    ngx_uint_t       i, n;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    static ngx_str_t name = ngx_string("set-cookie");

    i = 0;
    part = &r->headers_out.headers.part;

    while ((h = ngx_http_osb_header_next(&part, &i)) != NULL) {

        if (h->key.len != name.len ||
            ngx_strncasecmp(h->key.data, name.data, name.len) != 0)
        {
            continue;
        }

        p = h->value.data;
        last = p + h->value.len;

        /* a cookie without a name comes back as its value alone */

        while (p < last && (*p == ' ' || *p == '\t' || *p == '=')) {
            p++;
        }

        n = sizeof(NGX_HTTP_OSB_PAGE_COOKIE) - 1;

        if ((size_t) (last - p) >= n &&
            ngx_strncasecmp(p, (u_char *) NGX_HTTP_OSB_PAGE_COOKIE, n) == 0)
        {
            h->hash = 0;
            continue;
        }

        for (n = 0; n < 2; n++) {
            own = &ngx_http_osb_cookie_names[n];

            if ((size_t) (last - p) >= own->len &&
                ngx_strncasecmp(p, own->data, own->len) == 0 &&
                (p + own->len == last || strchr("=; \t", p[own->len])))
            {
                h->hash = 0;
                break;
            }
        }
    }
}


char *
ngx_http_osb_access_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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
