/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * "Upgrade: h2c" asks to go on in HTTP/2 over the same connection.  RFC 9113,
 * 3.1 has withdrawn it, but common clients offer it with any request, and
 * servers that know but WebSockets take such a request for one and never
 * answer. It concerns this hop alone; so it is not passed on, like
 * HTTP2-Settings, which goes with it.
 */


static ngx_uint_t
ngx_http_osb_offered(ngx_http_request_t *r, ngx_str_t *list, size_t *size);
static ngx_uint_t
ngx_http_osb_next_token(ngx_str_t *list, ngx_str_t *token);
static ngx_uint_t
ngx_http_osb_is_token(ngx_str_t *token, ngx_str_t *name);


static ngx_str_t ngx_http_osb_upgrade_name = ngx_string("upgrade");
static ngx_str_t ngx_http_osb_connection_name = ngx_string("connection");
static ngx_str_t ngx_http_osb_h2c = ngx_string("h2c");


ngx_uint_t
ngx_http_osb_upgrade_wanted(ngx_http_request_t *r)
{
    size_t           size;
    ngx_str_t        list, token;
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    if (r->headers_in.upgrade == NULL || !ngx_http_osb_offered(r, &list, &size))
    {
        return 0;
    }

    /* a stream of HTTP/2 cannot change protocols */

    if (r->http_version > NGX_HTTP_VERSION_11) {
        return 0;
    }

    /* there can be several; nginx keeps but one in headers_in */

    i = 0;
    part = &r->headers_in.headers.part;

    for (;;) {
        h = ngx_http_osb_header_named(&part, &i, &ngx_http_osb_connection_name);

        if (h == NULL) {
            return 0;
        }

        list = h->value;

        while (ngx_http_osb_next_token(&list, &token)) {
            if (ngx_http_osb_is_token(&token, &ngx_http_osb_upgrade_name)) {
                return 1;
            }
        }
    }
}


ngx_int_t
ngx_http_osb_upgrade_list(ngx_http_request_t *r, ngx_str_t *list)
{
    size_t           size;
    u_char          *p;
    ngx_str_t        rest, token;
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    if (!ngx_http_osb_offered(r, list, &size) || list->len) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    list->data = p;

    for (i = 0, part = &r->headers_in.headers.part;
         (h = ngx_http_osb_header_named(&part, &i,
                                        &ngx_http_osb_upgrade_name)) != NULL;
         /* void */)
    {
        rest = h->value;

        while (ngx_http_osb_next_token(&rest, &token)) {
            if (!ngx_http_osb_is_token(&token, &ngx_http_osb_h2c)) {
                p = ngx_cpymem(p, token.data, token.len);
                *p++ = ',';
                *p++ = ' ';
            }
        }
    }

    list->len = p - list->data - 2;

    return NGX_OK;
}


/*
 * Whether there is a protocol to be passed on.  The list is the header itself
 * where it can stay as it is, as most can; else it is empty, and what is left
 * fits into size bytes with a separator behind each.
 */

static ngx_uint_t
ngx_http_osb_offered(ngx_http_request_t *r, ngx_str_t *list, size_t *size)
{
    ngx_str_t        rest, token;
    ngx_uint_t       i, n, dropped;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    n = 0;
    dropped = 0;
    *size = 0;

    ngx_str_null(list);

    for (i = 0, part = &r->headers_in.headers.part;
         (h = ngx_http_osb_header_named(&part, &i,
                                        &ngx_http_osb_upgrade_name)) != NULL;
         n++)
    {
        *list = rest = h->value;

        while (ngx_http_osb_next_token(&rest, &token)) {
            if (ngx_http_osb_is_token(&token, &ngx_http_osb_h2c)) {
                dropped = 1;

            } else {
                *size += token.len + 2;
            }
        }
    }

    if (n > 1 || dropped || *size == 0) {
        ngx_str_null(list);
    }

    return *size != 0;
}


/* Takes the next element off a list; 0 if there is none. */

static ngx_uint_t
ngx_http_osb_next_token(ngx_str_t *list, ngx_str_t *token)
{
    u_char *p, *last;

    p = list->data;
    last = p + list->len;

    while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
        p++;
    }

    token->data = p;

    while (p < last && *p != ' ' && *p != '\t' && *p != ',') {
        p++;
    }

    token->len = p - token->data;

    list->data = p;
    list->len = last - p;

    return token->len != 0;
}


static ngx_uint_t
ngx_http_osb_is_token(ngx_str_t *token, ngx_str_t *name)
{
    return token->len == name->len &&
           ngx_strncasecmp(token->data, name->data, name->len) == 0;
}
