/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* A record while it is built: its strings grow behind it. */


void *
ngx_http_osb_draft_alloc(ngx_http_osb_draft_t *draft, size_t size, size_t align,
                         const char *field)
{
    size_t start;

    start = ngx_align(draft->record->size, align);

    if (size > sizeof(draft->space) || start + size > sizeof(draft->space)) {
        ngx_http_osb_fault(draft->fault, field,
                           "the record is larger than %d bytes",
                           NGX_HTTP_OSB_RECORD_SIZE);
        return NULL;
    }

    ngx_memzero(draft->space + draft->record->size,
                start - draft->record->size);

    draft->record->size = start + size;

    return draft->space + start;
}


ngx_int_t
ngx_http_osb_draft_text(ngx_http_osb_draft_t *draft, ngx_http_osb_text_t *text,
                        ngx_str_t *value, const char *field)
{
    u_char *p;

    p = ngx_http_osb_draft_alloc(draft, value->len, 1, field);

    if (p == NULL) {
        return NGX_ERROR;
    }

    if (value->len) {
        ngx_memcpy(p, value->data, value->len);
    }

    text->offset = p - draft->space;
    text->len = value->len;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_json_text(json_t *value, ngx_str_t *text)
{
    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    text->data = (u_char *) json_string_value(value);
    text->len = json_string_length(value);

    return NGX_OK;
}
