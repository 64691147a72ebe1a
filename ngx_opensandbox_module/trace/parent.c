/* SPDX-License-Identifier: Apache-2.0 */

#include "parent.h"


static u_char *
ngx_http_osb_trace_hex(u_char *p, size_t bytes, ngx_uint_t *zero);
static u_char *
ngx_http_osb_trace_dump(u_char *p, const u_char *bytes, size_t n);


ngx_int_t
ngx_http_osb_trace_parent_read(ngx_str_t *text, ngx_str_t *id,
                               ngx_str_t *parent)
{
    u_char    *p, *version;
    ngx_uint_t zero;

    if (text->len < NGX_HTTP_OSB_TRACE_LEN) {
        return NGX_DECLINED;
    }

    version = text->data;
    p = ngx_http_osb_trace_hex(version, 1, &zero);

    if (p == NULL || *p++ != '-' || ngx_strncmp(version, "ff", 2) == 0) {
        return NGX_DECLINED;
    }

    id->data = p;
    id->len = 2 * NGX_HTTP_OSB_TRACE_ID_BYTES;
    p = ngx_http_osb_trace_hex(p, NGX_HTTP_OSB_TRACE_ID_BYTES, &zero);

    if (p == NULL || zero || *p++ != '-') {
        return NGX_DECLINED;
    }

    parent->data = p;
    parent->len = 2 * NGX_HTTP_OSB_TRACE_PARENT_BYTES;
    p = ngx_http_osb_trace_hex(p, NGX_HTTP_OSB_TRACE_PARENT_BYTES, &zero);

    if (p == NULL || zero || *p++ != '-') {
        return NGX_DECLINED;
    }

    p = ngx_http_osb_trace_hex(p, 1, &zero);

    if (p == NULL) {
        return NGX_DECLINED;
    }

    if (text->len == NGX_HTTP_OSB_TRACE_LEN) {
        return NGX_OK;
    }

    /* only what later versions define may follow */

    return *p == '-' && ngx_strncmp(version, "00", 2) != 0 ? NGX_OK
                                                           : NGX_DECLINED;
}


void
ngx_http_osb_trace_parent_write(u_char *p, const u_char *random)
{
    p = ngx_cpymem(p, "00-", sizeof("00-") - 1);
    p = ngx_http_osb_trace_dump(p, random, NGX_HTTP_OSB_TRACE_ID_BYTES);
    *p++ = '-';
    p = ngx_http_osb_trace_dump(p, random + NGX_HTTP_OSB_TRACE_ID_BYTES,
                                NGX_HTTP_OSB_TRACE_PARENT_BYTES);
    ngx_memcpy(p, "-01", sizeof("-01") - 1);
}


/* The end of so many bytes in lower case hex, or NULL. */

static u_char *
ngx_http_osb_trace_hex(u_char *p, size_t bytes, ngx_uint_t *zero)
{
    u_char *last;

    *zero = 1;

    for (last = p + 2 * bytes; p < last; p++) {

        if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'f')) {
            return NULL;
        }

        if (*p != '0') {
            *zero = 0;
        }
    }

    return p;
}


static u_char *
ngx_http_osb_trace_dump(u_char *p, const u_char *bytes, size_t n)
{
    static const u_char hex[] = "0123456789abcdef";

    for (/* void */; n; n--, bytes++) {
        *p++ = hex[*bytes >> 4];
        *p++ = hex[*bytes & 0xf];
    }

    return p;
}
