/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The gateway's cookies in header fields: taken out of Cookie before a sandbox
 * reads it, and out of the Set-Cookie that a sandbox sends.
 */


static void
ngx_http_osb_cookie_field_trim(ngx_str_t *pair);
static ngx_uint_t
ngx_http_osb_cookie_field_of_page(ngx_str_t *pair, ngx_str_t *name);
static ngx_int_t
ngx_http_osb_cookie_field_strip(ngx_http_request_t *r, ngx_str_t *text);


ngx_str_t ngx_http_osb_cookie_header = ngx_string("cookie");

/* where the cookie is of a host, and Secure, browsers guard it by its name */
ngx_str_t ngx_http_osb_cookie_names[2] = {
    ngx_string("opensandbox-access"), ngx_string("__Host-opensandbox-access")};


ngx_uint_t
ngx_http_osb_cookie_field_page(ngx_http_request_t *r, ngx_str_t *name)
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

        while (ngx_http_osb_cookie_field_next(&text, &pair)) {
            n += ngx_http_osb_cookie_field_of_page(&pair, name);
        }
    }

    return n;
}


ngx_int_t
ngx_http_osb_cookie_field_cut(ngx_http_request_t *r)
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
        rc = ngx_http_osb_cookie_field_strip(r, &h->value);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK && h->value.len == 0) {
            h->hash = 0;
            empty = 1;
        }
    }

    return empty ? ngx_http_osb_header_drop(r) : NGX_OK;
}


void
ngx_http_osb_cookie_field_guard(ngx_http_request_t *r)
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


ngx_uint_t
ngx_http_osb_cookie_field_next(ngx_str_t *text, ngx_str_t *pair)
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


ngx_uint_t
ngx_http_osb_cookie_field_own(ngx_str_t *pair, ngx_str_t *value)
{
    u_char    *p, *last;
    ngx_str_t *name, text;
    ngx_uint_t i;

    text = *pair;
    ngx_http_osb_cookie_field_trim(&text);

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


static void
ngx_http_osb_cookie_field_trim(ngx_str_t *pair)
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


/* Whether the pair tells a page's sandbox; and the "{id}-{port}" of its name.
 */

static ngx_uint_t
ngx_http_osb_cookie_field_of_page(ngx_str_t *pair, ngx_str_t *name)
{
    size_t    skip;
    u_char   *equals;
    ngx_str_t text;

    text = *pair;
    ngx_http_osb_cookie_field_trim(&text);

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


/* NGX_DECLINED if the cookie is not there; other pairs stay as they are. */

static ngx_int_t
ngx_http_osb_cookie_field_strip(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char    *p, *start;
    ngx_str_t  rest, pair, value;
    ngx_uint_t found;

    found = 0;
    rest = *text;

    while (!found && ngx_http_osb_cookie_field_next(&rest, &pair)) {
        found = ngx_http_osb_cookie_field_own(&pair, &value) ||
                ngx_http_osb_cookie_field_of_page(&pair, &value);
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

    while (ngx_http_osb_cookie_field_next(&rest, &pair)) {

        if (ngx_http_osb_cookie_field_own(&pair, &value) ||
            ngx_http_osb_cookie_field_of_page(&pair, &value))
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
