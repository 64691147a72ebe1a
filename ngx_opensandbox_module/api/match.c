/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include <openssl/sha.h>


/*
 * Conditional requests, RFC 9110, 13: entity tags, and what If-Match and
 * If-None-Match make of a call.  There are no dates, so conditions on dates
 * are ignored (13.1.3, 13.1.4), and nginx's own judgement, which comes when
 * the answer is sent, is switched off.
 */


/* one "entity-tag" of a list, RFC 9110, 8.8.3; its quotes included */
typedef struct {
    ngx_str_t  opaque;
    ngx_uint_t weak;
} ngx_http_osb_tag_t;


static ngx_uint_t
ngx_http_osb_match(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *etag,
                   ngx_uint_t weak, ngx_uint_t *present);
static ngx_uint_t
ngx_http_osb_match_next(ngx_str_t *list, ngx_http_osb_tag_t *tag);


void
ngx_http_osb_api_tag(ngx_http_osb_etag_t *etag, u_char *data, size_t len)
{
    u_char *p, hash[SHA256_DIGEST_LENGTH];

    (void) SHA256(data, len, hash);

    p = etag->space;
    *p++ = '"';
    p = ngx_hex_dump(p, hash, 16);
    *p++ = '"';

    etag->value.data = etag->space;
    etag->value.len = (size_t) (p - etag->space);
}


ngx_int_t
ngx_http_osb_api_record_tag(ngx_http_osb_record_t *record,
                            ngx_http_osb_etag_t   *etag)
{
    char  *text;
    size_t len;

    text = ngx_http_osb_record_text(record, NGX_HTTP_OSB_SHOW_SECRETS, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_http_osb_api_tag(etag, (u_char *) text, len);

    free(text);

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_api_set_tag(ngx_http_request_t *r, ngx_str_t *etag)
{
    ngx_table_elt_t *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    ngx_str_set(&h->key, "ETag");
    h->value.len = etag->len;
    h->value.data = ngx_pstrdup(r->pool, etag);

    if (h->value.data == NULL) {
        return NGX_ERROR;
    }

    /* filters that change the body make it a weak one */

    h->hash = 1;
    r->headers_out.etag = h;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_api_judge(ngx_http_request_t *r, ngx_str_t *etag)
{
    static ngx_str_t if_match = ngx_string("if-match");
    static ngx_str_t if_none_match = ngx_string("if-none-match");

    ngx_uint_t matches, present;

    matches = ngx_http_osb_match(r, &if_match, etag, 0, &present);

    if (present && !matches) {
        return NGX_HTTP_PRECONDITION_FAILED;
    }

    matches = ngx_http_osb_match(r, &if_none_match, etag, 1, &present);

    if (present && matches) {
        return (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))
                   ? NGX_HTTP_NOT_MODIFIED
                   : NGX_HTTP_PRECONDITION_FAILED;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_osb_api_conditional(ngx_http_request_t *r)
{
    static ngx_str_t if_match = ngx_string("if-match");
    static ngx_str_t if_none_match = ngx_string("if-none-match");

    ngx_uint_t n;

    return ngx_http_osb_header_find(r, &if_match, &n) != NULL ||
           ngx_http_osb_header_find(r, &if_none_match, &n) != NULL;
}


/*
 * Whether the field, in all of its lines, names the tag.  "*" names whatever
 * there is.
 */

static ngx_uint_t
ngx_http_osb_match(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *etag,
                   ngx_uint_t weak, ngx_uint_t *present)
{
    ngx_str_t          list;
    ngx_uint_t         n;
    ngx_list_part_t   *part;
    ngx_table_elt_t   *h;
    ngx_http_osb_tag_t tag;

    n = 0;
    *present = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &n, name))) {
        *present = 1;

        if (etag == NULL) {
            continue;
        }

        list = h->value;

        if (list.len == 1 && list.data[0] == '*') {
            return 1;
        }

        while (ngx_http_osb_match_next(&list, &tag)) {

            if ((weak || !tag.weak) && tag.opaque.len == etag->len &&
                ngx_memcmp(tag.opaque.data, etag->data, etag->len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/* Cuts one tag off the list; 0 at its end, and at what is no tag. */

static ngx_uint_t
ngx_http_osb_match_next(ngx_str_t *list, ngx_http_osb_tag_t *tag)
{
    u_char *p, *last;

    p = list->data;
    last = p + list->len;

    while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
        p++;
    }

    tag->weak = (last - p > 2 && p[0] == 'W' && p[1] == '/');

    if (tag->weak) {
        p += 2;
    }

    if (p == last || *p != '"') {
        return 0;
    }

    tag->opaque.data = p;

    for (p++; p < last && *p != '"'; p++) { /* void */
    }

    if (p == last) {
        return 0;
    }

    tag->opaque.len = (size_t) (++p - tag->opaque.data);

    list->len = (size_t) (last - p);
    list->data = p;

    return 1;
}
