/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* Which of the two forms of an error a client prefers (RFC 9110, 12.5.1). */


/* how much a client wants a type, by how exact a name for it */
typedef struct {
    ngx_uint_t exact;
    ngx_uint_t quality; /* in thousandths */
} ngx_http_osb_wish_t;


static void
ngx_http_osb_wish(ngx_http_osb_wish_t *wish, ngx_str_t *type, u_char *p,
                  u_char *last);
static ngx_uint_t
ngx_http_osb_quality(u_char *p, u_char *last);


static ngx_str_t ngx_http_osb_accept = ngx_string("accept");


ngx_uint_t
ngx_http_osb_accept_html(ngx_http_request_t *r)
{
    u_char          *p, *last, *end;
    ngx_uint_t       n;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    ngx_http_osb_wish_t html, json;

    static ngx_str_t html_type = ngx_string("text/html");
    static ngx_str_t json_type = ngx_string("application/json");

    ngx_memzero(&html, sizeof(html));
    ngx_memzero(&json, sizeof(json));

    n = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &n, &ngx_http_osb_accept))) {
        p = h->value.data;
        last = p + h->value.len;

        for (/* void */; p < last; p = end + 1) {

            end = ngx_strlchr(p, last, ',');
            if (end == NULL) {
                end = last;
            }

            while (p < end && (*p == ' ' || *p == '\t')) {
                p++;
            }

            ngx_http_osb_wish(&html, &html_type, p, end);
            ngx_http_osb_wish(&json, &json_type, p, end);
        }
    }

    return html.quality > json.quality ||
           (html.quality && html.quality == json.quality &&
            html.exact > json.exact);
}


/* What one member of a list says of a type: the closest counts. */

static void
ngx_http_osb_wish(ngx_http_osb_wish_t *wish, ngx_str_t *type, u_char *p,
                  u_char *last)
{
    size_t     len, main;
    u_char    *end;
    ngx_uint_t exact, quality;

    for (end = p; end < last && *end != ';' && *end != ' ' && *end != '\t';
         end++) {
        /* void */
    }

    len = (size_t) (end - p);
    main = (size_t) (ngx_strlchr(type->data, type->data + type->len, '/') + 1 -
                     type->data);

    if (len == type->len && ngx_strncasecmp(p, type->data, len) == 0) {
        exact = 3;

    } else if (len == main + 1 && p[main] == '*' &&
               ngx_strncasecmp(p, type->data, main) == 0)
    {
        exact = 2;

    } else if (len == 3 && ngx_strncmp(p, "*/*", 3) == 0) {
        exact = 1;

    } else {
        return;
    }

    quality = ngx_http_osb_quality(p, last);

    if (exact > wish->exact) {
        wish->exact = exact;
        wish->quality = quality;

    } else if (exact == wish->exact) {
        wish->quality = ngx_max(wish->quality, quality);
    }
}


/* The q of one member of a list, in thousandths. */

static ngx_uint_t
ngx_http_osb_quality(u_char *p, u_char *last)
{
    ngx_int_t q;

    for (/* void */; last - p > 2; p++) {

        if (*p == ';' || *p == ' ') {

            if ((p[1] == 'q' || p[1] == 'Q') && p[2] == '=') {
                p += 3;
                q = ngx_atofp(p, last - p, 3);

                return q == NGX_ERROR ? 0 : q;
            }
        }
    }

    return 1000;
}
