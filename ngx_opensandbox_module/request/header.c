/* SPDX-License-Identifier: Apache-2.0 */

#include "request.h"


/* Walks over lists of header fields; nginx itself looks up but the common. */


ngx_table_elt_t *
ngx_http_osb_header_find(ngx_http_request_t *r, ngx_str_t *name, ngx_uint_t *n)
{
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *h, *first;

    i = 0;
    part = &r->headers_in.headers.part;

    first = ngx_http_osb_header_named(&part, &i, name);

    for (h = first, *n = 0; h; (*n)++) {
        h = ngx_http_osb_header_named(&part, &i, name);
    }

    return first;
}


ngx_table_elt_t *
ngx_http_osb_header_named(ngx_list_part_t **part, ngx_uint_t *i,
                          ngx_str_t *name)
{
    ngx_uint_t       n;
    ngx_list_part_t *p;
    ngx_table_elt_t *h;

    n = *i;

    for (p = *part; p; p = p->next, n = 0) {

        h = p->elts;

        for (/* void */; n < p->nelts; n++) {

            if (ngx_http_osb_header_is(&h[n], name)) {
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
ngx_http_osb_header_next(ngx_list_part_t **part, ngx_uint_t *i)
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


ngx_int_t
ngx_http_osb_header_add(ngx_http_request_t *r, const char *name,
                        ngx_str_t *value)
{
    ngx_table_elt_t *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


/* nginx's lists cannot lose an element: another one takes what is left. */

ngx_int_t
ngx_http_osb_header_drop(ngx_http_request_t *r)
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
